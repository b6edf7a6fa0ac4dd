"""What a runner is told to do with images: three stages, and the word when to go on or to stop."""

from __future__ import annotations

from typing import Protocol, TypeVar

Worked = TypeVar("Worked", contravariant=True)
Made = TypeVar("Made")
Stored = TypeVar("Stored", covariant=True)


class Work(Protocol[Worked, Made, Stored]):
    """What a runner does with the images of a queue.

    `fetch`, `compress` and `store` are called in threads. They raise ImageError for a fault of the
    image alone; any other error is a fault of ours and ends the run.
    """

    def fetch(self, item: Worked, /) -> bytes:
        """Return the bytes of an image."""

    def compress(self, item: Worked, data: bytes, /) -> Made:
        """Compress an image."""

    def compress_seconds(self, item: Worked, /) -> float:
        """Return after how many seconds of compress() an image never comes back."""

    def store(self, item: Worked, made: Made, /) -> Stored:
        """Store what was made of an image."""

    def begins(self, item: Worked, /) -> bool:
        """Tell whether to begin to fetch or to compress an image: if not, it is dropped."""

    def wanted(self, item: Worked, /) -> bool:
        """Tell whether somebody wants to know what becomes of an image that was begun with.

        If not, nothing is stored of it any more.
        """

    def refill(self) -> bool:
        """Put more images into the queue, if there are any; return whether there were."""

    def stopped(self) -> bool:
        """Tell whether to end the run, and leave what is in hand."""
