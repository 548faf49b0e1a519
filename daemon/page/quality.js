// SPDX-License-Identifier: Apache-2.0
//
// quality.js -- what may spoil a comparison, in words, from where the server's option `reject` begins
// (docs/http.md).

const reasons = [
  ["small", ({ size }) => size < 40],
  ["blurred", ({ sharpness }) => sharpness < 15],
  ["dark", ({ brightness }) => brightness < 50],
  ["bright", ({ brightness }) => brightness > 205],
  ["tilted", ({ roll }) => Math.abs(roll) > 30],
  ["perhaps no face", ({ score }) => score < 0.95],
];

export const hintsOf = (score, quality) =>
  reasons.filter(([, holds]) => holds({ score, ...quality })).map(([name]) => name);
