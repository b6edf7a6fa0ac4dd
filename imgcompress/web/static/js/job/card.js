// One image in the gallery.

import { offerCopy } from "../common/copy.js";
import { make, unseen } from "../common/dom.js";
import { bytes } from "../common/format.js";
import { details, originalOf, savedOf } from "../common/images.js";

/** Return the card of an image; `compare` opens the slider. */
export function makeCard(image, says, { compare, cancelled }) {
  const [picture, text] = {
    COMPLETED: () => [pictureOf(image, compare), facts(image)],
    FAILED: () => [sign("Failed", image.error?.code), failure(image)],
    PENDING: () => cancelled
      ? [sign("Not done"), make("p", { class: "quiet" }, "The job was cancelled first.")]
      : [sign("Waiting"), make("p", { class: "quiet" }, "Not fetched yet.")],
  }[image.status]();
  return make("li", { class: "image-card", "data-says": says, "data-status": image.status },
    picture,
    make("div", { class: "image-text" },
      make("h3", {}, image.product_name),
      make("p", { class: "quiet" }, `Row ${image.row_number}, image ${image.position + 1}`),
      text));
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
    make("p", { class: "quiet" }, details(image).join(" · ")),
    addressOf(image));
}

/** Return the address of the compressed image, and a button that copies it. */
function addressOf(image) {
  const address = make("span", { class: "unseen" }, image.output_url);
  const copy = make("button", { type: "button", class: "link" }, "Copy URL");
  offerCopy(copy, address);
  return make("p", { class: "image-ways quiet" },
    make("a", { href: image.output_url, target: "_blank", rel: "noopener" }, "Open image"),
    copy, address);
}

function failure(image) {
  return make("div", {},
    make("p", {}, image.error?.message ?? ""),
    make("p", { class: "quiet" }, make("a", {
      href: originalOf(image.input_url), rel: "noreferrer noopener", target: "_blank" }, "Open the original")));
}
