// What the percentage means, in words.

import { byId, setText } from "../common/dom.js";
import { bytes } from "../common/format.js";

const EXAMPLE_BYTES = 2_000_000;
const FRACTIONS = {
  10: "nine tenths", 20: "four fifths", 25: "three quarters", 33: "two thirds", 50: "half",
  67: "a third", 75: "a quarter", 80: "a fifth", 90: "a tenth", 95: "a twentieth",
};

/** Say under the slider what its value promises. */
export function explainPromise(form) {
  const slider = form.elements.compression_percentage;
  const quality = form.elements.quality.value.trim();
  slider.disabled = quality !== "";
  setText(byId("percentage"), slider.disabled ? "not used" : `${slider.value} %`);
  setText(byId("promise"), slider.disabled
    ? `Every image is saved at quality ${quality}, whatever its size.`
    : meaning(Number(slider.value)));
  slider.setAttribute("aria-valuetext", `${slider.value} % smaller: ${share(slider.value)}`);
  slider.style.setProperty("--at", `${((slider.value - 1) / 94) * 100}%`);
}

function meaning(percentage) {
  const example = bytes((EXAMPLE_BYTES * (100 - percentage)) / 100);
  return `Images shrink to at most ${share(percentage)}: a photo of ${bytes(EXAMPLE_BYTES)} comes`
    + ` back with ${example} or less, at the best quality that fits. An image that would look poor`
    + " stays larger and is marked.";
}

function share(percentage) {
  const fraction = FRACTIONS[percentage] ?? `${100 - percentage} %`;
  return fraction === "half" ? "half the bytes" : `${fraction} of the bytes`;
}
