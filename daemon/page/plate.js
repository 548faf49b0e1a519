// SPDX-License-Identifier: Apache-2.0
//
// plate.js -- a picture with its faces drawn over it. The faces are radio buttons, so that mouse,
// finger and arrow keys choose among them alike.
//
// The browser scales and decodes in its own time, off this thread; we never touch the pixels.
// Browsers heed the EXIF orientation of some formats only, so once the server has said how it turned
// a picture, we turn it by that (base.css: .turn-*).

import { el, svg } from "./dom.js";

const share = (part, all) => `${(100 * part) / all}%`;

let groups = 0;

export class Plate {
  #element;
  #title;
  #url = null;
  #image = null;

  /** `title`: what to call the picture when faces are chosen. */
  constructor(element, title) {
    this.#element = element;
    this.#title = title;
  }

  /** Show a picture, no faces yet. */
  show(blob) {
    this.clear();
    this.#url = URL.createObjectURL(blob);
    this.#image = el("img", { alt: `Picture ${this.#title}`, decoding: "async" });
    const image = this.#image;
    image.addEventListener("load", () => this.#shape(image.naturalWidth, image.naturalHeight), {
      once: true,
    });
    image.addEventListener("error", () => (this.#element.hidden = true), { once: true });
    image.src = this.#url;
    this.#element.replaceChildren(image);
    this.#element.hidden = false;
  }

  clear() {
    this.#image?.removeAttribute("src"); // it may still be loading
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.#image = null;
    this.#element.replaceChildren();
    this.#element.hidden = true;
  }

  #shape(width, height) {
    this.#element.style.setProperty("--width", width);
    this.#element.style.setProperty("--height", height);
  }

  /** Draw what /embed answered; `choose(index)` when another face is chosen. */
  draw({ image, faces, aligned }, choose) {
    if (!this.#image) return;
    this.#image.className = `turn-${image.orientation}`;
    this.#shape(image.width, image.height);
    const marks = el("fieldset", { class: "faces" });
    marks.append(el("legend", { class: "quiet" }, `Faces in picture ${this.#title}`));
    const group = `faces-${++groups}`;
    if (aligned)
      for (const [index, face] of faces.entries())
        marks.append(this.#mark(face, index, faces.length, image, group, choose));
    this.#element.replaceChildren(this.#image, marks);
  }

  #mark({ box, landmarks }, index, n, image, group, choose) {
    const points = svg("svg", {
      viewBox: `${box.x} ${box.y} ${box.width} ${box.height}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    for (const [x, y] of landmarks)
      points.append(svg("path", { d: `M${x} ${y}h0`, "vector-effect": "non-scaling-stroke" }));
    const mark = el("label", { class: "face" });
    if (n > 1) {
      const radio = el("input", { type: "radio", name: group, value: index, checked: index === 0 });
      radio.addEventListener("change", () => choose(index));
      mark.append(radio, el("span", { class: "tag" }, String(index + 1)));
      radio.setAttribute("aria-label", `Face ${index + 1} of ${n}`);
    } else {
      mark.classList.add("only");
    }
    mark.classList.toggle("high", box.y < image.height / 12);
    mark.append(points);
    mark.style.left = share(box.x, image.width);
    mark.style.top = share(box.y, image.height);
    mark.style.width = share(box.width, image.width);
    mark.style.height = share(box.height, image.height);
    return mark;
  }
}
