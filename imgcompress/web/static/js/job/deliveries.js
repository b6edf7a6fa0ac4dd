// The log of webhooks and e-mails, with a button that resends one.

import { attempt, call } from "../common/api.js";
import { byId, make, show, setText, unseen } from "../common/dom.js";
import { counted, short, time } from "../common/format.js";

const WORDS = { PENDING: "Pending", DELIVERED: "Delivered", FAILED: "Given up" };

/** The delivery log of a job with a webhook or an e-mail address. */
export class Deliveries {
  #id;
  #changed;
  #seen = "";

  constructor(id, changed) {
    this.#id = id;
    this.#changed = changed;
  }

  /** Read the log again when the status has changed. */
  async show(job) {
    const seen = JSON.stringify([job.last_delivery, job.status]);
    if (!job.last_delivery || seen === this.#seen) return;
    const answer = await attempt(`/job/webhooks/${this.#id}`);
    if (!answer) return;
    this.#seen = seen;
    this.#draw(answer.body.deliveries);
  }

  #draw(deliveries) {
    show(byId("deliveries"), deliveries.length > 0);
    byId("delivery-list").replaceChildren(
      ...deliveries.toReversed().map((delivery) => this.#entry(delivery)));
  }

  #entry(delivery) {
    return make("li", {},
      make("p", { class: "delivery-head" },
        make("span", { class: "pill", "data-delivery": delivery.state },
          WORDS[delivery.state] ?? delivery.state),
        " ", make("b", {}, delivery.event), " to ",
        make("span", { class: "target" }, delivery.target), " ",
        make("button", { type: "button", class: "link", onclick: () => this.#sendAgain(delivery) },
          "Resend", unseen(` ${delivery.event}`))),
      make("p", { class: "quiet" }, outlook(delivery)),
      attempts(delivery));
  }

  async #sendAgain(delivery) {
    const query = new URLSearchParams({ id: delivery.id });
    try {
      const { body } = await call(`/job/webhooks/${this.#id}/redeliver?${query}`,
        { method: "POST" });
      setText(byId("said"), `${delivery.event} is being resent.`);
      this.#draw(body.deliveries);
    } catch (error) {
      setText(byId("said"), error.message);
    }
    this.#changed();
  }
}

function outlook(delivery) {
  const parts = [counted(delivery.attempts.length, "attempt")];
  if (delivery.delivered_at) parts.push(`delivered ${time(delivery.delivered_at)}`);
  if (delivery.next_attempt_at) parts.push(`next attempt ${time(delivery.next_attempt_at)}`);
  if (delivery.circuit?.open_until) {
    parts.push("the receiver failed too often and is suspended until"
      + ` ${time(delivery.circuit.open_until)}`);
  }
  return parts.join(" · ");
}

function attempts(delivery) {
  if (!delivery.attempts.length) return null;
  return make("details", {},
    make("summary", {}, "Attempts"),
    make("ol", {}, ...delivery.attempts.map((attempt) => make("li", {}, attemptLine(attempt)))));
}

function attemptLine(attempt) {
  const answer = attempt.response_status ?? attempt.error ?? "in progress";
  const took = attempt.seconds === null ? "" : `, ${short(attempt.seconds)} s`;
  return `${time(attempt.started_at)}: ${answer}${took}`;
}
