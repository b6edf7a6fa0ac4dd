// The home page: a file is chosen, checked and sent; recent jobs and the curl command are beside it.

import { SILENCE } from "../common/api.js";
import { offerCopy } from "../common/copy.js";
import { byId } from "../common/dom.js";
import { KEY_TAKEN, offerToForget } from "../common/key.js";
import { watchReadiness } from "../common/readiness.js";
import { showCommand } from "./command.js";
import { pickFiles } from "./drop.js";
import { followJobs } from "./jobs.js";
import { offerPresets } from "./presets.js";
import { explainPromise } from "./promise.js";
import { Intake } from "./intake.js";

const form = byId("upload");
const intake = new Intake(form, optionsChanged);

function optionsChanged() {
  explainPromise(form);
  showCommand(form, intake.file);
}

const address = byId("csv_url");

function addressChanged() {
  intake.takeAddress(address.value.trim());
  showCommand(form, intake.file);
}

function fileChosen(file) {
  address.value = "";
  showCommand(form, file);
  return intake.take(file);
}

pickFiles(byId("drop"), byId("file"), fileChosen);
byId("try-samples").addEventListener("click", async () => {
  try {
    const answer = await fetch(byId("try-samples").dataset.catalogue);
    await fileChosen(new File([await answer.blob()], "sample-photos.csv", { type: "text/csv" }));
    byId("start").focus();
  } catch {
    // The line on top of the page says that the service is not responding.
    window.dispatchEvent(new Event(SILENCE));
  }
});
form.addEventListener("input", optionsChanged);
form.addEventListener("change", (event) => {
  if (event.target === address) addressChanged();
  else if (!event.target.closest("#catalogue, .presets")) intake.checkOptions(event.target.name);
});
address.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  // The file at the address may have been fixed since the last check.
  event.preventDefault();
  addressChanged();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  intake.start();
});
offerCopy(byId("copy-curl"), byId("curl"));
offerToForget();
offerPresets(form, () => {
  optionsChanged();
  intake.checkOptions("on_row_error");
});
window.addEventListener(KEY_TAKEN, optionsChanged);
optionsChanged();
watchReadiness();
followJobs(byId("jobs"), byId("no-jobs"));
