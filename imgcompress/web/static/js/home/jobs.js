// The recent jobs, with live percentages.

import { attempt } from "../common/api.js";
import { make, show, setText } from "../common/dom.js";
import { ago, count, percent, saved } from "../common/format.js";
import { repeat } from "../common/repeat.js";
import { isActive, jobWord, showState } from "../common/states.js";

const SHOWN = 8;
const LIVE_MS = 1_500;
const QUIET_MS = 15_000;

/** Keep the list of recent jobs up to date. */
export function followJobs(list, empty) {
  return repeat(async () => {
    const answer = await attempt(`/job?per_page=${SHOWN}`);
    if (!answer) return QUIET_MS;
    const { jobs } = answer.body;
    showJobs(list, jobs);
    show(empty, jobs.length === 0);
    return jobs.some(isActive) ? LIVE_MS : QUIET_MS;
  });
}

/** Update the entries in place, so that the focus stays where it is. */
function showJobs(list, jobs) {
  const known = new Map([...list.children].map((entry) => [entry.dataset.job, entry]));
  const entries = jobs.map((job) => refreshed(known.get(job.request_id) ?? entry(job), job));
  const same = entries.length === list.children.length
    && entries.every((item, place) => item === list.children[place]);
  if (!same) list.replaceChildren(...entries);
}

function entry(job) {
  return make("li", { "data-job": job.request_id },
    make("a", { href: `/jobs/${job.request_id}`, class: "job" },
      make("span", { class: "job-name" }, job.source_filename),
      make("span", { class: "pill" }),
      make("span", { class: "job-summary quiet" }),
      make("span", { class: "bar thin", "aria-hidden": "true" },
        make("span", { class: "bar-done" }), make("span", { class: "bar-failed" }))));
}

function refreshed(item, job) {
  showState(item.querySelector(".pill"), job,
    isActive(job) ? `${job.completion_percentage} %` : jobWord(job.status));
  setText(item.querySelector(".job-summary"), story(job));
  width(item.querySelector(".bar-done"), job.completed_images, job.total_images);
  width(item.querySelector(".bar-failed"), job.failed_images, job.total_images);
  return item;
}

function width(part, images, total) {
  part.style.setProperty("width", `${(100 * images) / Math.max(1, total)}%`);
}

function story(job) {
  const parts = [`${count(job.total_images)} images`, ago(job.created_at)];
  if (job.failed_images && job.status !== "COMPLETED") {
    parts.splice(1, 0, `${count(job.failed_images)} failed`);
  }
  if (job.output_bytes && !isActive(job)) {
    parts.splice(1, 0, `${percent(saved(job.input_bytes, job.output_bytes))} saved`);
  }
  return parts.join(" · ");
}
