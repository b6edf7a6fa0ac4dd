// A page of the job's images, filtered or sorted, and kept up to date while the job runs.

import { byId, make, show, setText } from "../common/dom.js";
import { count } from "../common/format.js";
import { Pager } from "../common/pager.js";
import { isActive } from "../common/states.js";
import { makeCard } from "./card.js";
import { Compare } from "./compare.js";
import { nameOf } from "./failures.js";
import { here, readImages } from "./images.js";

const PER_PAGE = 48;
const PAUSE_MS = 2_000;
// The service finds pages of a sorted list by number up to the 100,000th image.
const MOST_PAGES = Math.floor(100_000 / PER_PAGE);

/** The gallery, its filter and its pages. */
export class Gallery {
  #id;
  #images = [];
  #page = 1;
  // Where each page shown so far begins, for lists whose pages have no numbers.
  #starts = [null];
  #seen = { done: -1, active: true, at: -Infinity };
  #cancelled = false;
  #compare = new Compare(() => this.#images.filter((image) => image.status === "COMPLETED"));
  #pager = new Pager(byId("pager"), (page) => this.#turn(page));
  #loads = 0;

  constructor(id) {
    this.#id = id;
    byId("filter").addEventListener("change", () => this.#begin());
  }

  /** Show the images of one group of failures, and scroll to them. */
  choose(failure) {
    const query = here(failure.details_url).split("?")[1];
    const known = [...byId("filter").options].find((option) => option.value === query);
    if (!known) {
      byId("failed-filters").append(make("option", { value: query }, `failed: ${nameOf(failure)}`));
    }
    byId("filter").value = query;
    byId("gallery-title").focus();
    byId("gallery-title").scrollIntoView({ block: "start" });
    return this.#begin();
  }

  /** Show the images again if any have changed. */
  show(job) {
    this.#cancelled = job.status === "CANCELLED";
    setText(byId("waiting-filter"), this.#cancelled ? "not done" : "waiting");
    const done = job.completed_images + job.failed_images;
    const active = isActive(job);
    const now = performance.now();
    const changed = done !== this.#seen.done || active !== this.#seen.active;
    const early = active && now - this.#seen.at < PAUSE_MS && this.#images.length;
    if (!changed || early) return;
    this.#seen = { done, active, at: now };
    this.#load();
  }

  #begin() {
    this.#page = 1;
    this.#starts = [null];
    return this.#load();
  }

  async #turn(page) {
    this.#page = page;
    await this.#load();
    byId("gallery-title").scrollIntoView({ block: "start" });
  }

  async #load() {
    this.#loads += 1;
    const load = this.#loads;
    const page = this.#page;
    const found = await readImages(this.#id, byId("filter").value, { page, perPage: PER_PAGE,
      after: this.#starts[page - 1] ?? null });
    if (!found) this.#seen.done = -1;
    // The user may have chosen another filter or page meanwhile.
    if (!found || load !== this.#loads) return;
    this.#images = found.images;
    if (found.next) this.#starts[page] = found.next;
    this.#draw();
    const numbered = !/(^|&)(code|host|found|outcome|change)=/.test(byId("filter").value);
    const pages = numbered ? Math.min(MOST_PAGES, Math.ceil(found.total / PER_PAGE)) : null;
    this.#pager.show({ page, pages, more: found.next !== null });
    setText(byId("gallery-range"), this.#placeOf(page, found));
  }

  #placeOf(page, { images, total, next }) {
    if (page === 1 && next === null) return "";
    const first = (page - 1) * PER_PAGE + 1;
    const last = first + images.length - 1;
    return `Images ${count(first)} to ${count(last)}${total === null ? "" : ` of ${count(total)}`}`;
  }

  /** Put the cards in place; those without changes keep their elements. */
  #draw() {
    const list = byId("gallery");
    const known = new Map([...list.children].map((card) => [card.dataset.says, card]));
    const cards = this.#images.map((image) => {
      const says = JSON.stringify([image.image_id, image.status, image.error?.message,
        image.status === "PENDING" && this.#cancelled]);
      return known.get(says)
        ?? makeCard(image, says, { compare: () => this.#compare.open(image),
          cancelled: this.#cancelled });
    });
    const same = cards.length === list.children.length
      && cards.every((card, place) => card === list.children[place]);
    if (!same) list.replaceChildren(...cards);
    show(byId("gallery-empty"), !cards.length);
  }
}
