// Saying plainly that the work stands still.

import { byId, show, setText } from "../common/dom.js";
import { duration } from "../common/format.js";

/** Show since when the job has not moved, if the service says that it should have. */
export function showStall(job) {
  show(byId("stalled"), job.stalled_since !== null);
  if (job.stalled_since === null) return;
  const seconds = (Date.now() - new Date(job.stalled_since)) / 1000;
  setText(byId("stalled"), `Nothing has happened for ${duration(seconds)}. Either no worker is running,`
    + " or the hosts of the images are slow. Nothing is lost: the job continues when a worker is"
    + " available.");
}
