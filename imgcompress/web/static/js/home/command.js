// The curl command that does the same as the form.

import { byId, setText } from "../common/dom.js";
import { chosenOptions } from "./options.js";

// Longer commands are broken into lines.
const LINE_CHARS = 50;
const PLAIN = /^[\w@%+=:,./-]+$/;

/** Show the command for the chosen file and options. */
export function showCommand(form, file) {
  const csvUrl = form.elements.csv_url.value.trim();
  const table = csvUrl ? ["csv_url", csvUrl] : ["file", `@${file?.name ?? "products.csv"}`];
  const fields = [table, ...chosenOptions(form)];
  const parts = fields.map(([name, value]) => `-F ${quoted(`${name}=${value}`)}`);
  if (!byId("forget-key").hidden) parts.unshift('-H "Authorization: Bearer $KEY"');
  const address = document.body.dataset.publicBaseUrl || window.location.origin;
  const words = ["curl", ...parts, `${address}/upload`];
  const line = words.join(" ");
  setText(byId("curl"), line.length > LINE_CHARS ? words.join(" \\\n  ") : line);
}

/** Quote a text for a shell. */
function quoted(text) {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
