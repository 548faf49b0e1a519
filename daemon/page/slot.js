// SPDX-License-Identifier: Apache-2.0
//
// slot.js -- one of the two pictures: its faces, the one that is chosen, and the crop of it that the
// network is fed. A new picture ends whatever was asked about the one before.

import { ask, askJson, isAbort } from "./api.js";
import { byId, define, el, sayError } from "./dom.js";
import { checkSize, noticeChange } from "./facts.js";
import { openIntake } from "./intake.js";
import { Plate } from "./plate.js";
import { hintsOf } from "./quality.js";
import { bytes, count, pixels, plural } from "./words.js";

export class Slot {
  #root;
  #plate;
  #changed;
  #file = null;
  #work = new AbortController();
  #answer = null;
  #index = 0;
  #crops = new Map(); // index of a face -> address of its crop

  /** `changed()`: another face is to be compared, or none. */
  constructor(letter, changed) {
    this.#root = byId("slot").content.firstElementChild.cloneNode(true);
    this.#changed = changed;
    this.#plate = new Plate(this.#find(".plate"), letter);
    this.#root.setAttribute("aria-label", `Picture ${letter}`);
    this.#find("h3").textContent = letter;
    this.#find(".remove").addEventListener("click", () => {
      this.clear();
      this.#find(".choose").focus();
    });
    openIntake({
      room: this.#root,
      choose: this.#find(".choose"),
      camera: this.#find(".camera"),
      input: this.#find("input"),
      take: ([file]) => this.take(file),
    });
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  get element() {
    return this.#root;
  }

  get isEmpty() {
    return this.#file === null;
  }

  /** Whether it was looked at and there is no face. */
  get isFaceless() {
    return this.#answer?.faces.length === 0;
  }

  /** The chosen face's embedding as /distance takes it, and its contract; null without. */
  get face() {
    const face = this.#answer?.faces[this.#index];
    if (!face) return null;
    const { model, crop } = this.#answer;
    return { model, crop, embedding: face.embedding };
  }

  clear() {
    this.#work.abort();
    this.#find(".used img").removeAttribute("src");
    for (const url of this.#crops.values()) URL.revokeObjectURL(url);
    this.#crops.clear();
    this.#file = null;
    this.#answer = null;
    this.#plate.clear();
    this.#find(".name").textContent = "";
    this.#find(".state").textContent = "";
    this.#find(".remove").hidden = true;
    this.#find(".empty").hidden = false;
    this.#find(".used").hidden = true;
    sayError(this.#find(".error"), null);
    this.#changed();
  }

  async take(file) {
    this.clear();
    this.#file = file;
    this.#find(".name").textContent = `${file.name}, ${bytes(file.size)}`;
    this.#find(".name").title = file.name;
    this.#find(".remove").hidden = false;
    this.#find(".empty").hidden = true;
    this.#plate.show(file);
    await this.look();
  }

  /** Ask for the faces; again, when the model has changed. */
  async look() {
    this.#work.abort();
    this.#work = new AbortController();
    const { signal } = this.#work;
    this.#find(".state").textContent = "Looking for faces…";
    try {
      checkSize(this.#file);
      const answer = await askJson("embed?encoding=base64", { body: this.#file, signal });
      noticeChange(answer);
      this.#answer = answer;
      this.#plate.draw(answer, (index) => this.#choose(index, signal));
      this.#find(".state").textContent = this.#count();
      if (answer.faces.length) await this.#choose(0, signal);
      else this.#changed();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    if (isAbort(error)) return;
    this.#find(".state").textContent = "";
    sayError(this.#find(".error"), error);
  }

  #count() {
    const { faces, aligned, min_face: least, limited, image } = this.#answer;
    const size = pixels(image.width, image.height);
    if (!aligned)
      return `${size}. This model has no face detector: the whole picture is taken for the face.`;
    const missing = limited ? " The search was cut short: small faces may be missing." : "";
    if (!faces.length)
      return `No face of ${count(least)} pixels or more was found in ${size}.${missing}`;
    const choose = faces.length > 1 ? " Choose one in the picture." : "";
    return `${plural(faces.length, "face")} in ${size}.${choose}${missing}`;
  }

  async #choose(index, signal) {
    this.#index = index;
    this.#changed();
    try {
      await this.#fetchCrop(index, signal);
      if (index === this.#index && !signal.aborted) this.#showUsed(index);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #fetchCrop(index, signal) {
    if (this.#crops.has(index)) return;
    const path = this.#answer.aligned ? `crop?index=${index}` : "crop";
    const response = await ask(path, { body: this.#file, signal });
    const blob = await response.blob();
    if (!signal.aborted) this.#crops.set(index, URL.createObjectURL(blob));
  }

  #showUsed(index) {
    const { crop, aligned, faces } = this.#answer;
    const { box, score, quality } = faces[index];
    const which = faces.length > 1 ? `Face ${index + 1}` : "The face";
    const image = this.#find(".used img");
    image.src = this.#crops.get(index);
    image.alt = `${which} as cut for the network`;
    this.#find(".contract").textContent = `160 × 160 pixels, cut by ${crop}`;
    define(
      this.#find(".numbers"),
      aligned
        ? [
            ["Face", pixels(box.width, box.height)],
            ["Score", (Math.floor(score * 1e4) / 1e4).toFixed(4)],
            ["Sharpness", count(quality.sharpness)],
            ["Brightness", count(quality.brightness)],
            ["Roll", `${count(Math.round(quality.roll) || 0)}°`],
          ]
        : [],
    );
    const hints = aligned ? hintsOf(score, quality) : [];
    this.#find(".hints").replaceChildren(...hints.map((hint) => el("span", {}, hint)));
    this.#find(".used").hidden = false;
  }
}
