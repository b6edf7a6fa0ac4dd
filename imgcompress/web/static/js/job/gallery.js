// The images of the job: paged, filtered, and kept fresh while the job goes on.

import { byId, show } from "../common/dom.js";
import { isActive } from "../common/states.js";
import { makeCard } from "./card.js";
import { Compare } from "./compare.js";
import { findImages } from "./images.js";

const PAGE = 24;
// More cards than these are refreshed when the job has ended.
const MOST_LIVE = 96;
const PAUSE_MS = 2_000;

/** The gallery and its filter. */
export class Gallery {
  #id;
  #images = [];
  #next = null;
  #seen = { done: -1, active: true, at: -Infinity };
  #compare = new Compare(() => this.#images.filter((image) => image.status === "COMPLETED"));
  #turn = 0;

  constructor(id) {
    this.#id = id;
    byId("filter").addEventListener("change", () => this.#load(PAGE));
    byId("more").addEventListener("click", () => this.#load(PAGE, this.#next));
  }

  /** Show images of this kind, and go there. */
  choose(filter) {
    byId("filter").value = filter;
    byId("filter").focus();
    return this.#load(PAGE);
  }

  /** Take note of news of the job, and show the images anew when some have changed. */
  show(job) {
    const done = job.completed_images + job.failed_images;
    const active = isActive(job);
    const now = performance.now();
    const changed = done !== this.#seen.done || active !== this.#seen.active;
    const early = active && (now - this.#seen.at < PAUSE_MS || this.#images.length > MOST_LIVE);
    if (!changed || (early && this.#images.length)) return;
    this.#seen = { done, active, at: now };
    this.#load(Math.max(PAGE, Math.min(this.#images.length, 1000)));
  }

  /** Show so many images from the start, or add so many from `next` on. */
  async #load(wanted, next = null) {
    this.#turn += 1;
    const turn = this.#turn;
    const found = await findImages(this.#id, byId("filter").value, wanted, next);
    if (!found) this.#seen.done = -1;
    // Somebody may have chosen another filter meanwhile.
    if (!found || turn !== this.#turn) return;
    this.#images = next ? [...this.#images, ...found.images] : found.images;
    this.#next = found.next;
    this.#draw();
  }

  /** Put the cards in place; one that says nothing new stays the element that it is. */
  #draw() {
    const list = byId("gallery");
    const known = new Map([...list.children].map((card) => [card.dataset.says, card]));
    const cards = this.#images.map((image) => {
      const says = JSON.stringify([image.image_id, image.status, image.error?.message]);
      return known.get(says) ?? makeCard(image, says, () => this.#compare.open(image));
    });
    const same = cards.length === list.children.length
      && cards.every((card, place) => card === list.children[place]);
    if (!same) list.replaceChildren(...cards);
    show(byId("gallery-empty"), !cards.length && !this.#next);
    show(byId("more"), this.#next !== null);
    byId("more").textContent = cards.length ? "Show more" : "Keep looking";
  }
}
