// The words for states.

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
