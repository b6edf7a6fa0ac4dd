"""The cells of image URLs: all the forms in which shops and people write one URL or several.

A cell is plain if it is one whole URL and nothing else, as nearly all are; those are known at once.
The others are taken apart here. What is no URL stays as it is, for the rules to object to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from .urls import EDGES, is_one_url, origins_of_lone

# What catalogues write where there is no image.
NO_IMAGE = frozenset(["", "-", "--", "---", "–", "—", "n/a", "na", "n.a.", "#n/a", "none", "null",
                      "nil", "nan", "undefined", "no_selection", "no selection", "no image",
                      "no_image", "[]", "{}", '""', "''"])
# Longer cells than this are separated at most, and not searched for markup.
_MARKUP_CHARS = 131_072
_WRAPPERS = "\"'`<>“”„«»"
_EXTENSION = r"\.(?:jpe?g|jfif|png|gif|webp|avif|tiff?|bmp|heic|svg)"

_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[0-9a-f]{1,6});", re.I)
# A separator parts two URLs where the second begins; elsewhere it belongs to the URL it stands in.
_BORDER = re.compile(r"[,;|\s][\"'`<(\[“]{0,3}(?=https?://|//[\w\[]|www\.[\w-]+\.)", re.I)
_PATH_BORDER = re.compile(r"[,;|\r\n\t]+")
_AFTER_NAME = re.compile(rf"({_EXTENSION}(?:[?#]\S*+)?+) +", re.I)
_TEXT_AFTER = re.compile(rf"{_EXTENSION}(?:[?#]\S*+)?+[,;| ]", re.I)
_IMG = re.compile(r"<img\b[^<>]*?\bsrc\s*=\s*"
                  r"(?:\"([^\"<>]*+)\"|'([^'<>]*+)'|([^\s\"'<>]++))[^<>]*+>?", re.I)
_TAG = re.compile(r"</?(?!https?:|www\.)[a-z][^<>]*+>", re.I)
_FORMULA = re.compile(r"=\s*(?:_xlfn\.)?(?:IMAGE|HYPERLINK)\s*\(\s*\"([^\"]*+)\"", re.I)
# `front.jpg (https://…)` and `![front](https://…)`; a URL may have parentheses that are closed.
_IN_PARENTHESES = re.compile(
    r"(?:(?<=\s)|(?<=\])|^)\(\s*((?:https?:)?//[^\s()]*+(?:\([^\s()]*+\)[^\s()]*+)*+)\s*\)", re.I)
_QUOTED = re.compile(r"'([^'\\]*+)'|\"([^\"\\]*+)\"")
_SHARES = ("drive.google.com", "dropbox.com")


class UrlCells:
    """How the cells of image URLs in one file are read: `base_url` completes those without host."""

    def __init__(self, base_url: str | None = None) -> None:
        self._base = base_url.rstrip("/") + "/" if base_url else ""
        self._scheme = urlsplit(self._base).scheme

    def split(self, cell: str) -> tuple[str, ...]:
        """Return the URLs of a cell; what is no URL comes as it is written."""
        if is_one_url(cell):
            return (_direct(cell),)
        bare = cell.strip(EDGES)
        if bare.casefold() in NO_IMAGE:
            return ()
        if "&" in bare:
            bare = _ENTITY.sub(lambda entity: unescape(entity[0]), bare)
        if "\\/" in bare:
            bare = bare.replace("\\/", "/")
        parts = _of_markup(bare) if len(bare) <= _MARKUP_CHARS else None
        if parts is None:
            parts = self._parted(bare)
        scheme = self._scheme or next(
            (part.partition(":")[0] for part in parts if part[:4].lower() == "http"), "https")
        whole = [self._whole(part.strip(EDGES).strip(_WRAPPERS).strip(EDGES), scheme)
                 for part in parts]
        return tuple(url for url in whole if url)

    def all_plain(self, cells: Sequence[str]) -> bool:
        """Tell whether each of many cells is one URL that is fetched as it is."""
        origins = origins_of_lone(cells)
        return origins is not None and not any(origin.lower().endswith(_SHARES)
                                               for origin in origins)

    def _parted(self, text: str) -> list[str]:
        if "<" in text and len(text) <= _MARKUP_CHARS:
            text = _TAG.sub("\n", text)
        parts = _BORDER.split(text)
        return [piece for part in parts for piece in self._paths(part)] if self._base else parts

    def _paths(self, part: str) -> list[str]:
        """Return the paths of a part that is no whole URL."""
        start = part.strip(EDGES + _WRAPPERS)[:8].lower()
        if start.startswith(("http://", "https://", "//", "www.", "data:")):
            return [part]
        return _PATH_BORDER.split(_AFTER_NAME.sub("\\1\n", part))

    def _whole(self, part: str, scheme: str) -> str:
        start = part[:8].lower()
        if start.startswith(("http://", "https://")):
            return _direct(_percent_encoded(part))
        if part.casefold() in NO_IMAGE:
            return ""
        if start.startswith("//"):
            return _direct(_percent_encoded(f"{scheme}:{part}"))
        if start.startswith("www."):
            return _percent_encoded(f"https://{part}")
        if self._base and "://" not in part and not start.startswith("data:"):
            return self._base + quote(part.lstrip("/"), safe="/%?&=#+,;:@!$'()*~")
        return part


def _of_markup(text: str) -> list[str] | None:
    """Return the URLs of a list, a formula, tags or a link in Markdown; None for other cells."""
    formula = _FORMULA.match(text)
    if formula:
        return [formula[1]]
    if text[0] in "[{" and text[-1] in "]}":
        return _of_list(text)
    if "<" in text and _IMG.search(text):
        sources = [next(filter(None, match), "") for match in _IMG.findall(text)]
        return sources if "://" not in _IMG.sub("", text) else None
    if "(" in text:
        found = _IN_PARENTHESES.findall(text)
        if found and "://" not in _IN_PARENTHESES.sub("", text):
            return list(found)
    return None


def _of_list(text: str) -> list[str] | None:
    try:
        found = list(_strings(json.loads(text)))
    except (ValueError, RecursionError):
        found = [one or other for one, other in _QUOTED.findall(text)]
    urls = [url for url in found if "//" in url]
    return urls if sum(url.count("://") for url in urls) == text.count("://") else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _percent_encoded(url: str) -> str:
    """Encode the blanks in a URL as browsers do, unless they only part it from a text after it."""
    if " " not in url or _TEXT_AFTER.search(url):
        return url
    return url.replace(" ", "%20")


def _direct(url: str) -> str:
    """Return the direct form of a link by which Google Drive or Dropbox share a file."""
    if not any(host in url[:40].lower() for host in _SHARES):
        return url
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, max_num_fields=50)
    except ValueError:
        return url
    host = (parts.hostname or "").removeprefix("www.")
    if host == "drive.google.com":
        id_ = re.match(r"/file/(?:u/\d+/)?d/([\w-]+)", parts.path)
        known = id_[1] if id_ else (query.get("id") or [""])[0]
        shared = id_ or parts.path in ("/open", "/uc")
        key = "".join(f"&resourcekey={value}" for value in query.get("resourcekey", [])[:1])
        if known and shared:
            return f"https://drive.google.com/uc?export=download&id={known}{key}"
    elif host == "dropbox.com" and parts.path.startswith(("/s/", "/scl/fi/")):
        rest = [pair for pair in parts.query.split("&")
                if pair and pair.partition("=")[0] not in ("dl", "raw")]
        return parts._replace(query="&".join([*rest, "dl=1"])).geturl()
    return url
