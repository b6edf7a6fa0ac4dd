// The page of a job: polls its status, and updates every part of the page.

import { ServiceError, Unreachable, call } from "../common/api.js";
import { byId, show, setText } from "../common/dom.js";
import { offerToForget } from "../common/key.js";
import { watchReadiness } from "../common/readiness.js";
import { repeat } from "../common/repeat.js";
import { isActive } from "../common/states.js";
import { Actions } from "./actions.js";
import { Chart } from "./chart.js";
import { Deliveries } from "./deliveries.js";
import { showFailures } from "./failures.js";
import { Gallery } from "./gallery.js";
import { showHead } from "./head.js";
import { Progress } from "./progress.js";
import { showStall } from "./stall.js";
import { showTotals } from "./totals.js";

const LIVE_MS = 1_000;
// A job that has ended changes if it is retried, or when a delivery makes progress.
const ENDED_MS = 5_000;
// The page waits for a delivery that is due within this time.
const SOON_MS = 10_000;

const id = byId("job").dataset.requestId;
let etag = null;
let job = null;

const gallery = new Gallery(id);
const actions = new Actions(id, refresh);
const parts = [new Progress(), actions, gallery, new Chart(id), new Deliveries(id, refresh)];

const wake = repeat(follow);
offerToForget();
watchReadiness();

async function follow() {
  try {
    const answer = await call(`/job/status/${id}`, { etag });
    if (answer.status !== 304) {
      ({ body: job, etag } = answer);
      showAll();
    }
    showStall(job);
    return isActive(job) || deliversSoon(job) ? LIVE_MS : ENDED_MS;
  } catch (error) {
    if (!(error instanceof ServiceError || error instanceof Unreachable)) throw error;
    if (error.status !== 404) return ENDED_MS;
    show(byId("job"), false);
    show(byId("lost"));
    return null;
  }
}

function showAll() {
  show(byId("job"));
  setText(byId("filename"), job.source_filename);
  document.title = `${isActive(job) ? `${job.completion_percentage} % · ` : ""}`
    + `${job.source_filename} · imgcompress`;
  showHead(job);
  showTotals(job);
  showFailures(job, {
    retry: (path) => actions.retry(path),
    look: (failure) => gallery.choose(failure),
  });
  for (const part of parts) part.show(job);
}

/** Read the status at once, without its ETag. */
function refresh() {
  etag = null;
  wake();
}

/** Return whether a webhook or an e-mail is about to be sent. */
function deliversSoon({ last_delivery: delivery }) {
  return delivery?.next_attempt_at && new Date(delivery.next_attempt_at) - Date.now() < SOON_MS;
}
