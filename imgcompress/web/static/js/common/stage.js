// Two images on top of each other with a divider between them, zoomed and moved together.

import { byId, make, setText } from "./dom.js";

const STEP = 2;
const LEAP = 10;
const ZOOM_STEP = 1.5;
const MOST_ZOOM = 8;
const PAN_STEP = 60;

/** The stage of the comparison dialog. */
export class Stage {
  #place = byId("stage");
  #layers = [];
  #divider = null;
  #size = { width: 1, height: 1 };
  #at = 50;
  // The scale, or null for the one that shows the whole image.
  #zoom = null;
  #offset = { x: 0, y: 0 };

  constructor() {
    byId("zoom-in").addEventListener("click", () => this.#zoomBy(ZOOM_STEP));
    byId("zoom-out").addEventListener("click", () => this.#zoomBy(1 / ZOOM_STEP));
    byId("zoom-fit").addEventListener("click", () => this.#zoomTo(null));
    byId("zoom-full").addEventListener("click", () => this.#zoomTo(1));
    this.#place.addEventListener("keydown", (event) => this.#pressed(event));
    this.#place.addEventListener("pointerdown", (event) => this.#grabbed(event));
    this.#place.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, this.#pointOf(event));
    }, { passive: false });
    new ResizeObserver(() => this.#place.isConnected && this.#layers.length && this.#arrange())
      .observe(this.#place);
  }

  /**
   * Show `before` on the left of the divider and `after` on the right; both are images of the same
   * size, `width` times `height` pixels, on top of each other. Without `before` there is no divider.
   */
  show({ before, after, captions, width, height, keepPlace = false }) {
    this.#size = { width, height };
    if (!keepPlace) {
      this.#at = 50;
      this.#zoom = null;
      this.#offset = { x: 0, y: 0 };
    }
    const layer = (name, image) => make("div", { class: `layer ${name}` }, image);
    this.#layers = [after, before].filter(Boolean);
    this.#divider = before && make("div", { class: "divider", role: "slider", tabindex: "0",
      "aria-label": "Visible share of the original", "aria-orientation": "horizontal",
      "aria-valuemin": "0", "aria-valuemax": "100" }, make("span", { "aria-hidden": "true" }));
    this.#place.replaceChildren(...[layer("after", after), before && layer("before", before),
      before && make("span", { class: "caption left" }, captions[0]),
      make("span", { class: "caption right" }, captions[1]), this.#divider].filter(Boolean));
    this.#arrange();
  }

  /** Put the focus on the divider, or on the stage if there is none. */
  focus() {
    (this.#divider ?? this.#place).focus();
  }

  clear() {
    this.#layers = [];
    this.#place.replaceChildren();
  }

  get #fit() {
    const { clientWidth, clientHeight } = this.#place;
    return Math.min(clientWidth / this.#size.width, clientHeight / this.#size.height, 1) || 1;
  }

  get #scale() {
    return this.#zoom ?? this.#fit;
  }

  #arrange() {
    const { width, height } = this.#size;
    const scale = this.#scale;
    const room = { x: Math.max(0, (width * scale - this.#place.clientWidth) / 2),
      y: Math.max(0, (height * scale - this.#place.clientHeight) / 2) };
    for (const axis of ["x", "y"]) {
      this.#offset[axis] = Math.min(room[axis], Math.max(-room[axis], this.#offset[axis]));
    }
    for (const image of this.#layers) {
      image.style.width = `${width * scale}px`;
      image.style.height = `${height * scale}px`;
      image.style.transform = `translate(calc(-50% + ${this.#offset.x}px),`
        + ` calc(-50% + ${this.#offset.y}px))`;
      image.style.imageRendering = scale > 2 ? "pixelated" : "auto";
    }
    this.#place.style.setProperty("--at", `${this.#at}%`);
    this.#place.classList.toggle("movable", room.x > 0 || room.y > 0);
    this.#divider?.setAttribute("aria-valuenow", String(Math.round(this.#at)));
    setText(byId("zoom"), `${Math.round(100 * scale)} %`);
  }

  #zoomBy(factor, point = { x: 0, y: 0 }) {
    this.#zoomTo(Math.min(MOST_ZOOM, Math.max(this.#fit, this.#scale * factor)), point);
  }

  /** Zoom around `point`, measured from the middle. */
  #zoomTo(zoom, point = { x: 0, y: 0 }) {
    const before = this.#scale;
    this.#zoom = zoom !== null && zoom <= this.#fit && zoom !== 1 ? null : zoom;
    const change = this.#scale / before;
    for (const axis of ["x", "y"]) {
      this.#offset[axis] = point[axis] - (point[axis] - this.#offset[axis]) * change;
    }
    this.#arrange();
  }

  #pointOf(event) {
    const box = this.#place.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2,
      y: event.clientY - box.top - box.height / 2 };
  }

  #moveDivider(at) {
    this.#at = Math.min(100, Math.max(0, at));
    this.#arrange();
  }

  #pressed(event) {
    const step = event.shiftKey ? LEAP : STEP;
    const pan = (x, y) => {
      this.#offset = { x: this.#offset.x + x, y: this.#offset.y + y };
      this.#arrange();
    };
    const act = {
      ArrowLeft: () => this.#moveDivider(this.#at - step),
      ArrowRight: () => this.#moveDivider(this.#at + step),
      ArrowUp: () => pan(0, PAN_STEP),
      ArrowDown: () => pan(0, -PAN_STEP),
      PageUp: () => pan(PAN_STEP, 0),
      PageDown: () => pan(-PAN_STEP, 0),
      Home: () => this.#moveDivider(0),
      End: () => this.#moveDivider(100),
      "+": () => this.#zoomBy(ZOOM_STEP),
      "=": () => this.#zoomBy(ZOOM_STEP),
      "-": () => this.#zoomBy(1 / ZOOM_STEP),
      0: () => this.#zoomTo(null),
      1: () => this.#zoomTo(1),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  /** Drag the divider, or the image if it is larger than the stage. */
  #grabbed(event) {
    if (event.button !== 0 || !this.#layers.length) return;
    event.preventDefault();
    const moves = this.#place.classList.contains("movable")
      && !event.target.closest(".divider");
    const start = { x: event.clientX - this.#offset.x, y: event.clientY - this.#offset.y };
    const follow = (now) => {
      if (moves) {
        this.#offset = { x: now.clientX - start.x, y: now.clientY - start.y };
        this.#arrange();
      } else if (this.#divider) {
        const box = this.#place.getBoundingClientRect();
        this.#moveDivider((100 * (now.clientX - box.left)) / box.width);
      }
    };
    this.#place.setPointerCapture(event.pointerId);
    this.#place.addEventListener("pointermove", follow);
    this.#place.addEventListener("pointerup", () => {
      this.#place.removeEventListener("pointermove", follow);
    }, { once: true });
    this.focus();
    follow(event);
  }
}
