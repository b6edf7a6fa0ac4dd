// The API key, where the installation asks for one. The service keeps it in a cookie that no
// script can read, so this page cannot leak it.

import { byId, show, setText } from "./dom.js";

/** The window's event after the service has accepted a key. */
export const KEY_TAKEN = "key-taken";

let asking = null;

/** Ask the user for the key; the promise resolves when the service has accepted it. */
export function askForKey() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  return asking;
}

function ask() {
  const dialog = byId("key-dialog");
  const form = byId("key-form");
  dialog.showModal();
  // Escape would leave a page that can show nothing.
  dialog.oncancel = (event) => event.preventDefault();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const error = await offer(byId("key").value);
      setText(byId("key-error"), error ?? "");
      byId("key").setAttribute("aria-invalid", String(error !== null));
      if (error !== null) return;
      form.reset();
      dialog.close();
      show(byId("forget-key"));
      window.dispatchEvent(new Event(KEY_TAKEN));
      resolve();
    };
  });
}

/** Send a key to the service; return why it was rejected, or null. */
async function offer(key) {
  try {
    const answer = await fetch("/session", { method: "POST", body: new URLSearchParams({ key }) });
    return answer.ok ? null : (await answer.json()).detail;
  } catch {
    return "The service is not responding. Try again in a moment.";
  }
}

/** Make the button forget the key. */
export function offerToForget() {
  byId("forget-key").addEventListener("click", async () => {
    await fetch("/session", { method: "DELETE" });
    window.location.reload();
  });
}
