// What can be done with the job: take the results, cancel, retry.

import { call } from "../common/api.js";
import { byId, show, tell } from "../common/dom.js";
import { isActive } from "../common/states.js";

/** The buttons of the page. */
export class Actions {
  #id;
  #changed;

  /** `changed` is called when the job is another one than before. */
  constructor(id, changed) {
    this.#id = id;
    this.#changed = changed;
    byId("csv").href = `/job/download/${id}`;
    byId("zip").href = `/job/archive/${id}`;
    byId("cancel").addEventListener("click", () => this.#do(
      `/job/cancel/${id}`, "The job was cancelled. Finished images are kept."));
    byId("retry").addEventListener("click", () => this.retry([]));
  }

  /** Show the buttons that make sense now. */
  show(job) {
    const ended = !isActive(job);
    show(byId("csv"), ended);
    show(byId("zip"), ended && job.completed_images > 0);
    show(byId("cancel"), !ended);
    show(byId("retry"), job.retry_url !== null);
    tell(byId("retry"), job.status === "CANCELLED" ? "Resume" : "Retry failed images");
  }

  /** Try failed images again: those with one of these codes, or all. */
  retry(codes) {
    const query = codes.length ? `?${new URLSearchParams({ codes: codes.join(",") })}` : "";
    return this.#do(`/job/retry/${this.#id}${query}`, "Retrying the images.");
  }

  async #do(path, done) {
    try {
      await call(path, { method: "POST" });
      tell(byId("said"), done);
      byId("said").className = "said";
    } catch (error) {
      tell(byId("said"), error.message);
      byId("said").className = "said bad";
    }
    this.#changed();
  }
}
