// A file, or its address: chosen, checked by a dry run before anything starts, and sent.

import { byId, show, setText } from "../common/dom.js";
import { bytes, counted, percent } from "../common/format.js";
import { Catalogue } from "./catalogue.js";
import { inOption, showIssues } from "./issues.js";
import { chosenOptions, forgetColumns } from "./options.js";
import { Preview } from "./preview.js";
import { send } from "./send.js";

// A change of these options changes how the file is read.
const HOW_TO_READ = ["on_row_error", "base_url"];
const CHANGED = "The file has changed since you chose it. Choose it again.";

/** The file of the form, or its address, and its progress. */
export class Intake {
  file = null;

  #address = "";

  #form;
  #issues = [];
  #once = freshKey();
  #current = new AbortController();
  #catalogue;
  #preview;

  /** `optionsChanged` is called when the file's panel has changed an option. */
  constructor(form, optionsChanged) {
    this.#form = form;
    this.#catalogue = new Catalogue(form, () => {
      optionsChanged();
      this.#once = freshKey();
      this.#check();
    });
    this.#preview = new Preview(form, this.#catalogue, () => {
      optionsChanged();
      this.checkOptions("quality");
    });
  }

  /** Take a file instead of the last one, and check it. */
  take(file) {
    this.file = file;
    this.#address = "";
    this.#once = freshKey();
    forgetColumns(this.#form);
    byId("drop").classList.add("filled");
    return this.#check();
  }

  /** Take the address of a file instead of a file, and check it; an empty one clears the form. */
  takeAddress(address) {
    this.file = null;
    this.#address = address;
    this.#once = freshKey();
    forgetColumns(this.#form);
    byId("drop").classList.remove("filled");
    if (address) return this.#check();
    this.#current.abort();
    this.#showIssues([]);
    this.#showReport(null);
    byId("verdict").replaceChildren();
    byId("start").disabled = true;
    return null;
  }

  /** An option changed: check again if the last check found an issue in an option, or if the option
   * changes how the file is read. */
  checkOptions(name) {
    this.#once = freshKey();
    const again = this.#issues.some(inOption) || HOW_TO_READ.includes(name);
    return (this.file || this.#address) && again ? this.#check() : null;
  }

  /** Send the file, and go to the page of its job. */
  async start() {
    if (!this.#form.reportValidity()) return;
    const accepted = await this.#send("Uploading", [], this.#once);
    if (accepted) window.location.assign(`/jobs/${accepted.request_id}`);
  }

  async #check() {
    byId("start").disabled = true;
    const report = await this.#send("Checking", [["dry_run", "true"]]);
    this.#showReport(report ?? null);
    if (!report) return;
    const { total_rows: rows, total_images: images, errors, error_count: found } = report;
    this.#showIssues(errors, found);
    byId("start").disabled = found > 0;
    this.#say(found > 0 ? "bad" : "good", found > 0
      ? describe(found, errors.filter(inOption).length, this.#remedy())
      : `has no issues: ${counted(images, "image")} in ${counted(rows, "row")}.`);
  }

  /** Send the form, show the progress, and return the answer, or undefined if it failed. */
  async #send(doing, extra, once) {
    this.#current.abort();
    const current = this.#current = new AbortController();
    this.#showIssues([]);
    this.#say("", `${doing} …`);
    byId("start").disabled = true;
    show(byId("sending"));
    try {
      if (this.file) await assertReadable(this.file);
      return await send(this.#data(extra), {
        progressed: (share) => showProgress(doing, share), signal: current.signal, once });
    } catch (error) {
      this.#showIssues(error.problem?.errors ?? [], error.problem?.error_count);
      this.#say("bad", this.file ? `could not be sent. ${error.message}`
        : `cannot be used. ${error.message}`);
      byId("start").disabled = error.message === CHANGED;
      return undefined;
    } finally {
      if (current === this.#current) show(byId("sending"), false);
    }
  }

  #data(extra) {
    const data = new FormData();
    for (const [name, value] of [...chosenOptions(this.#form), ...extra]) data.append(name, value);
    if (this.file) data.append("file", this.file, this.file.name);
    else data.append("csv_url", this.#address);
    return data;
  }

  #showIssues(issues, total) {
    this.#issues = issues;
    showIssues(byId("issues"), this.#form, issues, total);
  }

  #showReport(report) {
    this.#catalogue.show(report);
    this.#preview.offer(report !== null && report.error_count === 0);
  }

  #remedy() {
    return this.file ? "fix the file and choose it again"
      : "fix the file at its address, and press Enter there";
  }

  #say(mood, text) {
    const verdict = byId("verdict");
    verdict.className = `verdict ${mood}`;
    const name = document.createElement("b");
    name.textContent = this.file ? this.file.name : this.#address;
    verdict.replaceChildren(name, this.file ? ` (${bytes(this.file.size)}) ${text}` : ` ${text}`);
  }
}

/** Return what to fix: the file, the options, or both. All issues of options come first. */
function describe(found, inOptions, remedy) {
  if (!inOptions) {
    return `has ${counted(found, "issue")}. Nothing was started; ${remedy}.`;
  }
  const options = `the options have ${counted(inOptions, "issue")}. Nothing was started; correct the`
    + " options";
  return found === inOptions
    ? `has no issues, but ${options}.`
    : `has ${counted(found - inOptions, "issue")}, and ${options}, ${remedy}.`;
}

/** Return a new idempotency key: an upload that broke off can be sent again with the same one. */
function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function showProgress(doing, share) {
  byId("sent").value = 100 * share;
  setText(byId("sent-note"), share < 1 ? `${doing}: ${percent(100 * share)}` : "Reading the file …");
}

/** Throw if the file on disk changed after it was chosen: browsers do not send it then. */
async function assertReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error(CHANGED);
  }
}
