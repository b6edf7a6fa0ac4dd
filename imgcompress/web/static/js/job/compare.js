// The slider: the original beside the compressed image.
//
// The original is fetched by the browser from its own host, and only when somebody opens the
// slider; the host is not told from which page. When it cannot be shown, the page says so.

import { byId, make, tell } from "../common/dom.js";
import { bytes } from "../common/format.js";
import { details, savedOf } from "./card.js";

/** The dialog with the slider. */
export class Compare {
  #images;
  #image = null;

  /** `images` returns those that can be walked through. */
  constructor(images) {
    this.#images = images;
    byId("previous").addEventListener("click", () => this.#step(-1));
    byId("next").addEventListener("click", () => this.#step(1));
    byId("compare").addEventListener("close", () => byId("stage").replaceChildren());
  }

  /** Open the dialog with an image. */
  open(image) {
    this.#show(image);
    byId("compare").showModal();
    byId("stage").firstElementChild.focus();
  }

  #step(by) {
    this.#show(this.#images()[this.#place() + by]);
  }

  #place() {
    return this.#images().findIndex((image) => image.image_id === this.#image.image_id);
  }

  #show(image) {
    this.#image = image;
    const place = this.#place();
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place >= this.#images().length - 1;
    tell(byId("compare-title"), image.product_name);
    tell(byId("compare-told"), [`Row ${image.row_number}, image ${image.position + 1}`,
      savedOf(image), ...details(image)].join(" · "));
    tell(byId("compare-said"), `Loading the original from ${hostOf(image)} …`);
    byId("stage").replaceChildren(slider(image));
  }
}

function slider(image) {
  const original = make("img", { src: image.input_url, alt: `Original: ${image.product_name}`,
    referrerpolicy: "no-referrer", draggable: "false" });
  const element = make("img-comparison-slider", { value: "50", tabindex: "0", role: "slider",
    "aria-label": "Share of the original that is shown", "aria-orientation": "horizontal",
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "50" },
  side("first", original, `Original, ${bytes(image.input_bytes)}`),
  side("second", compressed(image), `Compressed, ${bytes(image.output_bytes)}`));
  element.addEventListener("slide", () => {
    element.setAttribute("aria-valuenow", String(Math.round(element.value)));
  });
  original.addEventListener("load", () => tell(byId("compare-said"), ""));
  original.addEventListener("error", () => {
    if (!element.isConnected) return;
    tell(byId("compare-said"), withoutOriginal(image));
    element.replaceWith(make("figure", { class: "alone", tabindex: "-1" }, compressed(image)));
  });
  return element;
}

function side(slot, picture, caption) {
  return make("figure", { slot }, picture, make("figcaption", {}, caption));
}

const compressed = (image) => make("img", { src: image.output_url, width: image.width,
  height: image.height, alt: `Compressed: ${image.product_name}`, draggable: "false" });

const withoutOriginal = (image) => `The original cannot be shown: ${hostOf(image)} did not send`
  + " it to this browser, or browsers cannot display its format. This is the compressed image alone.";

function hostOf(image) {
  try {
    return new URL(image.input_url).host;
  } catch {
    return "its host";
  }
}
