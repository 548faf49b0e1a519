// SPDX-License-Identifier: Apache-2.0
//
// pile.js -- the pictures of the compare-many view: each with its faces, their embeddings and their
// crops, and its line in the list of pictures.

import { ask, askJson, isAbort } from "./api.js";
import { el, sayError } from "./dom.js";
import { checkSize, noticeChange } from "./facts.js";
import { plural } from "./words.js";

const isNeeded = (image) => !image.src || !image.complete || image.isConnected;

/** A crop is shown in several places; the face knows its images, to fill and to empty them. */
export function thumbnail(face) {
  const image = el("img", { alt: "", width: 40, height: 40 });
  if (face.url) image.src = face.url;
  face.images = [...face.images.filter(isNeeded), image];
  return image;
}

export class Picture {
  faces = []; // largest first; `given` is an embedding as /distances takes it
  isLooking = true;
  #file;
  #work = new AbortController();
  #state = el("p", { class: "state" });
  #error = el("p", { class: "error", hidden: true });
  #thumbs = el("span", { class: "thumbs" });
  element;

  /** `remove()`: the user wants it gone. */
  constructor(file, remove) {
    this.#file = file;
    const button = el("button", { type: "button", class: "plain" }, "Remove");
    button.setAttribute("aria-label", `Remove ${file.name}`);
    button.addEventListener("click", remove);
    const name = el("p", { class: "name", title: file.name }, file.name);
    this.element = el("li", {}, this.#thumbs, name, this.#state, this.#error, button);
  }

  /** Find and embed the faces. Never throws: what went wrong stands in the list. */
  async look() {
    const { signal } = this.#work;
    this.isLooking = true;
    this.#state.textContent = "Looking for faces…";
    sayError(this.#error, null);
    try {
      if (signal.aborted) return;
      checkSize(this.#file);
      const answer = await askJson("embed?encoding=base64", { body: this.#file, signal });
      noticeChange(answer);
      this.#take(answer);
    } catch (error) {
      if (isAbort(error)) return;
      this.#state.textContent = "";
      sayError(this.#error, error);
    } finally {
      this.isLooking = false;
    }
  }

  #take({ model, crop, aligned, faces }) {
    this.#forgetFaces();
    this.faces = faces.map(({ embedding }, index) => ({
      name: faces.length > 1 ? `${this.#file.name}, face ${index + 1}` : this.#file.name,
      given: { model, crop, embedding },
      path: aligned ? `crop?index=${index}` : "crop",
      url: null,
      images: [],
      picture: this,
    }));
    const first = this.faces[0];
    this.#thumbs.replaceChildren(...(first ? [thumbnail(first)] : []));
    const found = faces.length ? plural(faces.length, "face") : "No face was found.";
    this.#state.textContent = aligned ? found : "Taken whole for a face crop";
  }

  /** Fetch the crop of one of the faces, once. */
  async fetchCrop(face) {
    if (face.url || face.isFetched) return;
    face.isFetched = true;
    try {
      const response = await ask(face.path, { body: this.#file, signal: this.#work.signal });
      const blob = await response.blob();
      if (!this.faces.includes(face)) return;
      face.url = URL.createObjectURL(blob);
      for (const image of face.images) image.src = face.url;
    } catch (error) {
      if (!isAbort(error)) sayError(this.#error, error);
    }
  }

  #forgetFaces() {
    for (const { url, images } of this.faces) {
      for (const image of images) image.removeAttribute("src"); // it may still be loading
      if (url) URL.revokeObjectURL(url);
    }
    this.faces = [];
  }

  forget() {
    this.#work.abort();
    this.#forgetFaces();
    this.element.remove();
  }
}
