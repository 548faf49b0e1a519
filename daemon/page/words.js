// SPDX-License-Identifier: Apache-2.0
//
// words.js -- numbers as people read them.

const number = (digits) =>
  new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const distances = number(3);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const distance = (value) => distances.format(value);
export const count = (value) => whole.format(value);
export const percent = (share) => `${precise.format(100 * share)} %`;
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const pixels = (width, height) => `${count(width)} × ${count(height)} px`;

/** 0.001 as "1 in 1,000". */
export const oneIn = (rate) => `1 in ${precise.format(1 / rate)}`;

export function bytes(size) {
  if (size < 1e6) return `${precise.format(size / 1024)} KiB`;
  return `${precise.format(size / 1024 / 1024)} MiB`;
}
