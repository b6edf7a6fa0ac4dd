// Reading the images of a job, page by page.

import { attempt } from "../common/api.js";

// With a filter, a page may be empty while the service looks images through: the most pages in a row.
const MOST_LOOKS = 50;

/**
 * Read a page of images: `query` is a filter or an order of the API, `after` the place where the page
 * before ended, if pages have no numbers. Return `{ images, total, next }`, or null if the service
 * cannot return them now.
 */
export async function readImages(id, query, { page = 1, perPage, after = null }) {
  const asked = new URLSearchParams(query);
  asked.set("per_page", perPage);
  asked.set("page", page);
  if (after !== null) asked.set("after", after);
  let address = `/job/details/${id}?${asked}`;
  const images = [];
  for (let look = 0; address && look < MOST_LOOKS; look += 1) {
    const answer = await attempt(here(address));
    if (!answer) return null;
    images.push(...answer.body.images);
    address = answer.body.next;
    // The next request may return more than fit; what is left over is not shown twice.
    if (images.length || !address) {
      return { images, total: answer.body.total, next: placeAfter(address) };
    }
  }
  return { images, total: null, next: placeAfter(address) };
}

/** Return where the next page begins: null at the end, "" if pages have numbers. */
function placeAfter(address) {
  return address && (new URL(address, window.location.href).searchParams.get("after") ?? "");
}

/** Return the path of an address, whose host may be another name of the service. */
export function here(address) {
  const url = new URL(address, window.location.href);
  return url.pathname + url.search;
}
