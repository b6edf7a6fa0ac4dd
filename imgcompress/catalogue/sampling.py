"""Look at the first rows of a table: which of its columns hold the URLs of images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .columns import folded_name

SAMPLED_ROWS = 1_000
# Longer cells than this are texts.
_LOOKED_AT_CHARS = 10_000
_IMAGE_URL = re.compile(
    r"(?:https?:)?(?://|\\/\\/)[^\s,;|\"'<>]+?(?:\.(?:jpe?g|jfif|png|gif|webp|avif|tiff?|bmp)"
    r"(?![a-z0-9.])|(?<=drive\.google\.com)/(?:file/d/|open\?|uc\?)"
    r"|(?<=dropbox\.com)/(?:s|scl)/)", re.I)
_ANY_URL = re.compile(r"\s*[\"'<(\[]*https?://\S", re.I)
_ABOUT_IMAGES = re.compile(r"image|img|photo|picture|\bpic\b|foto|bild|imag[eé]n|afbeelding|media"
                           r"|immagine|obraz|fotograf", re.I)
# What an earlier run of this service has written.
_OUTPUT = {"outputimageurls", "imageerrors"}


@dataclass(frozen=True)
class Sample:
    """The header and the first rows below it."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def image_columns(self, but: Sequence[int] = ()) -> list[int]:
        """Return the places of the columns of whose cells most are URLs of images.

        Some, `but`, are not looked at.
        """
        known = frozenset(but)
        filled: Counter[int] = Counter()
        images: Counter[int] = Counter()
        for row in self.rows:
            for place, cell in enumerate(row[:len(self.header)]):
                if cell and place not in known and not cell.isspace():
                    filled[place] += 1
                    if "//" in cell or "\\/" in cell:
                        images[place] += self._is_image(place, cell)
        return [place for place in sorted(images) if 2 * images[place] >= filled[place]
                and images[place] and folded_name(self.header[place]) not in _OUTPUT]

    def _is_image(self, place: int, cell: str) -> bool:
        text = cell[:_LOOKED_AT_CHARS]
        return (_IMAGE_URL.search(text) is not None and not text.lstrip().startswith("<p")
                or _ANY_URL.match(text) is not None
                and _ABOUT_IMAGES.search(self.header[place]) is not None)


def holds_image_url(cells: Sequence[str]) -> bool:
    """Tell whether a row has the URL of an image in it."""
    return any("//" in cell and _IMAGE_URL.search(cell[:_LOOKED_AT_CHARS]) for cell in cells)
