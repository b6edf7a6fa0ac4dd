// Sending the form with progress events, which fetch does not have.

import { ServiceError, Unreachable } from "../common/api.js";
import { askForKey } from "../common/key.js";

/**
 * Send a form to /upload. `progressed` is called with the share sent so far, from 0 to 1; `once` is the
 * idempotency key, so that sending again makes no second job. Return the answer's body. Throw
 * ServiceError or Unreachable; end silently when `signal` is aborted.
 */
export async function send(data, { progressed, signal, once }) {
  const { status, body } = await post(data, progressed, signal, once);
  if (status === 401) {
    await askForKey();
    return send(data, { progressed, signal, once });
  }
  if (status >= 400) throw new ServiceError(status, body);
  return body;
}

function post(data, progressed, signal, once) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/upload");
    if (once) request.setRequestHeader("Idempotency-Key", once);
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) progressed(event.loaded / event.total);
    };
    request.onload = () => resolve({ status: request.status, body: request.response });
    request.onerror = () => reject(new Unreachable());
    signal.addEventListener("abort", () => request.abort());
    request.send(data);
  });
}
