// The dialog that lays the original over the compressed image.
//
// The browser fetches the original from its host, and only when the user opens the dialog. The
// host does not learn the address of the page. If the original cannot be shown, the page says so.

import { byId, make, setText } from "../common/dom.js";
import { originalOf, showSides } from "../common/images.js";
import { Stage } from "../common/stage.js";

/** The dialog. */
export class Compare {
  #images;
  #image = null;
  #stage = new Stage();

  /** `images` returns the images that the user can page through. */
  constructor(images) {
    this.#images = images;
    byId("previous").addEventListener("click", () => this.#step(-1));
    byId("next").addEventListener("click", () => this.#step(1));
    byId("compare").addEventListener("close", () => this.#stage.clear());
  }

  /** Open the dialog with an image. */
  open(image) {
    byId("compare").showModal();
    this.#show(image);
    this.#stage.focus();
  }

  #step(by) {
    const focused = document.activeElement;
    this.#show(this.#images()[this.#place() + by]);
    if (focused?.disabled) this.#stage.focus();
  }

  #place() {
    return this.#images().findIndex((image) => image.image_id === this.#image.image_id);
  }

  #show(image) {
    this.#image = image;
    const place = this.#place();
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place >= this.#images().length - 1;
    setText(byId("compare-title"),
      `${image.product_name} (row ${image.row_number}, image ${image.position + 1})`);
    setText(byId("compare-said"), `Loading the original from ${hostOf(image)} …`);
    showSides(image);
    const shown = { after: compressed(image), captions: ["Original", "Compressed"],
      width: image.width, height: image.height };
    const before = make("img", { src: originalOf(image.input_url), alt: `Original: ${image.product_name}`,
      referrerpolicy: "no-referrer", draggable: "false" });
    before.addEventListener("load", () => {
      if (!before.isConnected) return;
      setText(byId("compare-said"), "");
      showSides(image, `${before.naturalWidth} × ${before.naturalHeight}`);
    });
    before.addEventListener("error", () => {
      if (!before.isConnected) return;
      setText(byId("compare-said"), withoutOriginal(image));
      this.#stage.show(shown);
    });
    this.#stage.show({ ...shown, before });
  }
}

const compressed = (image) => make("img", { src: image.output_url,
  alt: `Compressed: ${image.product_name}`, draggable: "false" });

const withoutOriginal = (image) => `The original cannot be shown: ${hostOf(image)} did not send`
  + " it to this browser, or the browser cannot display its format. Only the compressed image is shown.";

function hostOf(image) {
  try {
    return new URL(image.input_url).host;
  } catch {
    return "its host";
  }
}
