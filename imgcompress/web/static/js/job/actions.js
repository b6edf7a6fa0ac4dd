// Actions on the job: download the results, cancel, retry, delete.

import { call } from "../common/api.js";
import { deleteAfterAsking } from "../common/confirm.js";
import { byId, show, setText } from "../common/dom.js";
import { isActive } from "../common/states.js";

const SAID_MS = 10_000;

/** The buttons of the page. */
export class Actions {
  #id;
  #changed;
  #job = null;
  #forgetting = null;

  /** `changed` is called when an action has changed the job. */
  constructor(id, changed) {
    this.#id = id;
    this.#changed = changed;
    byId("cancel").addEventListener("click", () => this.#do(
      `/job/cancel/${id}`, "The job was cancelled. Finished images are kept."));
    byId("retry").addEventListener("click", () => this.retry(`/job/retry/${id}`));
    byId("delete").addEventListener("click", () => this.#delete());
  }

  /** Show the buttons that apply to the job's state, and keep the focus on the page. */
  show(job) {
    const focused = document.activeElement;
    this.#job = job;
    const ended = !isActive(job);
    const partial = ended ? "" : "?partial=true";
    byId("csv").href = `/job/download/${this.#id}${partial}`;
    byId("zip").href = `/job/archive/${this.#id}${partial}`;
    const format = job.download_format.toUpperCase();
    setText(byId("csv"), ended ? `Download the ${format}` : `${format} so far`);
    setText(byId("zip"), ended ? "Download the images (ZIP)" : "Images so far (ZIP)");
    byId("csv").classList.toggle("primary", ended);
    show(byId("zip"), job.completed_images > 0);
    show(byId("cancel"), !ended);
    show(byId("retry"), job.retry_url !== null && canHelp(job));
    setText(byId("retry"), job.status === "CANCELLED" ? "Resume" : "Retry failed images");
    if (focused?.hidden) byId("filename").focus();
  }

  /** POST to a link that retries failed images. */
  retry(path) {
    return this.#do(path, "Retrying the images.");
  }

  async #do(path, done) {
    try {
      await call(path, { method: "POST" });
      this.#say(done);
    } catch (error) {
      this.#say(error.message, "bad");
    }
    this.#changed();
  }

  async #delete() {
    try {
      if (await deleteAfterAsking(this.#job)) window.location.assign("/jobs");
    } catch (error) {
      this.#say(error.message, "bad");
    }
  }

  /** Show what was done, for a while; an error stays until the next action. */
  #say(text, mood = "") {
    clearTimeout(this.#forgetting);
    setText(byId("said"), text);
    byId("said").className = `said ${mood}`;
    if (!mood) this.#forgetting = setTimeout(() => setText(byId("said"), ""), SAID_MS);
  }
}

/** Return whether a retry can help any image, according to the failures that the status lists. */
function canHelp(job) {
  const listed = job.errors.reduce((sum, failure) => sum + failure.count, 0);
  return job.status === "CANCELLED" || listed < job.failed_images
    || job.errors.some((failure) => failure.retry_url !== null);
}
