// The job's name, state and times.

import { byId, setText } from "../common/dom.js";
import { counted, duration, time } from "../common/format.js";
import { isActive, showState } from "../common/states.js";

/** Show the head of the page. */
export function showHead(job) {
  showState(byId("state"), job);
  const parts = [`${counted(job.total_images, "image")} in ${counted(job.total_rows, "row")}`,
    `uploaded ${time(job.created_at)}`];
  if (!isActive(job) && job.started_at && job.finished_at) {
    parts.push(`took ${duration((new Date(job.finished_at) - new Date(job.started_at)) / 1000)}`);
  }
  if (job.error_message) parts.push(job.error_message);
  setText(byId("times"), parts.join(" · "));
}
