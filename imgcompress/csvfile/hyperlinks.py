"""The links behind the cells of an Excel sheet: a cell may show `photo` and link to the image."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import quote
from xml.parsers import expat

from openpyxl.utils.cell import range_boundaries

from ..catalogue import MAX_URL_CHARS
from .columns import ABOUT_IMAGES, IMAGE_URL
from .unpacking import BoundedPart

# Excel's limit per sheet.
MOST_LINKS = 65_530
_MOST_CHARS = 8_000_000
_HYPERLINK = "/hyperlink"
_URL = re.compile(r"https?://\S", re.I)


class Link(NamedTuple):
    """The relationship of a cell's link, and the URL."""

    id: str
    target: str


# Keyed by the row, from 1, and the column, from 0.
Links = dict[tuple[int, int], Link]


def relations_of(part: str) -> str:
    """Return the name of the part that has the relationships of another."""
    path = PurePosixPath(part)
    return str(path.parent / "_rels" / f"{path.name}.rels")


def web_link(target: str, id_: str = "") -> Link | None:
    """Return a link to a web address, or None for any other."""
    return Link(id_, target) if _URL.match(target) and len(target) <= MAX_URL_CHARS else None


def read_links(archive: zipfile.ZipFile, part: str, max_xml_bytes: int) -> Links:
    """Return the web links of the cells of a sheet; those beyond MOST_LINKS are left out.

    Raise BadCatalogue if there is too much XML, or a piece of it is too large for memory.
    """
    relations = relations_of(part)
    if relations not in archive.namelist():
        return {}
    targets: dict[str, str] = {}
    room = _MOST_CHARS
    for name, attributes in _elements(archive, relations, max_xml_bytes):
        target = attributes.get("Target", "")
        if (
            name == "Relationship"
            and attributes.get("Type", "").endswith(_HYPERLINK)
            and web_link(target)
        ):
            room -= len(target)
            if room < 0:
                break
            targets[attributes.get("Id", "")] = target
    links: Links = {}
    for name, attributes in _elements(archive, part, max_xml_bytes) if targets else ():
        if name == "hyperlink":
            id_ = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            if id_ in targets:
                _spread(links, attributes.get("ref", ""), Link(id_, targets[id_]))
    return links


def with_link(text: str, link: Link | None) -> str:
    """Return the text of a cell with the image behind it: `photo (https://…)`.

    A text that is a URL itself, or a link that seems to lead to no image, changes nothing.
    """
    if link is None or "://" in text:
        return text
    if not IMAGE_URL.search(link.target) and not ABOUT_IMAGES.search(text):
        return text
    return f"{text} ({target_in_text(link)})" if text.strip() else target_in_text(link)


def target_in_text(link: Link) -> str:
    """Return the URL of a link as it stands in the text of its cell."""
    return quote(link.target, safe="!#$%&'*+,/:;=?@[]~")


def _spread(links: Links, reference: str, link: Link) -> None:
    try:
        left, top, right, bottom = cast(tuple[int, int, int, int], range_boundaries(reference))
        places = (
            (row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)
        )
        for row, column in places:
            if len(links) >= MOST_LINKS:
                return
            links[row, column - 1] = link
    except (ValueError, TypeError):
        return


def _elements(
    archive: zipfile.ZipFile, part: str, max_xml_bytes: int
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the local name and the attributes of each element of a part."""
    found: list[tuple[str, dict[str, str]]] = []
    parser: Any = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: found.append(
        (name.rpartition(":")[2], attributes)
    )
    with archive.open(part) as file:
        bounded = BoundedPart(cast(BinaryIO, file), max_xml_bytes)
        while block := bounded.read():
            parser.Parse(block, False)
            if found:
                bounded.passed()
            yield from found
            found.clear()
