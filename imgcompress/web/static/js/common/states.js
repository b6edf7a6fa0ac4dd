// The words for states.

const JOB = {
  PENDING: "Waiting",
  PROCESSING: "Compressing",
  COMPLETED: "Done",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};
const OUTCOMES = {
  target_met: "as small as promised",
  floor_reached: "stopped to keep quality",
  already_small: "already small",
  larger: "larger",
};

/** Tell whether a job is still going on. */
export const isActive = (job) => job.status === "PENDING" || job.status === "PROCESSING";

/** Return the word for a job's state. */
export const jobWord = (status) => JOB[status] ?? status;

/** Return the words for what became of an image. */
export const outcomeWord = (outcome) => OUTCOMES[outcome] ?? outcome;
