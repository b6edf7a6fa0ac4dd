// Reading the images of a job, page by page.

import { attempt } from "../common/api.js";

// Where only one outcome is wanted, so many images are looked through for each page that is shown.
const LOOKED_THROUGH = 200;
const MOST_PAGES = 10;

/**
 * Find images of a job: `filter` is a status, or a status and an outcome. Begin at `next`, which the
 * last call returned. Return `{ images, next }`; next is null at the end. Return null where the service
 * does not give them now.
 */
export async function findImages(id, filter, wanted, next = null) {
  const [status, outcome] = filter.split(" ");
  const found = [];
  let address = next ?? firstPage(id, status, outcome, wanted);
  for (let page = 0; address && found.length < wanted && page < MOST_PAGES; page += 1) {
    const answer = await attempt(here(address));
    if (!answer) return null;
    found.push(...answer.body.images.filter((image) => !outcome || image.outcome === outcome));
    address = answer.body.next;
  }
  return { images: found, next: address };
}

function firstPage(id, status, outcome, wanted) {
  const query = new URLSearchParams({ per_page: outcome ? LOOKED_THROUGH : wanted });
  if (status) query.set("status", status);
  return `/job/details/${id}?${query}`;
}

/** Return the path of an address, which may name the service by another name than this page. */
function here(address) {
  const url = new URL(address, window.location.href);
  return url.pathname + url.search;
}
