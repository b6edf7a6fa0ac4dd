// The issues of an upload, as a table.

import { make, show } from "../common/dom.js";
import { count, counted } from "../common/format.js";
import { labelOf } from "./options.js";

/** Show the issues that the service has found in the file and in the options; none hides them. */
export function showFaults(place, form, faults = [], total = faults.length) {
  show(place, faults.length > 0);
  if (!faults.length) {
    place.replaceChildren();
    return;
  }
  const head = ["Row", "Column", "Issue", "Value"];
  const table = make("table", { class: "faults" },
    make("caption", {}, caption(faults.length, total)),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...faults.map((fault) => row(form, fault))));
  place.replaceChildren(make("div", {
    class: "scroll", tabindex: "0", role: "group", "aria-label": "Issues" }, table));
}

/** Return whether an issue is in an option and not in the file. */
export const inOption = (fault) => fault.field !== "file";

function caption(shown, total) {
  return total > shown
    ? `The first ${count(shown)} of ${counted(total, "issue")}`
    : counted(total, "issue");
}

function row(form, fault) {
  return make("tr", {},
    make("td", { class: "number" }, fault.row === null ? "–" : count(fault.row)),
    make("td", {}, inOption(fault) ? labelOf(form, fault.field) : fault.column ?? "–"),
    make("td", {}, fault.message),
    make("td", {}, fault.value === null ? "–" : make("code", {}, fault.value)));
}
