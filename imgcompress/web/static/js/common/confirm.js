// Deleting, after a question that lists what is lost.

import { call } from "./api.js";
import { byId, make, setText } from "./dom.js";
import { bytes, counted } from "./format.js";
import { isActive } from "./states.js";

/** Ask whether to delete the job, and delete it; return whether it was deleted. Throw as call(). */
export async function deleteAfterAsking(job) {
  if (!(await isConfirmed(`Delete ${job.source_filename}?`, "Delete the job", [
    make("p", {}, "This deletes for good:"),
    make("ul", { class: "goes" }, ...losses(job).map((loss) => make("li", {}, loss))),
    job.completed_images
      ? make("p", {}, "Pages that show these image URLs will show broken images.") : null,
  ]))) return false;
  await call(`/job/${job.request_id}`, { method: "DELETE" });
  return true;
}

/** Ask a question, with `yes` on the button that deletes; return whether it was pressed. */
export function isConfirmed(title, yes, text) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-yes"), yes);
  byId("confirm-text").replaceChildren(...text.filter((part) => part !== null));
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function losses(job) {
  const all = ["the uploaded file and the output CSV"];
  if (job.completed_images) {
    all.push(`${counted(job.completed_images, "compressed image")}, ${bytes(job.output_bytes)}`);
  }
  all.push("the list of failures, and the log of webhooks and e-mails");
  if (isActive(job)) all.push("what is still running: the job stops");
  return all;
}
