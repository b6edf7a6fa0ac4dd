// The savings of all jobs: one bar for each day or month, with the bytes before and after.

import { attempt } from "../common/api.js";
import { byId, make, show, setText } from "../common/dom.js";
import { bytes, count, counted, percent, saved } from "../common/format.js";

const SVG = "http://www.w3.org/2000/svg";
const DAYS = 30;
const MONTHS = 12;
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en", { month: "short", year: "numeric", timeZone: "UTC" });

/** Show the savings, and again when the period changes; without any, the card stays hidden. */
export function offerSavings() {
  byId("period").addEventListener("change", draw);
  return draw();
}

async function draw() {
  const group = byId("period").value;
  const wanted = group === "day" ? days() : months();
  const asked = new URLSearchParams({ from: `${wanted[0]}-01`.slice(0, 10), group_by: group });
  const answer = await attempt(`/stats?${asked}`);
  // The user may have chosen another period meanwhile.
  if (!answer || byId("period").value !== group) return;
  const { total, periods } = answer.body;
  const found = new Map(periods.map((entry) => [entry.period, entry]));
  const entries = wanted.map((period) => found.get(period)
    ?? { period, jobs: 0, images: 0, failed_images: 0, input_bytes: 0, output_bytes: 0 });
  // Once savings were shown, a period without jobs is shown as well.
  show(byId("savings"), total.jobs > 0 || !byId("savings").hidden);
  setText(byId("saved"), bytes(Math.max(0, total.input_bytes - total.output_bytes)));
  setText(byId("saved-share"), total.input_bytes
    ? percent(Math.max(0, saved(total.input_bytes, total.output_bytes))) : "");
  setText(byId("savings-story"), story(total));
  byId("savings-chart").replaceChildren(...chart(entries, total, group));
  byId("savings-table").replaceChildren(table(entries.filter((entry) => entry.jobs), group));
}

/** Return the last days in UTC, as the service names them. */
function days() {
  const today = Date.now();
  return Array.from({ length: DAYS }, (_, back) =>
    new Date(today - (DAYS - 1 - back) * 86_400_000).toISOString().slice(0, 10));
}

function months() {
  const now = new Date();
  return Array.from({ length: MONTHS }, (_, back) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - (MONTHS - 1 - back), 1))
      .toISOString().slice(0, 7));
}

const nameOf = (period, group) => (group === "day" ? DAY : MONTH).format(new Date(period));

function story(total) {
  const parts = [`${counted(total.images, "image")} in ${counted(total.jobs, "job")}`];
  if (total.unchanged_images) {
    parts.push(`${count(total.unchanged_images)} had not changed`
      + (total.bytes_not_downloaded ? ` (${bytes(total.bytes_not_downloaded)} not downloaded)` : ""));
  }
  if (total.failed_images) parts.push(`${count(total.failed_images)} failed`);
  return parts.join(" · ");
}

function chart(entries, total, group) {
  const most = Math.max(1, ...entries.map((entry) => Math.max(entry.input_bytes, entry.output_bytes)));
  const label = `${bytes(total.input_bytes)} before and ${bytes(total.output_bytes)} after, from`
    + ` ${nameOf(entries[0].period, group)} to ${nameOf(entries.at(-1).period, group)}. The table below`
    + " has the numbers.";
  const svg = element("svg", { class: "savings-bars", role: "img", "aria-label": label });
  const width = 100 / entries.length;
  entries.forEach((entry, place) => {
    const words = `${nameOf(entry.period, group)}: ${bytes(entry.input_bytes)} before,`
      + ` ${bytes(entry.output_bytes)} after`;
    const part = (name, value, share) => element("rect", { class: name, rx: 2,
      x: `${(place + (1 - share) / 2) * width}%`, width: `${share * width}%`,
      y: `${100 - (100 * value) / most}%`, height: `${(100 * value) / most}%` });
    const bar = element("g", {}, element("title", {}), part("before", entry.input_bytes, 0.8),
      part("after", entry.output_bytes, 0.5));
    bar.firstChild.textContent = words;
    svg.append(bar);
  });
  return [
    make("p", { class: "legend" }, make("span", { class: "key-before" }, "before"), " ",
      make("span", { class: "key-after" }, "after"),
      make("span", { class: "push most" }, `up to ${bytes(most)} per ${group}`)),
    svg,
    make("p", { class: "quiet savings-ends", "aria-hidden": "true" },
      make("span", {}, nameOf(entries[0].period, group)),
      make("span", {}, nameOf(entries.at(-1).period, group))),
  ];
}

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function table(entries, group) {
  const head = [group === "day" ? "Day (UTC)" : "Month (UTC)", "Jobs", "Images", "Failed", "Before",
    "After", "Saved"];
  return make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...entries.toReversed().map((entry) => make("tr", {},
      make("th", { scope: "row" }, nameOf(entry.period, group)),
      ...[count(entry.jobs), count(entry.images), count(entry.failed_images),
        bytes(entry.input_bytes), bytes(entry.output_bytes),
        percent(Math.max(0, saved(entry.input_bytes, entry.output_bytes)))]
        .map((text) => make("td", { class: "number" }, text))))));
}
