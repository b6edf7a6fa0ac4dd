"""What became of one attempt to deliver."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """One attempt: delivered or not, and what that means for the next one.

    `status` is the code that the receiver answered and None where there was none. `error` is a
    short code that callers may see. `final` means that no further attempt can help, `receiver_ill`
    that others would fail at this receiver too, and `unanswered` that nothing came from its host at
    all. `retry_after` is in seconds.
    """

    delivered: bool
    status: int | None = None
    error: str = ""
    final: bool = False
    receiver_ill: bool = False
    unanswered: bool = False
    retry_after: float | None = None
