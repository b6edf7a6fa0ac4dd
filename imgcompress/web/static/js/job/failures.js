// The failures by reason and host, each with advice and a way on.

import { byId, make, show } from "../common/dom.js";
import { count, counted } from "../common/format.js";
import { isActive } from "../common/states.js";

let shown = "";

/** Show the failures; `retry(codes)` tries some again, and `look()` shows them in the gallery. */
export function showFailures(job, { retry, look }) {
  show(byId("failures"), job.failed_images > 0);
  const news = JSON.stringify([job.errors, isActive(job)]);
  if (news === shown) return;
  shown = news;
  byId("failure-list").replaceChildren(
    ...job.errors.map((failure) => entry(failure, isActive(job), retry, look)));
}

function entry(failure, active, retry, look) {
  return make("li", {},
    make("p", { class: "failure-head" },
      make("b", {}, counted(failure.count, "image")), " from ", make("b", {}, failure.host),
      failure.found ? `: ${failure.found} ` : " ",
      make("code", {}, failure.code)),
    make("p", {}, adviceOn(failure.code)),
    make("p", { class: "failure-ways quiet" },
      `For example row ${count(failure.example_row)}. `,
      make("button", { type: "button", class: "link", onclick: look }, "Show"),
      active ? null : make("button", {
        type: "button", class: "link", onclick: () => retry([failure.code]) },
      `Retry ${failure.code}`)));
}

/** Return what to do about a failure; the page holds the table of the service. */
function adviceOn(code) {
  const known = [...byId("advice").querySelectorAll("dt")].find((term) => term.textContent === code);
  return known?.nextElementSibling.textContent ?? "";
}
