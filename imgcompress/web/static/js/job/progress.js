// The bar, the counts, the pace and the time left.

import { byId, setText } from "../common/dom.js";
import { count, counted, duration, short } from "../common/format.js";
import { isActive, jobWord } from "../common/states.js";
import { Pace, paceOfRun } from "./pace.js";

// Screen readers announce the progress at these steps, and the end.
const STEP = 25;

/** The progress of the job. */
export class Progress {
  #pace = new Pace();
  #announced = null;

  show(job) {
    const done = job.completed_images + job.failed_images;
    setText(byId("percent"), String(job.completion_percentage));
    this.#showBar(job);
    setText(byId("completed"), count(job.completed_images));
    setText(byId("failed"), count(job.failed_images));
    byId("failed").classList.toggle("bad", job.failed_images > 0);
    setText(byId("waiting"), count(job.total_images - done));
    setText(byId("waiting-label"), job.status === "CANCELLED" ? "Not done" : "Waiting");
    const recent = this.#pace.note(done);
    this.#showTimes(job, isActive(job) ? recent : paceOfRun(job));
    this.#announce(job);
  }

  #showBar(job) {
    byId("bar").setAttribute("aria-valuenow", job.completion_percentage);
    byId("bar").classList.toggle("live", isActive(job));
    const width = (images) => `${(100 * images) / Math.max(1, job.total_images)}%`;
    byId("bar-done").style.setProperty("width", width(job.completed_images));
    byId("bar-failed").style.setProperty("width", width(job.failed_images));
  }

  #showTimes(job, pace) {
    setText(byId("pace"), pace === null ? "–" : short(pace));
    setText(byId("time-label"), isActive(job) ? "Time left" : "Time taken");
    setText(byId("time"), isActive(job) ? timeLeft(job) : timeTaken(job));
  }

  #announce(job) {
    const step = isActive(job)
      ? STEP * Math.floor(job.completion_percentage / STEP)
      : job.status;
    if (step === this.#announced) return;
    const first = this.#announced === null;
    this.#announced = step;
    if (first && !isActive(job)) return;
    setText(byId("unseen-progress"), isActive(job)
      ? `${job.completion_percentage} per cent of the images are done.`
      : `${jobWord(job.status)}. ${counted(job.completed_images, "image")} compressed,`
        + ` ${count(job.failed_images)} failed.`);
  }
}

const timeLeft = (job) => (job.eta_seconds === null ? "–" : duration(job.eta_seconds));

function timeTaken(job) {
  if (!job.started_at || !job.finished_at) return "–";
  return duration((new Date(job.finished_at) - new Date(job.started_at)) / 1000);
}
