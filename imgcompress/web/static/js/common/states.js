// The words for states.

import { count } from "./format.js";

const JOB = {
  PENDING: "Waiting",
  PROCESSING: "Compressing",
  COMPLETED: "Done",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};
const OUTCOMES = {
  target_met: "target size reached",
  floor_reached: "stopped to keep quality",
  already_small: "already small",
  larger: "larger",
};

/** Return whether a job is still active. */
export const isActive = (job) => job.status === "PENDING" || job.status === "PROCESSING";

/** Return the word for a job's state. */
export const jobWord = (status) => JOB[status] ?? status;

/** Return the words for the outcome of an image. */
export const outcomeWord = (outcome) => OUTCOMES[outcome] ?? outcome;

/** Show a job's state in a pill: a job that ended with failures says so, in another colour. */
export function showState(pill, job, word = jobWord(job.status)) {
  const partly = job.status === "COMPLETED" && job.failed_images > 0;
  const text = partly ? `${word}, ${count(job.failed_images)} failed` : word;
  if (pill.textContent !== text) pill.textContent = text;
  pill.dataset.state = partly ? "PARTLY" : job.status;
}
