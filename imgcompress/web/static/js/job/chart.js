// The heaviest images before and after, as bars and as a table.

import { byId, make, show } from "../common/dom.js";
import { bytes, counted, percent, saved } from "../common/format.js";
import { isActive } from "../common/states.js";
import { readImages } from "./images.js";

const SHOWN = 8;
// The shortest time between two redraws while the job is active.
const PAUSE_MS = 10_000;

/** The chart, redrawn when it has new images. */
export class Chart {
  #id;
  #drawn = { completed: 0, at: -Infinity };

  constructor(id) {
    this.#id = id;
  }

  async show(job) {
    const { completed, at } = this.#drawn;
    const early = isActive(job) && performance.now() - at < PAUSE_MS;
    if (job.completed_images === completed || early) return;
    this.#drawn = { completed: job.completed_images, at: performance.now() };
    const found = await readImages(this.#id, "sort=size", { perPage: SHOWN });
    if (found) draw(found.images);
    else this.#drawn.completed = 0;
  }
}

function draw(heaviest) {
  if (!heaviest.length) return;
  byId("chart").replaceChildren(bars(heaviest));
  byId("chart-table").replaceChildren(table(heaviest));
  show(byId("heaviest"));
}

function bars(images) {
  const most = Math.max(...images.map((image) => Math.max(image.input_bytes, image.output_bytes)));
  const sum = (name) => images.reduce((all, image) => all + image[name], 0);
  const summary = `${counted(images.length, "image")} together: ${bytes(sum("input_bytes"))} before,`
    + ` ${bytes(sum("output_bytes"))} after. The table below lists them.`;
  return make("div", { class: "bars", role: "img", "aria-label": summary },
    ...images.map((image) => make("div", { class: "bars-row" },
      make("span", { class: "bars-name" }, image.product_name),
      make("span", { class: "bars-lines" },
        line("bars-before", image.input_bytes / most),
        line("bars-after", image.output_bytes / most)),
      make("span", { class: "bars-sizes" },
        `${bytes(image.input_bytes)} → ${bytes(image.output_bytes)}`))));
}

function line(name, share) {
  const element = make("span", { class: name });
  element.style.setProperty("width", `${100 * share}%`);
  return element;
}

function table(images) {
  const head = ["Product", "Before", "After", "Saved"];
  return make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...images.map((image) => make("tr", {},
      make("th", { scope: "row" }, image.product_name),
      make("td", { class: "number" }, bytes(image.input_bytes)),
      make("td", { class: "number" }, bytes(image.output_bytes)),
      make("td", { class: "number" },
        percent(Math.max(0, saved(image.input_bytes, image.output_bytes))))))));
}
