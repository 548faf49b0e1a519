// SPDX-License-Identifier: Apache-2.0
//
// dom.js -- make and fill elements. What comes from outside (names of files, answers) only ever
// becomes text: nothing on this page writes HTML, and its policy forbids it (trusted types).

export const byId = (id) => document.getElementById(id);

/** Make an element. Attributes that are null or false are left out, true ones are empty. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes))
    if (value === true) element.setAttribute(attribute, "");
    else if (value !== null && value !== false) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

/** The same of SVG. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

/** Show `text` in an element that is hidden while it has none. */
export function say(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

/** Show what went wrong in the server's own words, with its code, or hide it for null. */
export function sayError(element, error) {
  element.hidden = !error;
  element.replaceChildren();
  if (!error) return;
  element.append(error.message);
  if (error.code) element.append(" ", el("code", {}, error.code));
  if (error.requestId) element.append(" ", el("small", {}, `request ${error.requestId}`));
}

/** Terms and their values into a <dl>. */
export function define(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))),
  );
}

/** Options [value, text] into a <select>; keeps what is chosen when it is still there. */
export function offer(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}
