// SPDX-License-Identifier: Apache-2.0
//
// matrix.js -- all distances as a heat map that is a table: every value can be read, also by a screen
// reader, and the arrow keys go from cell to cell. What is within the threshold differs by more than
// its colour.

import { el } from "./dom.js";
import { thumbnail } from "./pile.js";
import { distance } from "./words.js";

const UNRELATED = 2; // squared distance of vectors that have nothing in common
const SHADES = 4;

/** in-1…in-4 within the threshold, 4 the nearest; out-1…out-4 beyond, 4 the farthest. */
function shadeOf(value, point) {
  const step = (share) => 1 + Math.min(SHADES - 1, Math.max(0, Math.floor(share * SHADES)));
  if (!point) return `out-${step(value / UNRELATED)}`;
  if (value <= point.value) return `in-${step(1 - value / point.value)}`;
  return `out-${step((value - point.value) / (UNRELATED - point.value))}`;
}

function cellOf(value, isSelf, point) {
  const cell = el("td", { role: "gridcell", tabindex: -1 });
  if (isSelf) {
    cell.className = "self";
    cell.append(el("span", { class: "quiet" }, "the same face"));
    return cell;
  }
  cell.className = shadeOf(value, point);
  cell.append(value.toFixed(2));
  if (point && value <= point.value) cell.append(el("span", { class: "quiet" }, " within"));
  cell.title = distance(value);
  return cell;
}

function headOf(face, index, scope) {
  const head = el("th", { scope, role: scope === "col" ? "columnheader" : "rowheader" });
  const name = el("span", { class: scope === "col" ? "quiet" : "name" }, ` ${face.name}`);
  head.append(thumbnail(face), el("span", { class: "tag" }, String(index + 1)), name);
  head.title = face.name;
  return head;
}

/** Arrow keys, Home and End; one cell at a time is in the tab order. */
function move(event, cells, at) {
  const last = cells.length - 1;
  const [row, column] = at;
  const steps = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: event.ctrlKey ? [0, 0] : [row, 0],
    End: event.ctrlKey ? [last, last] : [row, last],
  };
  const to = steps[event.key];
  if (!to) return;
  event.preventDefault();
  cells[to[0]]?.[to[1]]?.focus();
}

/**
 * Draw `distances` of `faces` into `room`; `pick(row, column)` when a cell is chosen. The focus
 * stays where it was in the table that is replaced.
 */
export function drawMatrix(room, { faces, distances, point }, pick) {
  const old = document.activeElement?.closest("#matrix td");
  const kept = old && [old.parentElement.rowIndex - 1, old.cellIndex - 1];
  const corner = el("td", { role: "columnheader" }, el("span", { class: "quiet" }, "Face"));
  const head = el("tr", {}, corner);
  head.append(...faces.map((face, column) => headOf(face, column, "col")));
  const body = el("tbody");
  const cells = distances.map((row, i) => row.map((value, j) => cellOf(value, i === j, point)));
  for (const [row, line] of cells.entries()) {
    body.append(el("tr", {}, headOf(faces[row], row, "row"), ...line));
    for (const [column, cell] of line.entries()) {
      cell.addEventListener("keydown", (event) => move(event, cells, [row, column]));
      cell.addEventListener("focus", () => {
        for (const other of room.querySelectorAll("td[tabindex='0']")) other.tabIndex = -1;
        cell.tabIndex = 0;
        pick(row, column);
      });
    }
  }
  const table = el("table", { role: "grid", "aria-readonly": "true" }, el("thead", {}, head), body);
  table.prepend(el("caption", { class: "quiet" }, "Squared distance of every two faces"));
  room.replaceChildren(table);
  cells[0][1].tabIndex = 0;
  if (kept) cells[kept[0]]?.[kept[1]]?.focus();
}
