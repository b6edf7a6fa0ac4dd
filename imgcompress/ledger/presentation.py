"""What the ledger keeps in the words of callers, and has made by the functions given to it.

An event is written in the transaction that changes the job's status, and a result in that of its
image; addresses and payloads are none of the ledger's business all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from ..extensions import current_extension
from .models import JobFailure, JobRequest

EXTENSION = "presentation"


class DoneImage(NamedTuple):
    """An image that is done, and its plain address if it is compressed."""

    input_url: str
    image_url: str | None
    status: str


class ImageUrl(Protocol):
    """Returns the plain address of an image of a job whose links begin with `base_url`."""

    def __call__(
        self,
        base_url: str,
        image_id: UUID,
        *,
        input_url: str,
        output_name: str | None,
        position: int,
        extension: str,
    ) -> str: ...


@dataclass(frozen=True)
class Presentation:
    """The functions that make addresses of images, and the payloads of webhooks and mails."""

    image_url: ImageUrl
    webhook_payload: Callable[[JobRequest, Sequence[DoneImage]], str]
    mail_payload: Callable[[JobRequest, Sequence[JobFailure]], str]


def presentation() -> Presentation:
    """Return the functions of the running application."""
    bound: Presentation = current_extension(EXTENSION)
    return bound
