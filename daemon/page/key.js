// SPDX-License-Identifier: Apache-2.0
//
// key.js -- the question for a key. The field is no password field, so that no browser offers to
// keep what is typed; it is emptied as soon as the question is closed.

import { byId, say } from "./dom.js";

/** A key, or null when the user gives none. `reason`: why the one before was refused, or "". */
export function askForKey(reason) {
  const dialog = byId("key-dialog");
  const field = byId("key");
  say(byId("key-error"), reason);
  return new Promise((resolve) => {
    let given = null;
    const submit = (event) => {
      event.preventDefault();
      given = field.value.trim() || null;
      dialog.close();
    };
    const cancel = () => dialog.close();
    const form = dialog.querySelector("form");
    form.addEventListener("submit", submit);
    byId("key-cancel").addEventListener("click", cancel);
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", submit);
        byId("key-cancel").removeEventListener("click", cancel);
        field.value = "";
        resolve(given);
      },
      { once: true },
    );
    dialog.showModal();
    field.focus();
  });
}
