// SPDX-License-Identifier: Apache-2.0
//
// facts.js -- what GET /model says, read once and again when an answer shows that it has changed.

import { Problem, askJson } from "./api.js";
import { bytes, distance, oneIn, percent } from "./words.js";

let model = null;

export const getModel = () => model;

/** Read it; listeners of "modelchange" are told. */
export async function readModel() {
  model = await askJson("model");
  dispatchEvent(new Event("modelchange"));
  return model;
}

/** An answer has come: does it name another model or device than we show? */
export function noticeChange(answer) {
  if (model && (answer.model !== model.model || answer.backend !== model.backend))
    readModel().catch(() => {});
}

/** Refuse here what the server would refuse by cutting the connection. */
export function checkSize(blob) {
  const most = model?.limits.max_body ?? Infinity;
  if (blob.size <= most) return;
  throw new Problem(`The picture has ${bytes(blob.size)}, this daemon takes ${bytes(most)} at most.`, {
    code: "body_too_large",
  });
}

/** The operating points of a crop contract, the default first. */
export const pointsOf = (crop) =>
  (model?.operating_points ?? []).filter(
    (point) => point.crop === crop && point.metric === "l2_squared" && !model.untrained,
  );

/** Options [far, text] for a <select>. */
export const pointOptions = (points) =>
  points.map((point) => [String(point.far), `${oneIn(point.far)} (up to ${distance(point.value)})`]);

/** What a threshold means, in a sentence or two. */
export function meaningOf(point) {
  const accepts =
    point.true_accepts === undefined
      ? ""
      : `, and ${percent(point.true_accepts)} of the pairs of one person did`;
  const doubt = point.low_confidence
    ? " It was fitted on too few pairs: take it for a rough guide."
    : "";
  const [low, high] = (point.interval ?? []).map(distance);
  const interval = low ? ` Hatched: its 95 % interval, ${low} to ${high}.` : "";
  return (
    `False-accept rate ${percent(point.far)}: when the threshold was fitted (${point.fitted_on}), ` +
    `${oneIn(point.far)} pairs of different people came this close${accepts}.${interval}${doubt}`
  );
}
