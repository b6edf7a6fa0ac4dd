"""The frames of a long animation, which are never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import overload

from PIL import Image


class StreamedFrames(Sequence[Image.Image]):
    """Frames that are decoded again on each iteration.

    An index or a slice decodes all frames before it. The first frame, which is needed most often,
    is kept.
    """

    def __init__(self, count: int, decoded: Callable[[], Iterator[Image.Image]]) -> None:
        self._count, self._decoded = count, decoded
        self._first: Image.Image | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Image.Image]:
        return islice(self._decoded(), self._count)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...

    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return list(islice(self, *index.indices(self._count)))
        if index == 0 and self._first is not None:
            return self._first
        frame = next(islice(self, range(self._count)[index], None))
        if index == 0:
            self._first = frame
        return frame

    def mapped(self, change: Callable[[Image.Image], Image.Image]) -> StreamedFrames:
        """Return the frames, with `change` applied to each as it is decoded."""
        return StreamedFrames(self._count, lambda: map(change, self._decoded()))
