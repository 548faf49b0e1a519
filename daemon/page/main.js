// SPDX-License-Identifier: Apache-2.0
//
// main.js -- wakes the page up: the two views, what is pasted or dropped anywhere, the key.

import { forgetKey, hasKey, setKeyAsker } from "./api.js";
import * as compare from "./compare.js";
import { byId } from "./dom.js";
import { filesOf } from "./intake.js";
import { askForKey } from "./key.js";
import * as many from "./many.js";
import { openStatus } from "./status.js";

const views = { two: compare, many };

let view = "two";

function showView() {
  const wanted = location.hash.slice(1);
  if (Object.hasOwn(views, wanted)) view = wanted;
  for (const name of Object.keys(views)) {
    byId(`view-${name}`).hidden = name !== view;
    if (name === view) byId(`link-${name}`).setAttribute("aria-current", "page");
    else byId(`link-${name}`).removeAttribute("aria-current");
  }
}

/** A file dropped beside the places for it would otherwise replace the page. */
function catchDrops() {
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    const files = filesOf(event.dataTransfer);
    if (files.length) views[view].takeFiles(files);
  });
  addEventListener("paste", (event) => {
    const files = filesOf(event.clipboardData);
    if (!files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    views[view].takeFiles(files);
  });
}

function watchKey() {
  setKeyAsker(askForKey);
  addEventListener("keychange", () => (byId("forget-key").hidden = !hasKey()));
  byId("forget-key").addEventListener("click", forgetKey);
}

byId("host").textContent = ` (${location.host})`;
byId("unencrypted").hidden = isSecureContext;
watchKey();
catchDrops();
compare.openCompare();
many.openMany();
addEventListener("hashchange", showView);
showView();
openStatus();
