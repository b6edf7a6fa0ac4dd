// A compressed image in words and numbers.

import { byId, make } from "./dom.js";
import { bytes, percent, saved } from "./format.js";
import { outcomeWord } from "./states.js";

const SAMPLE_HOST = "https://samples.imgcompress.invalid/";

/** Return the URL of an image's original for the browser; sample photos come from the service. */
export const originalOf = (url) => (url.startsWith(SAMPLE_HOST)
  ? `/samples/${url.slice(SAMPLE_HOST.length)}` : url);

/** Return by how much an image has become smaller. */
export function savedOf(image) {
  const share = saved(image.input_bytes, image.output_bytes);
  return share > 0 ? `${percent(share)} saved` : outcomeWord(image.outcome);
}

/** Return the properties of a compressed image in words, beside its bytes. */
export function details(image) {
  const parts = [`${image.width} × ${image.height}`, image.output_format.toUpperCase()];
  if (image.quality !== null) parts.push(`quality ${image.quality}`);
  if (typeof image.score === "number") {
    parts.push(`looks: ${image.rating} (${Math.round(image.score)} of 100)`);
  }
  if (image.outcome !== "target_met") parts.push(outcomeWord(image.outcome));
  if (image.advice) {
    parts.push(`${image.advice.format.toUpperCase()} would save ${image.advice.saved_percentage} %`);
  }
  if (image.change) parts.push(image.change);
  return parts;
}

/** Show the numbers of both sides; the original's dimensions are known once it is loaded. */
export function showSides(image, original = null) {
  byId("compare-numbers").replaceChildren(
    make("div", {}, make("dt", {}, "Original"),
      make("dd", {}, [bytes(image.input_bytes), original].filter(Boolean).join(" · "))),
    make("div", {}, make("dt", {}, "Compressed"),
      make("dd", {}, [bytes(image.output_bytes), savedOf(image), ...details(image)].join(" · "))));
}
