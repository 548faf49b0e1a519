// SPDX-License-Identifier: Apache-2.0
//
// api.js -- ask the daemon. Addresses are relative to the page, so that a proxy may serve both below
// a path of its own. The key lives in a variable here and nowhere else.

const TRIES = 4;
const LONGEST_WAIT_MS = 5000;

let key = null;
let askForKey = async () => null;
let asking = null;

/** What went wrong: the server's own text and code where it gave them. */
export class Problem extends Error {
  constructor(message, { status = 0, code = "", requestId = "", retryAfterMs = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, requestId, retryAfterMs });
  }
}

/** Whether an error only says that nobody waits for the answer any more. */
export const isAbort = (error) => error?.name === "AbortError";

/** `asker(reason)` gives a key, or null when there is none to be had. */
export function setKeyAsker(asker) {
  askForKey = asker;
}

export const hasKey = () => key !== null;

export function forgetKey() {
  key = null;
  dispatchEvent(new Event("keychange"));
}

async function problemOf(response) {
  const more = { status: response.status, requestId: response.headers.get("X-Request-Id") ?? "" };
  try {
    const { detail, title, code, retry_after_ms: retryAfterMs } = await response.json();
    return new Problem(detail || title, { ...more, code, retryAfterMs });
  } catch {
    return new Problem(`The daemon answered ${response.status} ${response.statusText}`, more);
  }
}

async function send(path, { json, body, signal }) {
  const headers = {};
  if (key !== null) headers.Authorization = `Bearer ${key}`;
  if (json) headers["Content-Type"] = "application/json";
  // Whatever the browser takes a picture for: the server looks at its bytes.
  else if (body) headers["Content-Type"] = "application/octet-stream";
  const content = json ? JSON.stringify(json) : body;
  try {
    return await fetch(path, {
      method: content ? "POST" : "GET",
      headers,
      body: content,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Problem("The daemon did not answer. Is it running, and still reachable from here?", {
      code: "unreachable",
    });
  }
}

/** A key that is not the refused one; false when the user has none. One question at a time. */
async function findKey(refused, reason) {
  if (key !== refused) return true;
  if (key !== null) forgetKey();
  asking ??= askForKey(refused === null ? "" : reason).finally(() => (asking = null));
  const given = await asking;
  if (given === null) return false;
  if (key !== given) {
    key = given;
    dispatchEvent(new Event("keychange"));
  }
  return true;
}

function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/**
 * Ask and give the response back, or throw a Problem. A busy server is asked again when it says; a
 * key is asked for when one is wanted (unless `quiet`).
 */
export async function ask(path, { quiet = false, ...request } = {}) {
  for (let tries = 1; ; ) {
    const used = key;
    const response = await send(path, request);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 401 && !quiet && (await findKey(used, problem.message))) continue;
    const wanted = problem.retryAfterMs;
    const later = (response.status === 503 || response.status === 429) && wanted <= LONGEST_WAIT_MS;
    if (!later || quiet || tries++ >= TRIES) throw problem;
    await wait(wanted * (1 + Math.random() / 4), request.signal);
  }
}

export const askJson = async (path, request) => (await ask(path, request)).json();
