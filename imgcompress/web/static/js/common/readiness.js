// The line on top of the page that says what is wrong with the service.

import { SILENCE } from "./api.js";
import { byId, show, setText } from "./dom.js";
import { duration } from "./format.js";
import { repeat } from "./repeat.js";

const QUIET_MS = 20_000;
const TROUBLE_MS = 4_000;
const SILENT = "The service is not responding. Accepted uploads are safe; this page reconnects by"
  + " itself.";
const NEEDED = ["database", "storage"];
const STILL_SECONDS = 60;
const SLOW = "The message broker is not responding. Uploads are accepted and safe, and are processed"
  + " when it is back.";

/** Watch whether the service is ready, and show a warning while it is not. */
export function watchReadiness() {
  const look = repeat(async () => {
    const trouble = await findTrouble();
    setText(byId("trouble"), trouble ?? "");
    show(byId("trouble"), trouble !== null);
    return trouble ? TROUBLE_MS : QUIET_MS;
  });
  window.addEventListener(SILENCE, look);
}

async function findTrouble() {
  let report;
  try {
    report = await (await fetch("/readyz", { cache: "no-store" })).json();
  } catch {
    return SILENT;
  }
  const missing = NEEDED.filter((name) => report.checks?.[name] !== "ok");
  if (missing.length) {
    return `The ${missing.join(" and the ")} ${missing.length > 1 ? "are" : "is"} unavailable at the`
      + " moment, so uploads are not accepted. If this persists, contact the operator.";
  }
  if (report.status === "degraded") return SLOW;
  return report.oldest_slice_seconds > STILL_SECONDS
    ? `No worker has taken any work for ${duration(report.oldest_slice_seconds)}. Nothing is lost;`
      + " check that the workers are running."
    : null;
}
