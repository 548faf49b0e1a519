// SPDX-License-Identifier: Apache-2.0
//
// order.js -- which faces are near each other. It groups nothing and judges nothing.

/** The row and column of the least distance of two different faces. */
export function nearestPair(distances) {
  let [row, column] = [0, 1];
  for (const [i, line] of distances.entries())
    for (let j = i + 1; j < line.length; j++)
      if (line[j] < distances[row][column]) [row, column] = [i, j];
  return [row, column];
}

/**
 * An order in which near faces stand side by side, from each to the nearest of those that are left:
 * indexes into the square matrix `distances`.
 */
export function nearOrder(distances) {
  const left = new Set(distances.keys());
  const order = [];
  for (let at = 0; left.size; ) {
    order.push(at);
    left.delete(at);
    let nearest = null;
    for (const other of left)
      if (nearest === null || distances[at][other] < distances[at][nearest]) nearest = other;
    at = nearest;
  }
  return order;
}
