// Calls of the HTTP interface. A call without a key asks the user for one and continues.

import { askForKey } from "./key.js";

/** The event of the window for a call that got no answer. */
export const SILENCE = "service-silent";

/** The service rejected a call; `code` and the message come from it. */
export class ServiceError extends Error {
  constructor(status, problem) {
    super(problem?.detail || `The service returned status ${status}.`);
    this.status = status;
    this.code = problem?.code ?? "";
    this.problem = problem;
  }
}

/** The service did not answer. */
export class Unreachable extends Error {
  constructor() {
    super("The service is not responding. Check that it is running and that you are connected to it.");
  }
}

/**
 * Call the service, with the fields of a form as `body` if there are any. Return
 * `{ status, body, etag }`; with the ETag of an earlier answer, the status may be 304 and the body
 * undefined. Throw ServiceError or Unreachable.
 */
export async function call(path, { method = "GET", etag, body: form } = {}) {
  const headers = etag ? { "If-None-Match": etag } : {};
  const answer = await reach(path, { method, headers, cache: "no-store", body: form });
  if (answer.status === 401) {
    await askForKey();
    return call(path, { method, etag, body: form });
  }
  if (answer.status === 304) return { status: 304, etag };
  const body = await parsed(answer);
  if (!answer.ok) throw new ServiceError(answer.status, body);
  return { status: answer.status, body, etag: answer.headers.get("ETag") };
}

/**
 * Call the service for something that is requested again soon. Return null if it rejects the call
 * or does not answer: the line on top of the page says so.
 */
export async function attempt(path, options) {
  try {
    return await call(path, options);
  } catch (error) {
    if (error instanceof ServiceError || error instanceof Unreachable) return null;
    throw error;
  }
}

/** Fetch; throw Unreachable if there is no answer. */
async function reach(path, options) {
  try {
    return await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    window.dispatchEvent(new Event(SILENCE));
    throw new Unreachable();
  }
}

async function parsed(answer) {
  try {
    return await answer.json();
  } catch {
    return undefined;
  }
}
