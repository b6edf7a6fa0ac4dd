// The page of feeds: each with its last run, and a form that creates one.

import { attempt, call } from "../common/api.js";
import { isConfirmed } from "../common/confirm.js";
import { byId, make, show, setText, unseen } from "../common/dom.js";
import { ago, counted, interval, time, until } from "../common/format.js";
import { offerToForget } from "../common/key.js";
import { watchReadiness } from "../common/readiness.js";
import { repeat } from "../common/repeat.js";
import { isActive, jobWord, showState } from "../common/states.js";

const LIVE_MS = 1_500;
const QUIET_MS = 15_000;
const SAID_MS = 10_000;

const form = byId("feed");
// The last job of each feed, by its id, as last read.
const jobs = new Map();
let forgetting = null;

offerToForget();
watchReadiness();
const look = repeat(follow);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = [...new FormData(form)].filter(([, value]) => value.trim() !== "");
  showIssues([]);
  byId("create").disabled = true;
  try {
    await call("/feeds", { method: "POST", body: new URLSearchParams(fields) });
    form.reset();
    say("Feed created. Its first run is starting now.");
    byId("feeds-title").focus();
  } catch (error) {
    showIssues(error.problem?.errors ?? [], error.message);
  }
  byId("create").disabled = false;
  look();
});

async function follow() {
  const answer = await attempt("/feeds");
  if (!answer) return QUIET_MS;
  const { feeds } = answer.body;
  for (const { last_request_id: id } of feeds) await readJob(id);
  draw(feeds);
  show(byId("no-feeds"), feeds.length === 0);
  return feeds.some(isBusy) ? LIVE_MS : QUIET_MS;
}

/** Read the last job of a feed, until it has ended. */
async function readJob(id) {
  const known = jobs.get(id);
  if (id === null || (known && !isActive(known))) return;
  const answer = await attempt(`/job/status/${id}`);
  jobs.set(id, answer?.body ?? known ?? null);
}

function isBusy(feed) {
  const job = jobs.get(feed.last_request_id);
  return (job && isActive(job)) || (feed.next_run_at && new Date(feed.next_run_at) < new Date());
}

/** Draw the feeds; those without changes keep their elements. */
function draw(feeds) {
  const list = byId("feeds");
  const known = new Map([...list.children].map((item) => [item.dataset.says, item]));
  const focused = document.activeElement?.closest("#feeds button");
  const owner = focused?.closest("li").dataset.feed;
  const items = feeds.map((feed) => {
    const job = jobs.get(feed.last_request_id) ?? null;
    const says = JSON.stringify([feed, job && [job.status, job.completion_percentage],
      feed.next_run_at && until(feed.next_run_at), feed.last_run && ago(feed.last_run.ended_at)]);
    return known.get(says) ?? makeItem(feed, job, says);
  });
  const same = items.length === list.children.length
    && items.every((item, place) => item === list.children[place]);
  if (same) return;
  list.replaceChildren(...items);
  // The focus stays with the same button of the same feed, though the element is new.
  if (!focused) return;
  const item = items.find((one) => one.dataset.feed === owner);
  (item?.querySelector(`[data-does="${focused.dataset.does}"]`) ?? byId("feeds-title")).focus();
}

function makeItem(feed, job, says) {
  const paused = feed.state === "PAUSED";
  const name = unseen(` ${feed.csv_url}`);
  const button = (does, text, act) => make("button",
    { type: "button", "data-does": does, onclick: act }, text, name.cloneNode(true));
  return make("li", { "data-says": says, "data-feed": feed.feed_id },
    make("div", { class: "feed-head" },
      make("h3", {}, feed.csv_url),
      make("span", { class: "pill", "data-state": paused ? "CANCELLED" : "COMPLETED" },
        paused ? "Paused" : "Active")),
    make("p", { class: "quiet" }, planOf(feed)),
    lastRun(feed),
    jobLine(job),
    make("div", { class: "buttons" },
      paused ? null : button("run", "Run now", () => act(feed, "run", "A run is starting.")),
      paused
        ? button("pause", "Resume", () => act(feed, "resume", "Feed resumed."))
        : button("pause", "Pause", () => act(feed, "pause", "Feed paused.")),
      make("button", { type: "button", class: "danger-quiet", "data-does": "delete",
        onclick: () => remove(feed) }, "Delete …", name)));
}

function planOf(feed) {
  const { options } = feed;
  const plan = [`Fetched ${interval(feed.every_seconds)}`];
  if (feed.next_run_at) plan.push(`next run ${until(feed.next_run_at)}`);
  plan.push(options.quality ? `quality ${options.quality}`
    : `at least ${options.compression_percentage} % smaller`);
  if (options.format !== "keep") plan.push(options.format.toUpperCase());
  return plan.join(" · ");
}

function lastRun({ last_run: run }) {
  if (run === null) return make("p", {}, "No run has ended yet.");
  const outcome = {
    job: "made a job.",
    not_modified: "the catalogue has not changed.",
    failed: run.message,
  }[run.outcome] ?? run.outcome;
  return make("p", { class: `feed-run ${run.outcome === "failed" ? "bad" : ""}` }, "Last run ",
    make("time", { datetime: run.ended_at, title: time(run.ended_at) }, ago(run.ended_at)),
    `: ${outcome}`);
}

/** Return the line about the last job: its state, and the changes it found. */
function jobLine(job) {
  if (!job) return null;
  const pill = make("span", { class: "pill" });
  showState(pill, job, isActive(job) ? `${job.completion_percentage} %` : jobWord(job.status));
  const counts = job.since_request_id === null
    ? [counted(job.total_images, "image")]
    : [`${job.new_images} new`, `${job.changed_images} changed`, `${job.unchanged_images} unchanged`,
      `${job.removed_images} removed`];
  return make("p", {}, make("a", { href: `/jobs/${job.request_id}` }, "Its last job"), " ", pill,
    make("span", { class: "quiet" }, ` ${counts.join(" · ")}`));
}

async function act(feed, action, done) {
  try {
    await call(`/feeds/${feed.feed_id}/${action}`, { method: "POST" });
    say(done);
  } catch (error) {
    say(error.message, "bad");
  }
  look();
}

async function remove(feed) {
  if (!(await isConfirmed("Delete this feed?", "Delete the feed", [
    make("p", {}, `${feed.csv_url} will no longer be fetched. Its jobs and their images are kept.`),
  ]))) return;
  try {
    await call(`/feeds/${feed.feed_id}`, { method: "DELETE" });
    say("Feed deleted.");
    byId("feeds-title").focus();
  } catch (error) {
    say(error.message, "bad");
  }
  look();
}

/** Show each issue at its field, and the others above the button. */
function showIssues(issues, message = "") {
  const others = [];
  for (const place of form.querySelectorAll(".error")) setText(place, "");
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  for (const issue of issues) {
    const place = byId(`${issue.field}-error`);
    if (!place) {
      others.push(issue.message);
      continue;
    }
    setText(place, issue.message);
    const field = form.elements[issue.field];
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", place.id);
  }
  setText(byId("other-error"), issues.length ? others.join(" ") : message);
  form.querySelector("[aria-invalid]")?.focus();
}

/** Show what was done, for a while; an error stays until the next action. */
function say(text, mood = "") {
  clearTimeout(forgetting);
  setText(byId("said"), text);
  byId("said").className = `said ${mood}`;
  if (!mood) forgetting = setTimeout(() => setText(byId("said"), ""), SAID_MS);
}
