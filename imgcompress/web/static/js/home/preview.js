// The first images of a file, compressed with the chosen options before anything starts.

import { ServiceError, Unreachable, call } from "../common/api.js";
import { byId, make, show, setText, unseen } from "../common/dom.js";
import { bytes } from "../common/format.js";
import { details, originalOf, savedOf, showSides } from "../common/images.js";
import { Stage } from "../common/stage.js";
import { imageOptions } from "./options.js";

const MOST = 6;
const AT_ONCE = 2;
// The slider's first value for an image that has no quality: its pixels were kept, or put into a palette.
const USUAL_QUALITY = 80;

/** The list of previews, and the dialog that compares one with its original. */
export class Preview {
  #form;
  #catalogue;
  #stage = new Stage();
  #shown = [];
  #opened = null;
  #turn = 0;

  /** `used` is called when a quality is chosen for all images. */
  constructor(form, catalogue, used) {
    this.#form = form;
    this.#catalogue = catalogue;
    byId("show-preview").addEventListener("click", () => this.#make());
    byId("previous").addEventListener("click", () => this.#step(-1));
    byId("next").addEventListener("click", () => this.#step(1));
    byId("compare").addEventListener("close", () => {
      this.#opened = null;
      this.#stage.clear();
    });
    byId("try-quality").addEventListener("input", () => this.#showQuality());
    byId("try-quality").addEventListener("change", () => this.#tryQuality());
    byId("use-quality").addEventListener("click", () => {
      form.elements.quality.value = byId("try-quality").value;
      byId("options").open = true;
      byId("compare").close();
      used();
      this.#make();
    });
  }

  /** Offer a preview of the file that was read, or none; remove the previews of the last one. */
  offer(possible) {
    const images = possible ? this.#catalogue.firstImages(MOST).length : 0;
    this.#turn += 1;
    show(byId("preview-start"), images > 0);
    show(byId("preview-list"), false);
    setText(byId("show-preview"), images === 1 ? "Preview the first image"
      : `Preview the first ${images} images`);
  }

  /** Compress the first images, two at a time; a later call replaces this one. */
  async #make() {
    this.#turn += 1;
    const turn = this.#turn;
    const waiting = this.#catalogue.firstImages(MOST).map((url) => ({ url, made: null }));
    this.#shown = waiting.slice();
    byId("preview-list").replaceChildren(...waiting.map((entry) => {
      entry.card = make("li", { class: "image-card" });
      draw(entry, "Compressing …");
      return entry.card;
    }));
    show(byId("preview-list"));
    const options = imageOptions(this.#form);
    const work = async () => {
      for (let entry = waiting.shift(); entry && turn === this.#turn; entry = waiting.shift()) {
        await this.#fill(entry, options, turn);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async #fill(entry, options, turn) {
    let text = "";
    try {
      entry.made = await compressed(entry.url, options);
    } catch (error) {
      if (!(error instanceof ServiceError || error instanceof Unreachable)) throw error;
      text = error.message;
    }
    if (turn === this.#turn) draw(entry, text, () => this.#open(entry));
  }

  #open(entry) {
    byId("compare").showModal();
    this.#show(entry);
    this.#stage.focus();
  }

  #step(by) {
    const focused = document.activeElement;
    const all = this.#shown.filter(({ made }) => made);
    this.#show(all[all.indexOf(this.#opened) + by]);
    if (focused?.disabled) this.#stage.focus();
  }

  #show(entry, keepPlace = false) {
    const { made, url } = this.#opened = entry;
    const all = this.#shown.filter((other) => other.made);
    byId("previous").disabled = all[0] === entry;
    byId("next").disabled = all.at(-1) === entry;
    setText(byId("compare-title"), nameOf(url));
    byId("try-quality").value = String(made.tried ?? made.quality ?? USUAL_QUALITY);
    this.#showQuality();
    setText(byId("compare-said"), "");
    const after = make("img", { src: made.image, alt: "Compressed", draggable: "false" });
    const shown = { after, captions: ["Original", "Compressed"], width: made.width,
      height: made.height };
    const before = make("img", { src: originalOf(url), alt: "Original", referrerpolicy: "no-referrer",
      draggable: "false" });
    before.addEventListener("load", () => before.isConnected
      && showSides(made, `${before.naturalWidth} × ${before.naturalHeight}`));
    before.addEventListener("error", () => {
      if (!before.isConnected) return;
      setText(byId("compare-said"), "The original cannot be shown in this browser.");
      this.#stage.show({ ...shown, keepPlace });
    });
    showSides(made);
    this.#stage.show({ ...shown, before, keepPlace });
  }

  #showQuality() {
    setText(byId("tried-quality"), byId("try-quality").value);
    byId("try-quality").style.setProperty("--at", `${((byId("try-quality").value - 1) / 94) * 100}%`);
  }

  /** Compress the dialog's image again, at the quality of the slider. */
  async #tryQuality() {
    const entry = this.#opened;
    const others = imageOptions(this.#form)
      .filter(([name]) => name !== "quality" && name !== "compression_percentage");
    setText(byId("compare-said"), "Compressing …");
    try {
      const tried = byId("try-quality").value;
      const made = await compressed(entry.url, [...others, ["quality", tried]]);
      if (this.#opened !== entry) return;
      entry.made = { ...made, tried };
      this.#show(entry, true);
    } catch (error) {
      setText(byId("compare-said"), error.message);
    }
  }
}

/** Compress one image; return its data and its numbers. Throw as call(). */
async function compressed(url, options) {
  const body = new URLSearchParams([...options, ["url", url]]);
  return (await call("/preview", { method: "POST", body })).body;
}

function draw({ card, made, url }, text, open = null) {
  const picture = made
    ? make("button", { type: "button", class: "picture", onclick: open },
      make("img", { src: made.image, alt: "" }),
      make("span", { class: "pill", "data-outcome": made.outcome }, savedOf(made)),
      make("span", { class: "picture-call" }, "Compare",
        unseen(` before and after: ${nameOf(url)}`)))
    : make("div", { class: "picture none" }, make("span", {}, open ? "Failed" : "…"));
  card.dataset.status = made || !open ? "" : "FAILED";
  card.replaceChildren(picture, make("div", { class: "image-text" },
    make("h4", {}, nameOf(url)),
    made ? make("p", { class: "image-bytes" },
      `${bytes(made.input_bytes)} → `, make("b", {}, bytes(made.output_bytes))) : null,
    make("p", { class: "quiet" }, made ? details(made).join(" · ") : text)));
}

/** Return the last part of a URL's path, decoded. */
function nameOf(url) {
  const part = url.split(/[?#]/)[0].split("/").at(-1) || url;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
