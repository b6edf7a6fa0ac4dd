"""How many downloads a process has under way: enough for the codec not to wait, and no more.

Many at once cost a near origin's images CPU that the codec needs, and memory; few at once let the
codec wait for a far one. So the number follows from what the codec meets.
"""

from __future__ import annotations

FIRST = 4
GROWTH = 1.5
# Less is the time that a near origin's image takes through the threads of this process.
STARVED_SECONDS = 0.005
# A download that has gone on for so long waits for its origin; it costs nothing but its thread.
SLOW_SECONDS = 2.0
# With those that wait for their origins, so many times the concurrency may be under way.
WITH_SLOW = 3


class DownloadSlots:
    """The number of downloads that may be under way, between 1 and `most`.

    It grows when the codec waits although all of them are taken, and shrinks by one when images
    lay ready each time that the codec asked, for twice as many images as there are downloads.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.threads = WITH_SLOW * most
        self._target = float(min(FIRST, most))
        self._calm = 0

    @property
    def target(self) -> int:
        """Return how many downloads may be under way, those not counted that are slow."""
        return int(self._target)

    def codec_waited(self, seconds: float) -> None:
        """Note that the codec had nothing to do for so long although all slots were taken."""
        if seconds < STARVED_SECONDS:
            return
        self._target = min(self._target * GROWTH, float(self.most))
        self._calm = 0

    def codec_served(self, *, more_ready: bool) -> None:
        """Note that the codec was given an image, and whether another one lies ready."""
        self._calm = self._calm + 1 if more_ready else 0
        if self._calm >= 2 * self.target:
            self._target = max(self._target - 1, 1.0)
            self._calm = 0
