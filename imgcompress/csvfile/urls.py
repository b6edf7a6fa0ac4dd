"""The URLs of images: cells that are plainly one URL, and the rules that reject a URL.

A cell is plain if it is one whole URL and nothing else, as nearly all are; the check is fast.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from ..catalogue import MAX_URL_CHARS

_ORIGINS_REMEMBERED = 4_096

# Characters that may surround or separate the URLs of a cell.
EDGES = "\u200b\ufeff,;|" + "".join(filter(str.isspace, map(chr, range(0x3001))))

# Possessive, here and below: text that does not match is given up at once.
_URL = re.compile(
    r"(https?://[^\s\\/?#\x00-\x1f\x7f-\x9f]++)"
    r"(?:[/?#][^\s\\\x00-\x1f\x7f-\x9f]*+)?+",
    re.I,
)
# One URL of printable ASCII without separators and marks, as nearly every cell holds: with plain
# classes it takes 0.27 µs to match, with \s and IGNORECASE 0.46 µs. The check for a second :// in
# it is separate, for many cells at once.
_LONE_URL = re.compile(
    r"([hH][tT][tT][pP][sS]?://[!$-+\-.0-:=@-\[\]_a-z~]++)"
    r"(?:[/?#][!#-+\--:=?-\[\]-_a-z{}~]*+)?+"
)
# The characters of a lone URL, without apostrophes, which may surround it.
_PLAIN_BYTES = bytes(
    code for code in range(0x80) if re.fullmatch(r"[!#-&(-+\--:=?-\[\]-_a-z{}~]", chr(code))
)
# A second address is part of the first, as with image proxies, only after / or =.
_NESTED = re.compile(r"[/=](?:https?|ftp)://", re.I)
# C:\photos\a.jpg, \\server\photos\a.jpg, file:///photos/a.jpg
_LOCAL = re.compile(r"[a-z]:[\\/]|\\\\|file:", re.I)
_PATH = re.compile(r"[^\s:]*\.(?:jpe?g|jfif|png|gif|webp|avif|tiff?|bmp)(?:[?#]\S*)?", re.I)
# Each line of a text: the origin of a lone URL, or nothing. One look at many lines takes half the
# time of one look at each.
_LONE_URL_LINES = re.compile(rf"{_LONE_URL.pattern}\n|[^\n]*\n")

# Return None, or the public reason why a URL may not be fetched.
CheckUrl = Callable[[str], str | None]


def is_one_url(cell: str) -> bool:
    """Return whether a cell is plainly one URL; False may also mean that it is unclear."""
    return _LONE_URL.fullmatch(cell) is not None and cell.find("://", 6) < 0


def is_local(text: str) -> bool:
    """Return whether a text names a file on a computer and not on a web server."""
    return _LOCAL.match(text) is not None


def is_url_or_blank(cell: str) -> bool:
    """Return whether a cell begins with a URL, or has nothing in it."""
    bare = cell.strip(EDGES)
    return not bare or bare[:8].lower().startswith(("http://", "https://"))


def are_lone_urls(cells: Sequence[str], but: Sequence[bytes] = ()) -> bool:
    """Return whether each cell is plainly one URL; False may also mean that it is unclear.

    URLs with one of the texts of `but`, in lower case, are not plain. Bytes are looked through in
    half the time that a regular expression takes for the text.
    """
    lines = "\n".join(["", *cells]).encode(errors="surrogatepass")
    lower = lines.lower() if but else b""
    return (
        lines.translate(None, _PLAIN_BYTES) == b"\n" * len(cells)
        and lines.count(b"\nhttp://") + lines.count(b"\nhttps://") == len(cells)
        and lines.count(b"://") == len(cells)
        and not any(text in lower for text in but)
    )


def _has_more(text: str, addresses: int) -> bool:
    """Return whether a text contains more than this number of addresses."""
    # A single character is counted in a third of the time.
    return text.count(":") != addresses and text.count("://") != addresses


def _are_of_origin(cells: Sequence[str], origin: str) -> bool:
    """Return whether each cell is plainly one URL of the same origin, as in most catalogues."""
    return (
        "\n".join(["", *cells]).count(f"\n{origin}/") == len(cells)
        and are_lone_urls(cells)
        and max(map(len, cells)) <= MAX_URL_CHARS
    )


def _origin_of_lone(cell: str) -> str:
    match = _LONE_URL.fullmatch(cell) if len(cell) <= MAX_URL_CHARS else None
    match = match if cell.find("://", 6) < 0 else None
    return match[1] if match else ""


class SplitsCells(Protocol):
    """Splits the cells of image URLs."""

    def split(self, cell: str) -> tuple[str, ...]:
        """Return the URLs of a cell."""


class UrlRules:
    """Check URLs: first as texts, then by `check_url`, which is called once for each origin.

    So `check_url` must decide by scheme and authority only; length and characters of the rest are
    checked here.
    """

    def __init__(self, check_url: CheckUrl, cells: SplitsCells) -> None:
        self._check_url = check_url
        self._split = cells.split
        self._origin_issue = lru_cache(maxsize=_ORIGINS_REMEMBERED)(self._judge_origin)

    def count(self, cells: Sequence[str]) -> tuple[int, int, list[int]]:
        """Return the numbers of URLs in URL cells and of those with an issue.

        Also return the places of the cells without a URL.
        """
        origin = _origin_of_lone(cells[0])
        if origin and _are_of_origin(cells, origin):
            issues = len(cells) * (self._origin_issue(origin) is not None)
            return len(cells), issues, []
        text = "\n".join(cells) + "\n"
        found = _LONE_URL_LINES.findall(text)
        if (
            len(found) != len(cells)
            or max(map(len, cells)) > MAX_URL_CHARS
            or _has_more(text, len(found) - found.count(""))
        ):
            found = [_origin_of_lone(cell) for cell in cells]
        lone = Counter(found)
        urls = len(cells) - lone.pop("", 0)
        issues = sum(
            number for origin, number in lone.items() if self._origin_issue(origin) is not None
        )
        without = []
        if urls < len(cells):
            for place in [place for place, origin in enumerate(found) if not origin]:
                parts = self._split(cells[place])
                urls += len(parts)
                issues += len(parts) - sum(map(self._is_good, parts))
                if not parts:
                    without.append(place)
        return urls, issues, without

    def _is_good(self, url: str) -> bool:
        """Return whether a URL has no issue, which is faster than finding which one."""
        match = _URL.fullmatch(url) if "://" in url else None
        return (
            match is not None
            and len(url) <= MAX_URL_CHARS
            and not _runs_on(url)
            and self._origin_issue(match[1]) is None
        )

    def issue_of(self, url: str) -> tuple[str, str] | None:
        """Return None, or the code and the reason why a URL cannot be fetched."""
        match = _URL.fullmatch(url)
        if match is None:
            is_path = _PATH.fullmatch(url) and not is_local(url)
            return "relative_url" if is_path else "invalid_url", _what_is_odd(url)
        if len(url) > MAX_URL_CHARS:
            return "invalid_url", (
                f"The URL has {len(url):,} characters; at most {MAX_URL_CHARS:,}"
                " are accepted. Use a shorter URL."
            )
        if _runs_on(url):
            return "invalid_url", (
                "Two URLs are joined here without a separator, or http:// is there twice."
                " Separate the URLs with a comma and a space, or delete one http://."
            )
        return self._origin_issue(match[1])

    def _judge_origin(self, origin: str) -> tuple[str, str] | None:
        try:
            parts = urlsplit(origin)
            complete = bool(parts.hostname) and parts.port != 0
        except ValueError:
            complete = False
        if not complete:
            return "invalid_url", (
                "The URL has no valid host name or port. It must look like"
                " https://www.example.com/photo.jpg."
            )
        reason = self._check_url(origin + "/")
        return None if reason is None else ("url_not_allowed", reason)


def _runs_on(url: str) -> bool:
    """Return whether another address begins within a URL and would be lost."""
    return url.find("://", 8) > 0 and url.count("://") - 1 > len(_NESTED.findall(url, 8))


def _what_is_odd(url: str) -> str:
    if is_local(url):
        return (
            "This is a file on a computer, which this service cannot read. Put the image on a server"
            " and enter its URL."
        )
    if _PATH.fullmatch(url):
        return (
            "This is not a full image URL. If it begins with a host name, put https:// before it. If"
            " it is a path, send base_url with the upload, such as"
            " base_url=https://shop.example.com/media/."
        )
    if url[:5].lower() == "data:":
        return "This is the image itself, not its URL. Put the image on a server and enter its URL."
    if not url.lower().startswith(("http://", "https://")):
        return (
            "This is not an image URL: it does not start with http:// or https://. Enter the"
            " full address, as shown by a browser."
        )
    if "\\" in url:
        return "The URL has a backslash. Use / instead."
    if re.search(r"\s", url):
        return (
            "The URL has a space or a line break in it, or is followed by text. Write a space"
            " as %20, and delete other text."
        )
    if re.search(r"[\x00-\x1f\x7f-\x9f]", url):
        return "The URL has an invisible control character in it. Type or copy it again."
    return "The URL has no host name. It must look like https://www.example.com/photo.jpg."
