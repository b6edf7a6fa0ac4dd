// Links to the pages of a list.

import { make, show, setText } from "./dom.js";
import { count } from "./format.js";

/** The controls for the pages of a list: back, forward, and to a page by number if pages are numbered. */
export class Pager {
  #place;
  #go;
  #parts;

  /** `go(page)` shows a page; `place` is the element that holds the controls. */
  constructor(place, go) {
    this.#place = place;
    this.#go = go;
    const button = (text, act) => make("button", { type: "button", onclick: act }, text);
    const at = () => Number(this.#place.dataset.page);
    const number = make("input", { type: "number", min: "1", inputmode: "numeric",
      "aria-label": "Page", onchange: () => this.#jump() });
    this.#parts = {
      first: button("First", () => go(1)),
      previous: button("Previous", () => go(at() - 1)),
      number,
      of: make("span", { class: "quiet" }),
      next: button("Next", () => go(at() + 1)),
    };
    place.append(this.#parts.first, this.#parts.previous,
      make("span", { class: "pager-place" }, "Page ", number, this.#parts.of), this.#parts.next);
  }

  /** Show the number of the page, of how many if `pages` are counted, and whether there are `more`. */
  show({ page, pages = null, more }) {
    const { first, previous, number, of, next } = this.#parts;
    this.#place.dataset.page = String(page);
    const focused = document.activeElement;
    first.disabled = page <= 1;
    previous.disabled = page <= 1;
    next.disabled = !more;
    number.value = String(page);
    number.readOnly = pages === null;
    if (pages !== null) number.max = String(pages);
    setText(of, pages === null ? "" : ` of ${count(pages)}`);
    show(this.#place, page > 1 || more);
    // A button that has the focus would lose it when it is disabled.
    if (focused?.disabled) number.focus();
  }

  #jump() {
    const { number } = this.#parts;
    const wanted = Math.round(Number(number.value));
    const most = Number(number.max) || 1;
    this.#go(Math.min(Math.max(1, wanted || 1), most));
  }
}
