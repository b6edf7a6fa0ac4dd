// The speed of a job.

const WINDOW_MS = 15_000;

/** The counts of a job over the last seconds. */
export class Pace {
  #seen = [];

  /** Record how many images are done; return the recent images per second, or null. */
  note(done, now = performance.now()) {
    if (this.#seen.length && done < this.#seen.at(-1).done) this.#seen = [];
    this.#seen.push({ done, now });
    while (now - this.#seen[0].now > WINDOW_MS) this.#seen.shift();
    const first = this.#seen[0];
    return done > first.done ? (1000 * (done - first.done)) / (now - first.now) : null;
  }
}

/** Return the images per second over the whole run of a job that has ended, or null. */
export function paceOfRun(job) {
  const seconds = (new Date(job.finished_at) - new Date(job.started_at)) / 1000;
  return job.started_at && job.finished_at && seconds > 0 ? job.finished_in_run / seconds : null;
}
