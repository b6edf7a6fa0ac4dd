// The page of all jobs, searched by file name and filtered by status.

import { ServiceError, attempt } from "../common/api.js";
import { deleteAfterAsking } from "../common/confirm.js";
import { byId, make, show, setText, unseen } from "../common/dom.js";
import { ago, bytes, count, percent, saved, time } from "../common/format.js";
import { offerToForget } from "../common/key.js";
import { Pager } from "../common/pager.js";
import { watchReadiness } from "../common/readiness.js";
import { repeat } from "../common/repeat.js";
import { isActive, jobWord, showState } from "../common/states.js";
import { offerSavings } from "./savings.js";

const PER_PAGE = 25;
const LIVE_MS = 2_000;
const QUIET_MS = 15_000;
const TYPING_MS = 300;

const form = byId("job-filter");
const pager = new Pager(byId("pager"), (wanted) => go(wanted));
let page = readAddress();
let typing = null;

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go(1), TYPING_MS);
});
window.addEventListener("popstate", () => {
  page = readAddress();
  look();
});
offerToForget();
watchReadiness();
offerSavings();
const look = repeat(follow);

/** Take the search, the status and the page from the address of this page; return the page. */
function readAddress() {
  const query = new URLSearchParams(window.location.search);
  form.elements.search.value = query.get("search") ?? "";
  form.elements.status.value = query.get("status") ?? "";
  return Math.max(1, Number(query.get("page")) || 1);
}

function chosen() {
  return [["search", form.elements.search.value.trim()], ["status", form.elements.status.value]]
    .filter(([, value]) => value);
}

function go(wanted) {
  page = wanted;
  const query = new URLSearchParams([...chosen(), ...(page > 1 ? [["page", page]] : [])]);
  window.history.replaceState(null, "", query.size ? `?${query}` : window.location.pathname);
  return look();
}

async function follow() {
  const asked = new URLSearchParams([...chosen(), ["page", page], ["per_page", PER_PAGE]]);
  const answer = await attempt(`/job?${asked}`);
  if (!answer) return QUIET_MS;
  const { jobs, next } = answer.body;
  if (!jobs.length && page > 1) {
    // The last job of the last page was deleted.
    page -= 1;
    return 0;
  }
  draw(jobs);
  setText(byId("no-jobs"), chosen().length ? "No jobs match." : "There are no jobs yet.");
  show(byId("no-jobs"), !jobs.length);
  show(byId("jobs-table"), jobs.length > 0);
  pager.show({ page, more: next !== null });
  return jobs.some(isActive) ? LIVE_MS : QUIET_MS;
}

/** Update the rows in place, so that the focus stays where it is. */
function draw(jobs) {
  const body = byId("jobs");
  const known = new Map([...body.children].map((row) => [row.dataset.job, row]));
  const rows = jobs.map((job) => refreshed(known.get(job.request_id) ?? makeRow(job), job));
  const same = rows.length === body.children.length
    && rows.every((row, place) => row === body.children[place]);
  if (!same) body.replaceChildren(...rows);
}

function makeRow(job) {
  const row = make("tr", { "data-job": job.request_id },
    make("th", { scope: "row" }, make("a", { href: `/jobs/${job.request_id}` }, job.source_filename)),
    make("td", {}, make("span", { class: "pill" })),
    make("td", { class: "number", "data-is": "images" }),
    make("td", { class: "number", "data-is": "saved" }),
    make("td", {}, make("time", { datetime: job.created_at, title: time(job.created_at) })),
    make("td", {}, make("button", { type: "button", class: "link", onclick: () => remove(row) },
      "Delete", unseen(` ${job.source_filename}`))));
  return row;
}

function refreshed(row, job) {
  row.job = job;
  const word = isActive(job) ? `${jobWord(job.status)}, ${job.completion_percentage} %`
    : jobWord(job.status);
  showState(row.querySelector(".pill"), job, word);
  setText(row.querySelector("[data-is=images]"), count(job.total_images));
  setText(row.querySelector("[data-is=saved]"), job.output_bytes
    ? `${percent(Math.max(0, saved(job.input_bytes, job.output_bytes)))} of`
      + ` ${bytes(job.input_bytes)}`
    : "–");
  setText(row.querySelector("time"), ago(job.created_at));
  return row;
}

async function remove(row) {
  const name = row.job.source_filename;
  try {
    if (!(await deleteAfterAsking(row.job))) return;
    say(`${name} was deleted.`);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    (next?.querySelector("button") ?? byId("search")).focus();
    row.remove();
  } catch (error) {
    say(error.message, error instanceof ServiceError ? "bad" : "");
  }
  look();
}

function say(text, mood = "") {
  setText(byId("said"), text);
  byId("said").className = `said ${mood}`;
}
