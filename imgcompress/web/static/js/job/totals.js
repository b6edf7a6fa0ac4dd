// The total bytes before and after, and the changes since an earlier job.

import { byId, show, setText } from "../common/dom.js";
import { bytes, count, counted, percent, saved } from "../common/format.js";

const CHANGES = ["new_images", "changed_images", "unchanged_images", "removed_images"];

/** Show the bytes saved so far. */
export function showTotals(job) {
  showChanges(job);
  if (!job.completed_images) return;
  setText(byId("saved"), bytes(Math.max(0, job.input_bytes - job.output_bytes)));
  setText(byId("saved-share"), ` ${percent(Math.max(0, saved(job.input_bytes, job.output_bytes)))}`);
  setText(byId("totals"), `${counted(job.completed_images, "image")}: ${bytes(job.input_bytes)} before,`
    + ` ${bytes(job.output_bytes)} now.${looksOf(job)}${adviceOf(job)}`);
}

/** Return a sentence about the scores of the images, if there are any. */
function looksOf(job) {
  const scores = job.scores;
  return scores ? ` Looks: ${scores.rating} (median ${scores.median} of 100, lowest`
    + ` ${scores.lowest}).` : "";
}

/** Return a sentence for each format that would save more. */
const adviceOf = (job) => (job.advice ?? []).map((one) => ` As ${one.format.toUpperCase()},`
  + ` ${counted(one.images, "image")} would save about ${bytes(one.saved_bytes)} more.`).join("");

/** Show the counts of new, changed, unchanged and removed images, if the job was compared. */
function showChanges(job) {
  const compared = job.since_request_id !== null;
  show(byId("changes"), compared);
  show(byId("change-filters"), compared);
  if (!compared) return;
  byId("since").href = `/jobs/${job.since_request_id}`;
  for (const name of CHANGES) setText(byId(name), count(job[name] ?? 0));
  setText(byId("bytes_not_downloaded"), bytes(job.bytes_not_downloaded ?? 0));
}
