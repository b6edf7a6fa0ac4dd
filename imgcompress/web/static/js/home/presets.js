// Options that the user has saved under a name, in this browser.

import { byId, make, show } from "../common/dom.js";
import { lastingOptions, setOptions } from "./options.js";

const PLACE = "imgcompress.presets";

/** Offer to save the options and to use them again; `changed` is called after they are used. */
export function offerPresets(form, changed) {
  const select = byId("preset");
  const dialog = byId("preset-dialog");
  list();
  select.addEventListener("change", () => {
    setOptions(form, read()[select.value] ?? []);
    show(byId("delete-preset"), select.value !== "");
    changed();
  });
  byId("save-preset").addEventListener("click", () => {
    byId("preset-name").value = select.value;
    dialog.returnValue = "cancel";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    const name = byId("preset-name").value.trim();
    if (dialog.returnValue !== "save" || !name) return;
    write({ ...read(), [name]: lastingOptions(form) });
    list(name);
  });
  byId("delete-preset").addEventListener("click", () => {
    const { [select.value]: _, ...others } = read();
    write(others);
    list();
    select.focus();
  });
}

function list(chosen = "") {
  byId("preset").replaceChildren(make("option", { value: "" }, "None"),
    ...Object.keys(read()).sort().map((name) => make("option", { value: name }, name)));
  byId("preset").value = chosen;
  show(byId("delete-preset"), chosen !== "");
}

/** Return the saved options; unreadable ones count as none. */
function read() {
  try {
    return JSON.parse(window.localStorage.getItem(PLACE)) ?? {};
  } catch {
    return {};
  }
}

function write(presets) {
  try {
    window.localStorage.setItem(PLACE, JSON.stringify(presets));
  } catch {
    // A browser without storage has nothing to offer later.
  }
}
