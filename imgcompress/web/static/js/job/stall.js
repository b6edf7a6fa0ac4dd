// A warning that the job has stalled.

import { byId, show, setText } from "../common/dom.js";
import { duration } from "../common/format.js";

/** Show how long the job has made no progress, if the service reports it as stalled. */
export function showStall(job) {
  show(byId("stalled"), job.stalled_since !== null);
  if (job.stalled_since === null) return;
  const seconds = (Date.now() - new Date(job.stalled_since)) / 1000;
  setText(byId("stalled"), `No progress for ${duration(seconds)}. Either no worker is running,`
    + " or the hosts of the images are slow. Nothing is lost: the job continues when a worker is"
    + " available.");
}
