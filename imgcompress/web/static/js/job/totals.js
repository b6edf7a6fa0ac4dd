// The bytes before and after, in all.

import { byId, tell } from "../common/dom.js";
import { bytes, counted, percent, saved } from "../common/format.js";

/** Show what was saved so far. */
export function showTotals(job) {
  if (!job.completed_images) return;
  tell(byId("saved"), bytes(Math.max(0, job.input_bytes - job.output_bytes)));
  tell(byId("saved-share"), ` ${percent(Math.max(0, saved(job.input_bytes, job.output_bytes)))}`);
  tell(byId("totals"), `${counted(job.completed_images, "image")}: ${bytes(job.input_bytes)} before,`
    + ` ${bytes(job.output_bytes)} now.`);
}
