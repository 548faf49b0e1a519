// SPDX-License-Identifier: Apache-2.0
//
// compare.js -- two pictures, one face of each, how far they are apart and what the threshold says.

import { askJson, isAbort } from "./api.js";
import { byId, define, offer, sayError } from "./dom.js";
import { getModel, meaningOf, pointOptions, pointsOf, readModel } from "./facts.js";
import { drawScale } from "./scale.js";
import { Slot } from "./slot.js";
import { distance } from "./words.js";

const INVITATION = byId("verdict").textContent;
const NO_FACE = "There is no face to compare in one of the pictures.";

let slots = [];
let work = new AbortController();
let lookedAgain = false; // after the model changed: once, not for ever

function verdictOf({ same }) {
  if (same === true) return "Within the threshold: taken for one person";
  if (same === false) return "Beyond the threshold: taken for two people";
  return "No verdict";
}

function whyNone() {
  if (getModel()?.untrained) return "This model is untrained: its distances mean nothing.";
  return "No threshold has been fitted for this model and crop, so the distance stands alone.";
}

function show(answer) {
  const points = pointsOf(answer.crop);
  const threshold = answer.threshold;
  const known = threshold && points.find((point) => point.far === threshold.far);
  const point = threshold && { ...known, ...threshold };
  byId("verdict").textContent = verdictOf(answer);
  byId("result").dataset.same = String(answer.same);
  drawScale(byId("scale"), answer.l2_squared, point);
  byId("meaning").textContent = point ? meaningOf(point) : whyNone();
  offer(byId("far"), pointOptions(points));
  byId("far").closest("label").hidden = points.length === 0;
  define(byId("numbers"), [
    ["Squared distance", distance(answer.l2_squared)],
    ["Distance (L2)", distance(answer.l2)],
    ["Cosine", distance(answer.cosine)],
  ]);
  byId("measured").hidden = false;
}

function showNothing(text) {
  byId("verdict").textContent = text;
  byId("result").dataset.same = "null";
  byId("measured").hidden = true;
  sayError(byId("result-error"), null);
}

/** A model that was exchanged between the two pictures gives embeddings that cannot be compared. */
async function lookAgain() {
  lookedAgain = true;
  try {
    await readModel();
    await Promise.all(slots.map((slot) => slot.look()));
  } catch (error) {
    sayError(byId("result-error"), error);
  }
}

async function compare() {
  work.abort();
  work = new AbortController();
  const faces = slots.map((slot) => slot.face);
  if (faces.some((face) => !face))
    return showNothing(slots.some((slot) => slot.isFaceless) ? NO_FACE : INVITATION);
  const far = byId("far").value;
  const known = pointsOf(faces[0].crop).some((point) => String(point.far) === far);
  try {
    const json = { embedding1: faces[0], embedding2: faces[1] };
    const path = known ? `distance?far=${far}` : "distance";
    const answer = await askJson(path, { json, signal: work.signal });
    sayError(byId("result-error"), null);
    show(answer);
    lookedAgain = false;
  } catch (error) {
    if (isAbort(error)) return;
    if (error.status === 409 && !lookedAgain) return lookAgain();
    showNothing("");
    sayError(byId("result-error"), error);
  }
}

/** Pictures that were pasted, or dropped beside the slots: both are new, or one takes its place. */
export function takeFiles(files) {
  const focused = slots.find((slot) => slot.element.contains(document.activeElement));
  const empty = slots.find((slot) => slot.isEmpty);
  if (files.length === 1) (focused ?? empty ?? slots.at(-1)).take(files[0]);
  else slots.forEach((slot, i) => slot.take(files[i]));
}

export function openCompare() {
  slots = ["A", "B"].map((letter) => new Slot(letter, () => slots.length && compare()));
  byId("slots").append(...slots.map((slot) => slot.element));
  byId("far").addEventListener("change", compare);
}
