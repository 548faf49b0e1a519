// SPDX-License-Identifier: Apache-2.0
//
// scale.js -- a distance on the scale of all distances, with the threshold on it. The scale is of the
// squared distance, which runs from 0 to 4; beyond 3 there is hardly ever anything.

import { el } from "./dom.js";
import { distance } from "./words.js";

const USUAL_END = 3;
const LAST_END = 4;
const STEP = 0.5;

/**
 * Draw into `room`. `point`: the operating point, or null when there is no threshold; its interval is
 * how sure the threshold is. Nothing is coloured by a verdict that was not given.
 */
export function drawScale(room, value, point) {
  const end = value > USUAL_END ? LAST_END : USUAL_END;
  const at = (x) => `${(100 * Math.min(Math.max(x, 0), end)) / end}%`;
  const placed = (name, x, ...children) => {
    const element = el("span", { class: name }, ...children);
    element.style.left = at(x);
    return element;
  };
  const bar = el("div", { class: "bar" });
  if (point) {
    const zone = el("span", { class: "zone" });
    zone.style.width = at(point.value);
    bar.append(zone);
    if (point.interval) {
      const doubt = placed("doubt", point.interval[0]);
      doubt.style.width = at(point.interval[1] - point.interval[0]);
      bar.append(doubt);
    }
  }
  for (let x = 0; x <= end; x += STEP) bar.append(placed("tick", x, el("i", {}, String(x))));
  if (point) {
    const name = placed("threshold", point.value, el("i", {}, `threshold ${distance(point.value)}`));
    name.classList.toggle("late", point.value > end / 2);
    bar.append(name);
  }
  const verdict = point ? (value <= point.value ? "within" : "beyond") : "open";
  const marker = placed(`marker ${verdict}`, value, el("b", {}, distance(value)));
  marker.classList.toggle("early", value < end / 12);
  marker.classList.toggle("late", value > end - end / 12);
  bar.append(marker);
  room.replaceChildren(
    bar,
    el("div", { class: "ends" }, el("span", {}, "alike"), el("span", {}, "unlike")),
  );
  const words = point ? `; the threshold is ${distance(point.value)}` : "; there is no threshold";
  room.setAttribute(
    "aria-label",
    `Squared distance ${distance(value)} on a scale from 0 to ${end}${words}`,
  );
}
