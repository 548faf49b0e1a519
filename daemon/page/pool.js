// SPDX-License-Identifier: Apache-2.0
//
// pool.js -- tasks, a few at a time: a hundred pictures at once would only fill the server's queue.

export class Pool {
  #free;
  #waiting = [];

  constructor(atOnce) {
    this.#free = atOnce;
  }

  async run(task) {
    if (this.#free > 0) this.#free--;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift(); // it gets our place
      if (next) next();
      else this.#free++;
    }
  }
}
