"""The cells of image URLs: all the forms in which shops and people write one or more URLs.

Cells that are not plainly one URL are split here, and joined again with other URLs. Text that is
not a URL stays as it is, for the rules to reject.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

from .urls import EDGES, are_lone_urls, is_local, is_one_url

# Placeholders that catalogues write where there is no image.
NO_IMAGE = frozenset(
    [
        "",
        "-",
        "--",
        "---",
        "–",
        "—",
        "n/a",
        "na",
        "n.a.",
        "#n/a",
        "none",
        "null",
        "nil",
        "nan",
        "undefined",
        "no_selection",
        "no selection",
        "no image",
        "no_image",
        "[]",
        "{}",
        '""',
        "''",
    ]
)
# Longer cells than this are separated at most, and not searched for markup.
_MARKUP_CHARS = 131_072
_WRAPPERS = "\"'`<>“”„«»"
_EXTENSION = r"\.(?:jpe?g|jfif|png|gif|webp|avif|tiff?|bmp|heic|svg)"

# A text, and the start and end of its source in the cell.
Part = tuple[str, int, int]

_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[0-9a-f]{1,6});", re.I)
# A separator separates two URLs only right before the second; elsewhere it is part of a URL.
_BORDER = re.compile(r"[,;|\s][\"'`<(\[“]{0,3}(?=https?://|//[\w\[]|www\.[\w-]+\.)", re.I)
_PATH_BORDER = re.compile(r"[,;|\r\n\t]+")
_AFTER_NAME = re.compile(rf"({_EXTENSION}(?:[?#]\S*+)?+) +", re.I)
_TEXT_AFTER = re.compile(rf"{_EXTENSION}(?:[?#]\S*+)?+[,;| ]", re.I)
_TAG_WITH = (
    r"<{name}\b[^<>]*?\b{attribute}\s*=\s*"
    r"(?:\"([^\"<>]*+)\"|'([^'<>]*+)'|([^\s\"'<>]++))[^<>]*+>?"
)
_IMG = re.compile(_TAG_WITH.format(name="img", attribute="src"), re.I)
_ANCHOR = re.compile(_TAG_WITH.format(name="a", attribute="href"), re.I)
# A tag with a URL in it stays, so that no URL is lost without an issue.
_TAG = re.compile(r"</?(?!https?:|www\.)[a-z](?:(?!://)[^<>])*+>", re.I)
_FORMULA = re.compile(r"=\s*(?:_xlfn\.)?(?:IMAGE|HYPERLINK)\s*\(\s*\"([^\"]*+)\"", re.I)
# `front.jpg (https://…)` and `![front](https://…)`; a URL may have parentheses that are closed.
_IN_PARENTHESES = re.compile(
    r"(?:(?<=\s)|(?<=\])|^)\(\s*((?:https?:)?//[^\s()]*+(?:\([^\s()]*+\)[^\s()]*+)*+)\s*\)", re.I
)
_QUOTED = re.compile(r"'([^'\\]*+)'|\"([^\"\\]*+)\"")
_JSON_STRING = re.compile(r"\"(?:[^\"\\]++|\\.)*+\"")
_ESCAPED_SLASH = re.compile(r"\\/")
_SHARES = ("drive.google.com", "dropbox.com")
_SHARES_IN_BYTES = tuple(host.encode() for host in _SHARES)


class UrlCells:
    """How the cells of image URLs in one file are read: `base_url` completes those without host."""

    def __init__(self, base_url: str | None = None) -> None:
        self._base = base_url.rstrip("/") + "/" if base_url else ""
        self._scheme = urlsplit(self._base).scheme

    def split(self, cell: str) -> tuple[str, ...]:
        """Return the URLs of a cell; other text is returned as it is written."""
        if is_one_url(cell):
            return (_direct(cell),)
        bare = cell.strip(EDGES)
        if bare.casefold() in NO_IMAGE:
            return ()
        if "&" in bare:
            bare = _ENTITY.sub(_unescaped, bare)
        if "\\/" in bare:
            bare = bare.replace("\\/", "/")
        texts = self._texts(bare)
        scheme = self._scheme_of(texts)
        whole = [
            self._whole(text.strip(EDGES).strip(_WRAPPERS).strip(EDGES), scheme) for text in texts
        ]
        return tuple(url for url in whole if url)

    def replaced(self, cell: str, urls: Sequence[str | None]) -> str:
        """Return a cell with URLs in place of its own, in their order; None leaves one as it is.

        All other text of the cell stays, and so does the way in which it writes `/` and `&`.
        """
        text = cell
        for (start, end), url in reversed([*zip(self._places(cell), urls, strict=False)]):
            if url is not None:
                text = text[:start] + _written_like(cell[start:end], url) + text[end:]
        return text

    def _places(self, cell: str) -> list[tuple[int, int]]:
        """Return where each URL that `split` finds stands in the cell as it is written."""
        if is_one_url(cell):
            return [(0, len(cell))]
        bare = cell.strip(EDGES)
        if bare.casefold() in NO_IMAGE:
            return []
        start = cell.find(bare)
        places = [*range(start, start + len(bare) + 1)]
        bare, places = _substituted(_ENTITY, _unescaped, bare, places)
        bare, places = _substituted(_ESCAPED_SLASH, lambda _: "/", bare, places)
        parts = self._parts(bare)
        scheme = self._scheme_of([part for part, _, _ in parts])
        found = []
        for part, start, end in parts:
            core = part.strip(EDGES).strip(_WRAPPERS).strip(EDGES)
            if self._whole(core, scheme):
                # A JSON string with escapes is longer than its text, and has no surrounding blanks.
                if len(part) == end - start:
                    start += part.find(core)
                    end = start + len(core)
                found.append((places[start], places[end]))
        return found

    def _texts(self, bare: str) -> list[str]:
        """Return the texts of the parts without their places, which is faster."""
        parts = _of_markup(bare)
        if parts is None and not self._base and "<" not in bare:
            return _BORDER.split(bare)
        return [text for text, _, _ in (self._parted(bare) if parts is None else parts)]

    def _parts(self, bare: str) -> list[Part]:
        parts = _of_markup(bare)
        return self._parted(bare) if parts is None else parts

    def _scheme_of(self, texts: Sequence[str]) -> str:
        """Return the prefix of a URL without a scheme, from the base URL or another URL."""
        return self._scheme or next(
            (text.partition(":")[0] for text in texts if text[:4].lower() == "http"), "https"
        )

    def all_plain(self, cells: Sequence[str]) -> bool:
        """Return whether each of many cells is one URL that is fetched as it is."""
        return are_lone_urls(cells, _SHARES_IN_BYTES)

    def _parted(self, text: str) -> list[Part]:
        if "<" in text and len(text) <= _MARKUP_CHARS:
            text = _TAG.sub(_blank_lines, text)
        parts = _between(_BORDER, text)
        return [piece for part in parts for piece in self._paths(*part)] if self._base else parts

    def _paths(self, part: str, start: int, end: int) -> list[Part]:
        """Return the paths of a part that is not a full URL."""
        beginning = part.strip(EDGES + _WRAPPERS)[:8].lower()
        if beginning.startswith(("http://", "https://", "//", "www.", "data:")):
            return [(part, start, end)]
        return _between(_PATH_BORDER, _AFTER_NAME.sub(_blank_lines, part), start)

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
        if (
            self._base
            and "://" not in part
            and not start.startswith("data:")
            and not is_local(part)
        ):
            return self._base + quote(part.lstrip("/"), safe="/%?&=#+,;:@!$'()*~")
        return part


def _unescaped(entity: re.Match[str]) -> str:
    return unescape(entity[0])


def _blank_lines(match: re.Match[str]) -> str:
    """Return line ends in place of a match, of the same length, but keep its group."""
    kept = match[1] if match.re.groups else ""
    return kept + "\n" * (len(match[0]) - len(kept))


def _substituted(
    pattern: re.Pattern[str],
    substitute: Callable[[re.Match[str]], str],
    text: str,
    places: list[int],
) -> tuple[str, list[int]]:
    """Return a text with substitutes, and the place of each of its characters and of its end."""
    texts, new_places, last = list[str](), list[int](), 0
    for match in pattern.finditer(text):
        new = substitute(match)
        texts += [text[last : match.start()], new]
        new_places += places[last : match.start()] + [places[match.start()]] * len(new)
        last = match.end()
    return "".join([*texts, text[last:]]), new_places + places[last:]


def _written_like(old: str, url: str) -> str:
    """Return a URL with `/` as PHP writes it in JSON, or `&` as in HTML, where another has them."""
    if "\\/" in old:
        url = url.replace("/", "\\/")
    return url.replace("&", "&amp;") if _ENTITY.search(old) else url


def _between(border: re.Pattern[str], text: str, offset: int = 0) -> list[Part]:
    parts, start = list[Part](), 0
    for match in border.finditer(text):
        parts.append((text[start : match.start()], offset + start, offset + match.start()))
        start = match.end()
    parts.append((text[start:], offset + start, offset + len(text)))
    return parts


def _of_group(match: re.Match[str]) -> Part:
    """Return the only group of a match that is not None."""
    group = match.lastindex or 0
    return match[group], match.start(group), match.end(group)


def _of_markup(text: str) -> list[Part] | None:
    """Return the URLs of a list, a formula, tags or a link in Markdown; None for other cells."""
    if len(text) > _MARKUP_CHARS:
        return None
    formula = _FORMULA.match(text)
    if formula:
        return [_of_group(formula)]
    if text[0] in "[{" and text[-1] in "]}":
        return _of_list(text)
    tag = next((tag for tag in (_IMG, _ANCHOR) if tag.search(text)), None) if "<" in text else None
    if tag:
        sources = [_of_group(match) for match in tag.finditer(text)]
        return sources if "://" not in tag.sub("", text) else None
    if "(" in text:
        found = [_of_group(match) for match in _IN_PARENTHESES.finditer(text)]
        if found and "://" not in _IN_PARENTHESES.sub("", text):
            return found
    return None


def _of_list(text: str) -> list[Part] | None:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        found = [_of_group(match) for match in _QUOTED.finditer(text)]
    else:
        found = [
            (
                json.loads(match[0]) if "\\" in match[0] else match[0][1:-1],
                match.start() + 1,
                match.end() - 1,
            )
            for match in _JSON_STRING.finditer(text)
        ]
    urls = [part for part in found if "//" in part[0]]
    return urls if sum(url.count("://") for url, _, _ in urls) == text.count("://") else None


def _percent_encoded(url: str) -> str:
    """Encode the blanks in a URL as browsers do, unless they only separate it from later text."""
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
        rest = [
            pair
            for pair in parts.query.split("&")
            if pair and pair.partition("=")[0] not in ("dl", "raw")
        ]
        return parts._replace(query="&".join([*rest, "dl=1"])).geturl()
    return url
