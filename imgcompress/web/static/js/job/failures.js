// The failures by reason and host, each with advice and buttons.

import { byId, make, show, unseen } from "../common/dom.js";
import { count, counted } from "../common/format.js";
import { here } from "./images.js";

let shown = "";

/** Show the failures; `retry(path)` retries a group, `look(failure)` shows it in the gallery. */
export function showFailures(job, { retry, look }) {
  show(byId("failures"), job.failed_images > 0);
  const news = JSON.stringify(job.errors);
  if (news === shown) return;
  shown = news;
  const list = byId("failure-list");
  const focused = document.activeElement?.closest("#failure-list li")?.dataset.group;
  list.replaceChildren(...job.errors.map((failure) => entry(failure, retry, look)));
  // The entries are new elements; the focus stays with the group, or near it.
  if (focused === undefined) return;
  const same = [...list.children].find((item) => item.dataset.group === focused);
  (same?.querySelector("button") ?? byId("filename")).focus();
}

/** Return the name of a group of failures. */
export function nameOf(failure) {
  return [failure.code, failure.host, failure.found].filter(Boolean).join(" · ");
}

function entry(failure, retry, look) {
  const group = nameOf(failure);
  return make("li", { "data-group": group },
    make("p", { class: "failure-head" },
      make("b", {}, counted(failure.count, "image")), " from ", make("b", {}, failure.host),
      failure.found ? `: ${failure.found} ` : " ",
      make("code", {}, failure.code)),
    make("p", {}, adviceOn(failure.code)),
    make("p", { class: "failure-ways quiet" },
      `For example row ${count(failure.example_row)}. `,
      make("button", { type: "button", class: "link", onclick: () => look(failure) },
        "Show", unseen(` ${group}`)),
      failure.retry_url === null ? null : make("button", {
        type: "button", class: "link", onclick: () => retry(here(failure.retry_url)) },
      `Retry ${failure.count === 1 ? "this image" : "these images"}`, unseen(`: ${group}`))));
}

/** Return the advice on a failure; the page contains the service's table of advice. */
function adviceOn(code) {
  const known = [...byId("advice").querySelectorAll("dt")].find((term) => term.textContent === code);
  return known?.nextElementSibling.textContent ?? "";
}
