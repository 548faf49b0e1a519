// SPDX-License-Identifier: Apache-2.0
//
// many.js -- many pictures, every face against every other.

import { askJson, isAbort } from "./api.js";
import { byId, el, offer, say, sayError } from "./dom.js";
import { meaningOf, pointOptions, pointsOf, readModel } from "./facts.js";
import { openIntake } from "./intake.js";
import { drawMatrix } from "./matrix.js";
import { nearestPair, nearOrder } from "./order.js";
import { Picture, thumbnail } from "./pile.js";
import { Pool } from "./pool.js";
import { drawScale } from "./scale.js";
import { distance, plural } from "./words.js";

const MOST_FACES = 40; // a larger matrix is for a program to read
const AT_ONCE = 3;
const SETTLE_MS = 120; // pictures come one by one; the matrix is drawn when they pause

const pool = new Pool(AT_ONCE);
let pictures = [];
let work = new AbortController();
let settling = 0;
let lookedAgain = false; // after the model changed: once, not for ever
let shown = null; // { faces, distances } as they came from the server, in the order given

const chosenPoint = (points) =>
  points.find((point) => String(point.far) === byId("pile-far").value) ?? points[0] ?? null;

function facesToShow() {
  const most = byId("pile-faces").value === "every" ? Infinity : 1;
  return pictures.flatMap((picture) => picture.faces.slice(0, most));
}

function describe(faces) {
  if (pictures.some((picture) => picture.isLooking)) return "Looking for faces…";
  if (!pictures.length) return "";
  const counted = `${plural(faces.length, "face")} in ${plural(pictures.length, "picture")}`;
  if (faces.length > MOST_FACES)
    return `${counted}; the first ${MOST_FACES} are compared. POST /distances takes 500 by 500.`;
  return faces.length === 1 ? `${counted}: give another one to compare.` : `${counted}.`;
}

function showPair(faces, distances, point, row, column) {
  const room = byId("pick");
  room.hidden = row === column;
  if (row === column) return;
  const value = distances[row][column];
  const within = point ? (value <= point.value ? "Within the threshold" : "Beyond the threshold") : "";
  const scale = el("div", { class: "scale", role: "img" });
  drawScale(scale, value, point);
  const side = (face, index) =>
    el("figure", {}, thumbnail(face), el("figcaption", { class: "name" }, `${index + 1}  ${face.name}`));
  room.replaceChildren(
    side(faces[row], row),
    side(faces[column], column),
    el("div", {}, el("p", { class: "fact" }, within), scale),
  );
}

function draw() {
  const { faces, distances } = shown;
  const points = pointsOf(faces[0].given.crop);
  offer(byId("pile-far"), pointOptions(points));
  byId("pile-far").closest("label").hidden = points.length === 0;
  const point = chosenPoint(points);
  const order = byId("pile-order").value === "near" ? nearOrder(distances) : [...faces.keys()];
  const table = {
    faces: order.map((i) => faces[i]),
    distances: order.map((i) => order.map((j) => distances[i][j])),
    point,
  };
  const pick = (row, column) => showPair(table.faces, table.distances, point, row, column);
  pick(...nearestPair(table.distances));
  drawMatrix(byId("matrix"), table, pick);
  byId("legend").textContent = point
    ? `Squared distances; marked ones are within ${distance(point.value)}. ${meaningOf(point)}`
    : "Squared distances. No threshold has been fitted for this model and crop.";
  byId("matrix-room").hidden = false;
}

function fetchCrops(faces) {
  for (const face of faces) pool.run(() => face.picture.fetchCrop(face));
}

/** A model that was exchanged meanwhile gives embeddings that cannot be compared. */
async function lookAgain() {
  lookedAgain = true;
  try {
    await readModel();
    await Promise.all(pictures.map((picture) => pool.run(() => picture.look())));
    refresh();
  } catch (error) {
    sayError(byId("pile-error"), error);
  }
}

async function compareAll() {
  work.abort();
  work = new AbortController();
  const all = facesToShow();
  const faces = all.slice(0, MOST_FACES);
  byId("pile-options").hidden = byId("pile-clear").hidden = pictures.length === 0;
  say(byId("pile-state"), describe(all));
  sayError(byId("pile-error"), null);
  fetchCrops(faces);
  byId("matrix-room").hidden = faces.length < 2;
  if (faces.length < 2) return;
  const given = faces.map((face) => face.given);
  try {
    const json = { a: given, b: given };
    const { distances } = await askJson("distances", { json, signal: work.signal });
    shown = { faces, distances };
    lookedAgain = false;
    draw();
  } catch (error) {
    if (isAbort(error)) return;
    if (error.status === 409 && !lookedAgain) return lookAgain();
    sayError(byId("pile-error"), error);
  }
}

function refresh() {
  clearTimeout(settling);
  settling = setTimeout(compareAll, SETTLE_MS);
}

function remove(picture) {
  const index = pictures.indexOf(picture);
  pictures = pictures.filter((other) => other !== picture);
  picture.forget();
  const next = pictures[Math.min(index, pictures.length - 1)];
  (next?.element.querySelector("button") ?? byId("pile-choose")).focus();
  refresh();
}

export function takeFiles(files) {
  for (const file of files) {
    const picture = new Picture(file, () => remove(picture));
    pictures.push(picture);
    byId("pile").append(picture.element);
    pool.run(() => picture.look()).then(refresh);
  }
  refresh();
}

export function openMany() {
  openIntake({
    room: byId("view-many"),
    choose: byId("pile-choose"),
    camera: byId("pile-camera"),
    input: byId("pile-files"),
    take: takeFiles,
  });
  byId("pile-clear").addEventListener("click", () => {
    for (const picture of pictures) picture.forget();
    pictures = [];
    byId("pile-choose").focus();
    refresh();
  });
  byId("pile-faces").addEventListener("change", refresh);
  for (const id of ["pile-order", "pile-far"])
    byId(id).addEventListener("change", () => shown && draw());
}
