// Numbers, sizes and times as people read them.

const NUMBER = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const TIME = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS_OF_TIME = [["day", 86400], ["hour", 3600], ["minute", 60]];
const UNITS = ["B", "kB", "MB", "GB", "TB"];
// A line may end between two measures, but not between a number and its unit.
const NO_BREAK = "\u00a0";

/** Return a number with its unit, which no line break separates. */
const measure = (number, unit) => `${number}${NO_BREAK}${unit}`;

/** Return a count with its thousands marked. */
export const count = (value) => NUMBER.format(value);

/** Return a count and its noun. */
export const counted = (value, one, many = `${one}s`) =>
  `${count(value)} ${value === 1 ? one : many}`;

/** Return a number with one decimal at most. */
export const short = (value) => SHORT.format(value);

/** Return bytes in the decimal unit that gives one to three digits before the point. */
export function bytes(value) {
  let unit = 0;
  let size = value;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && size < 100 ? 1 : 0;
  return measure(size.toFixed(digits), UNITS[unit]);
}

/** Return by how many per cent `after` is less than `before`. */
export const saved = (before, after) => (before ? 100 * (1 - after / before) : 0);

/** Return a percentage; a part is never rounded up to 100 %, nor down to 0 %. */
export function percent(value) {
  const near = value > 0 && value < 100 ? Math.min(99.9, Math.max(0.1, value)) : value;
  return measure(SHORT.format(near), "%");
}

/** Return seconds as a length of time. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return measure(whole, "s");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${measure(minutes, "min")} ${measure(whole % 60, "s")}`;
  return `${measure(Math.floor(minutes / 60), "h")} ${measure(minutes % 60, "min")}`;
}

/** Return a time of the service as a local date and time. */
export const time = (text) => TIME.format(new Date(text));

/** Return how long ago a time was. */
export function ago(text, now = Date.now()) {
  const seconds = Math.min(0, (new Date(text) - now) / 1000);
  return seconds > -60 ? "just now" : fromNow(seconds);
}

/** Return how far ahead a time is; one that has passed counts as now. */
export function until(text, now = Date.now()) {
  const seconds = Math.max(0, (new Date(text) - now) / 1000);
  return seconds < 60 ? "in a moment" : fromNow(seconds);
}

function fromNow(seconds) {
  const [unit, size] = UNITS_OF_TIME.find(([, least]) => Math.abs(seconds) >= least);
  return AGO.format(Math.trunc(seconds / size), unit);
}

/** Return the time between two runs, in the largest unit that gives a whole number. */
export function interval(seconds) {
  const [unit, size] = UNITS_OF_TIME.find(([, least]) => seconds % least === 0);
  return seconds === size ? `every ${unit}` : `every ${counted(seconds / size, unit)}`;
}
