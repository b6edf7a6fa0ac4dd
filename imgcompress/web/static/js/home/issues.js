// The issues of an upload, as a table.

import { make, show } from "../common/dom.js";
import { count, counted } from "../common/format.js";
import { labelOf } from "./options.js";

/** Show the issues that the service found in the file and in the options; hide the table if none. */
export function showIssues(place, form, issues = [], total = issues.length) {
  show(place, issues.length > 0);
  if (!issues.length) {
    place.replaceChildren();
    return;
  }
  const head = ["Row", "Column", "Issue", "Value"];
  const table = make("table", { class: "issues" },
    make("caption", {}, caption(issues.length, total)),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...issues.map((issue) => row(form, issue))));
  place.replaceChildren(make("div", {
    class: "scroll", tabindex: "0", role: "group", "aria-label": "Issues" }, table));
}

/** Return whether an issue is in an option, not in the file. */
export const inOption = (issue) => issue.field !== "file";

function caption(shown, total) {
  return total > shown
    ? `The first ${count(shown)} of ${counted(total, "issue")}`
    : counted(total, "issue");
}

function row(form, issue) {
  return make("tr", {},
    make("td", { class: "number" }, issue.row === null ? "–" : count(issue.row)),
    make("td", {}, inOption(issue) ? labelOf(form, issue.field) : issue.column ?? "–"),
    make("td", {}, issue.message),
    make("td", {}, issue.value === null ? "–" : make("code", {}, issue.value)));
}
