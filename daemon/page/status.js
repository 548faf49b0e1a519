// SPDX-License-Identifier: Apache-2.0
//
// status.js -- model, device and load at a glance. The load is read from /metrics while the page can
// be seen; a key that may not read those sees the rest.

import { ask } from "./api.js";
import { byId, say, sayError } from "./dom.js";
import { getModel, readModel } from "./facts.js";
import { count, percent, plural } from "./words.js";

const EVERY_MS = 4000;

let before = null; // the figures of the reading before: rates are differences
let mayRead = true; // /metrics, until it was refused to this key

function accuracyOf({ evaluations, crop, untrained }) {
  if (untrained) return "Untrained: for tests only, its distances mean nothing.";
  const found = evaluations.find((evaluation) => evaluation.crop === crop);
  if (!found) return `Its accuracy on crops by ${crop} is not recorded.`;
  const spread = (100 * found.standard_deviation).toFixed(1);
  const of = `${found.on}, ${plural(found.pairs, "pair")}`;
  return `${(100 * found.accuracy).toFixed(1)} ± ${spread} % right on ${of}`;
}

function showModel() {
  const model = getModel();
  byId("model-name").textContent = model.source.replace(/\.safetensors$/, "");
  byId("model-name").title = `model ${model.model}, crop ${model.crop}`;
  byId("model-accuracy").textContent = accuracyOf(model);
  const notes = model.evaluations.map(({ note }) => note);
  if (!model.detector) notes.push("no face detector: every picture is taken for a face crop");
  say(byId("model-note"), [...new Set(notes.filter(Boolean))].join("; "));
  const { device, platform, kernel_family: family } = model.device;
  byId("device-name").textContent = device;
  byId("device-name").title = model.backend;
  byId("device-kind").textContent = `${platform}, kernels ${family}`;
}

/** Samples without labels, and the sum over labels of those that have some. */
function parse(text) {
  const figures = {};
  for (const [, name, value] of text.matchAll(/^facenetd_(\w+)(?:\{[^}]*\})? (\S+)$/gm))
    figures[name] = (figures[name] ?? 0) + Number(value);
  return figures;
}

function showState(word, text) {
  byId("state-dot").dataset.state = word;
  byId("state").textContent = text;
}

function showLoad(figures) {
  const now = performance.now();
  const seconds = figures.device_duration_seconds_sum;
  if (figures.draining) showState("down", "Shutting down");
  else if (figures.ready) showState("up", "Ready");
  else showState("down", "No device serves");
  const waiting = figures.queue_depth;
  const texts = [];
  let busy = null;
  if (before && seconds >= before.seconds && now > before.now) {
    busy = Math.min(1, (1000 * (seconds - before.seconds)) / (now - before.now));
    texts.push(`device busy ${percent(Math.round(100 * busy) / 100)} of the time`);
  }
  texts.push(waiting ? `${plural(waiting, "face")} waiting` : "nothing waiting");
  texts.push(`${count(figures.pictures_computed_total)} embedded since start`);
  byId("load").textContent = texts.join(", ");
  byId("load-meter").hidden = busy === null;
  byId("load-meter").firstElementChild.style.width = `${100 * (busy ?? 0)}%`;
  before = { now, seconds };
}

async function readLoad() {
  if (document.hidden) return;
  if (!mayRead) return readReadiness();
  try {
    showLoad(parse(await (await ask("metrics", { quiet: true })).text()));
  } catch (error) {
    before = null;
    byId("load-meter").hidden = true;
    if (error.status === 401 || error.status === 403) {
      mayRead = false;
      await readReadiness();
    } else {
      showState("down", "No answer");
      byId("load").textContent = error.message;
    }
  }
}

/** Without the right to read /metrics there is still /readyz. */
async function readReadiness() {
  byId("load").textContent = "The load is shown to keys with the scope metrics.";
  try {
    await ask("readyz", { quiet: true });
    showState("up", "Ready");
  } catch (error) {
    showState("down", error.message);
  }
}

async function readFacts() {
  try {
    await readModel();
    sayError(byId("facts-error"), null);
    byId("facts-again").hidden = true;
  } catch (error) {
    sayError(byId("facts-error"), error);
    byId("facts-again").hidden = false;
  }
  await readLoad();
}

export function openStatus() {
  addEventListener("modelchange", showModel);
  addEventListener("keychange", () => {
    mayRead = true;
    readLoad();
  });
  byId("facts-again").addEventListener("click", readFacts);
  document.addEventListener("visibilitychange", readLoad);
  setInterval(readLoad, EVERY_MS);
  return readFacts();
}
