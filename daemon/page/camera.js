// SPDX-License-Identifier: Apache-2.0
//
// camera.js -- take a picture with the camera, where the browser would allow that at all: it does so
// on encrypted connections and on the machine itself, and there may be no camera.

import { byId, sayError } from "./dom.js";

/** Whether to offer it. */
export async function hasCamera() {
  if (!isSecureContext || !navigator.mediaDevices?.getUserMedia) return false;
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.some((device) => device.kind === "videoinput");
}

/** Call `tell(offered)` now and whenever cameras come and go. */
export async function watchCameras(tell) {
  const look = async () => tell(await hasCamera().catch(() => false));
  if (isSecureContext) navigator.mediaDevices?.addEventListener("devicechange", look);
  await look();
}

const texts = {
  NotAllowedError: "The browser was not allowed to use the camera.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is used by another program.",
};

const stop = (stream) => stream?.getTracks().forEach((track) => track.stop());

async function photograph(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return blob && new File([blob], "camera.jpg", { type: "image/jpeg" });
}

/** Show the camera; gives a File, or null when the user thinks better of it. */
export function takePicture() {
  const dialog = byId("camera-dialog");
  const video = byId("camera-view");
  const take = byId("camera-take");
  const other = byId("camera-other");
  const cancel = byId("camera-cancel");
  let stream = null;
  let facing = "user";
  let picture = null;

  async function open() {
    stop(stream);
    take.disabled = true;
    sayError(byId("camera-error"), null);
    try {
      const wanted = { facingMode: facing, width: { ideal: 1280 }, height: { ideal: 960 } };
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (!dialog.open) return stop(stream);
      video.srcObject = stream;
      await video.play();
      video.classList.toggle("mirrored", facing === "user");
      take.disabled = false;
      const devices = await navigator.mediaDevices.enumerateDevices();
      other.hidden = devices.filter((device) => device.kind === "videoinput").length < 2;
    } catch (error) {
      const message = texts[error.name] ?? `The camera failed: ${error.message}`;
      if (dialog.open) sayError(byId("camera-error"), { message });
    }
  }

  return new Promise((resolve) => {
    const listeners = new AbortController();
    const on = (element, event, action) =>
      element.addEventListener(event, action, { signal: listeners.signal });
    on(cancel, "click", () => dialog.close());
    on(other, "click", () => {
      facing = facing === "user" ? "environment" : "user";
      open();
    });
    on(take, "click", async () => {
      picture = await photograph(video);
      dialog.close();
    });
    on(dialog, "close", () => {
      listeners.abort();
      stop(stream);
      video.srcObject = null;
      resolve(picture);
    });
    dialog.showModal();
    open();
  });
}
