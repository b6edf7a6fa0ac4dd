// One image in the gallery.

import { make, unseen } from "../common/dom.js";
import { bytes, percent, saved } from "../common/format.js";
import { outcomeWord } from "../common/states.js";

/** Return the card of an image; `compare` opens the slider. */
export function makeCard(image, says, compare) {
  const [picture, told] = {
    COMPLETED: () => [pictureOf(image, compare), facts(image)],
    FAILED: () => [sign("Failed", image.error?.code), failure(image)],
    PENDING: () => [sign("Waiting"), make("p", { class: "quiet" }, "Not fetched yet.")],
  }[image.status]();
  return make("li", { class: "image-card", "data-says": says, "data-status": image.status },
    picture,
    make("div", { class: "image-told" },
      make("h3", {}, image.product_name),
      make("p", { class: "quiet" }, `Row ${image.row_number}, image ${image.position + 1}`),
      told));
}

function pictureOf(image, compare) {
  return make("button", { type: "button", class: "picture", onclick: compare },
  make("img", { src: image.output_url, alt: "", loading: "lazy", decoding: "async",
    width: image.width, height: image.height }),
  make("span", { class: "pill", "data-outcome": image.outcome }, savedOf(image)),
  make("span", { class: "picture-call" }, "Compare",
    unseen(` before and after: ${image.product_name}, image ${image.position + 1}`)));
}

function sign(word, code) {
  return make("div", { class: "picture none" },
    make("span", {}, word), code ? make("code", {}, code) : null);
}

function facts(image) {
  return make("div", {},
    make("p", { class: "image-bytes" },
      `${bytes(image.input_bytes)} → `, make("b", {}, bytes(image.output_bytes))),
    make("p", { class: "quiet" }, details(image).join(" · ")));
}

/** Return by how much an image has become smaller. */
export function savedOf(image) {
  const share = saved(image.input_bytes, image.output_bytes);
  return share > 0 ? `${percent(share)} saved` : outcomeWord(image.outcome);
}

/** Return what there is to tell about a compressed image, beside its bytes. */
export function details(image) {
  const told = [`${image.width} × ${image.height}`, image.output_format.toUpperCase()];
  if (image.quality !== null) told.push(`quality ${image.quality}`);
  if (typeof image.similarity === "number") told.push(`similarity ${image.similarity.toFixed(3)}`);
  if (image.outcome !== "target_met") told.push(outcomeWord(image.outcome));
  return told;
}

function failure(image) {
  return make("div", {},
    make("p", {}, image.error?.message ?? ""),
    make("p", { class: "quiet" }, make("a", {
      href: image.input_url, rel: "noreferrer noopener", target: "_blank" }, "Open the original")));
}
