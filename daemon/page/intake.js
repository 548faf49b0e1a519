// SPDX-License-Identifier: Apache-2.0
//
// intake.js -- the ways for pictures to come in: chosen, dropped, taken with the camera. Pasting is
// for the whole page and main.js sees to it.

import { takePicture, watchCameras } from "./camera.js";

/** The files in what was dropped or pasted. */
export const filesOf = (transfer) => [...(transfer?.files ?? [])];

/**
 * Hand files to `take`. `room`: where they may be dropped; `choose`, `camera`: buttons; `input`: the
 * file field behind the first.
 */
export function openIntake({ room, choose, camera, input, take }) {
  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file may be chosen again
    if (files.length) take(files);
  });
  camera.addEventListener("click", async () => {
    const picture = await takePicture();
    if (picture) take([picture]);
  });
  watchCameras((offered) => (camera.hidden = !offered));

  let depth = 0; // dragenter comes for every child
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    room.classList.toggle("dropping", depth > 0);
  };
  room.addEventListener("dragenter", () => mark(1));
  room.addEventListener("dragleave", () => mark(-1));
  room.addEventListener("drop", (event) => {
    mark(-depth);
    event.preventDefault();
    const files = filesOf(event.dataTransfer);
    if (files.length) take(files);
  });
}
