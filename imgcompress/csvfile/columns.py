"""Find the columns with image URLs by the first rows of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..catalogue import OPTION_NAMES
from .layouts import KNOWN_LAYOUTS, USUAL_IDS, USUAL_NAMES, KnownLayout
from .model import Issue, Wishes, enumerated, issue


@dataclass(frozen=True)
class Column:
    """A column that this service reads: its name, and its folded names."""

    name: str
    known_as: tuple[str, ...]


SERIAL_NUMBER = Column("S. No.", ("sno", "serialnumber", "serialno"))
PRODUCT_NAME = Column("Product Name", ("productname",))
INPUT_URLS = Column("Input Image Urls", ("inputimageurls", "inputimageurl"))
CONTRACT_COLUMNS = (SERIAL_NUMBER, PRODUCT_NAME, INPUT_URLS)

# A row's own options, instead of those of the upload.
OPTION_COLUMNS = tuple(Column(name, (name.replace("_", ""),)) for name in OPTION_NAMES)
FORMAT, QUALITY, COMPRESSION_PERCENTAGE, _, _, EFFORT, FORMATS, _, METADATA = OPTION_COLUMNS
OUTPUT_NAME = Column("output name", ("outputname",))
# The prefix that makes the header of an option unmistakable: `imgcompress format`.
PREFIX = "imgcompress"

# How the columns were found.
NAMED, CONTRACT, DETECTED = "named", "imgcompress", "detected"


# Columns beyond these are not searched.
_TITLES_SEARCHED = 1_000
_TITLE_CHARS = 1_000
# The most names that may be sent, and the most commas in a name.
_MOST_NAMES = 50
_MOST_COMMAS = 8
_EXAMPLE_NAMES = 5


class Titles:
    """The titles of a header, for look-ups by name and by pattern."""

    def __init__(self, header: Sequence[str]) -> None:
        self._cased = [_cased(title) for title in header[:_TITLES_SEARCHED]]
        self.many = len(header) > 1
        self._by_name: dict[str, list[int]] = {}
        for place, title in enumerate(self._cased):
            if title:
                self._by_name.setdefault(folded_name(title) or title, []).append(place)

    def places(self, name: str) -> list[int]:
        """Return the places of the columns that match a name or a pattern with a `*`."""
        if "*" not in name:
            return self._by_name.get(folded_name(name) or _cased(name), [])
        # Not as a regular expression: a caller's could take forever.
        parts = _cased(name).split("*")
        return [
            place
            for place, title in enumerate(self._cased)
            if title and _has_in_order(title, parts)
        ]

    def first(self, names: Sequence[str], taken: Sequence[int]) -> int | None:
        """Return the place of the first of these names that is not a column of images."""
        return next(
            (place for name in names for place in self.places(name) if place not in taken), None
        )

    def count(self, folded: str) -> int:
        """Return the number of columns with a folded name."""
        return len(self._by_name.get(folded, ()))


def _has_in_order(title: str, parts: Sequence[str]) -> bool:
    start, *middle, end = parts
    if not (
        title.startswith(start) and title.endswith(end) and len(title) >= len(start) + len(end)
    ):
        return False
    at = len(start)
    for part in middle:
        at = title.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return at <= len(title) - len(end)


@dataclass(frozen=True)
class ChosenColumns:
    """The places of the columns that are read, and the layout by which they were found.

    `matched` is the number of wanted columns that exist. Of `urls`, those in `perhaps` are read only
    if they hold images.
    """

    layout: str
    urls: tuple[int, ...]
    name: int | None = None
    id: int | None = None
    matched: int = 1
    perhaps: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Return whether these are all columns of this service, so that none is missing."""
        return self.layout == CONTRACT and self.matched == len(CONTRACT_COLUMNS)

    @property
    def rank(self) -> tuple[int, int]:
        """Return the certainty of this choice, for comparison with others."""
        return {NAMED: 3, CONTRACT: 2, DETECTED: 0}.get(self.layout, 1), self.matched


def choose_columns(header: Sequence[str], wishes: Wishes) -> ChosenColumns | None:
    """Return the columns that the caller named, else the contract's, else a known layout's."""
    titles = Titles(header)
    if wishes.url_columns:
        urls, missing = named_columns(titles, wishes.url_columns)
        found = ChosenColumns(NAMED, urls, matched=len(urls) - len(missing)) if urls else None
    else:
        found = _of_contract(titles) or _of_known_layout(titles)
    return with_names(found, header, wishes) if found else None


def with_names(chosen: ChosenColumns, header: Sequence[str], wishes: Wishes) -> ChosenColumns:
    """Return the choice with the columns of name and identifier: those named, or usual ones."""
    titles = Titles(header)
    name, id_ = chosen.name, chosen.id
    if chosen.layout in (NAMED, DETECTED):
        known = _of_contract(titles) or _of_known_layout(titles)
        if known:
            name, id_ = known.name, known.id
        name = titles.first(USUAL_NAMES, chosen.urls) if name is None else name
        id_ = titles.first(USUAL_IDS, chosen.urls) if id_ is None else id_
    if wishes.name_column:
        name = next(iter(titles.places(wishes.name_column)), name)
    if wishes.id_column:
        id_ = next(iter(titles.places(wishes.id_column)), id_)
    return replace(chosen, name=name, id=id_)


def named_columns(titles: Titles, texts: Sequence[str]) -> tuple[tuple[int, ...], list[str]]:
    """Return the places of the columns that a caller named, in order, and the missing names.

    Names are separated by commas and may contain commas: the longest existing name is used.
    """
    places: dict[int, None] = {}
    missing: list[str] = []
    for text in texts:
        pieces = text.split(",")
        while pieces:
            for end in range(min(len(pieces), _MOST_COMMAS + 1), 0, -1):
                name = ",".join(pieces[:end]).strip()
                # A pattern has no commas, since each combination would be looked up in all titles.
                known = (
                    name
                    and len(places) + len(missing) < _MOST_NAMES
                    and (end == 1 or "*" not in name)
                )
                found = titles.places(name) if known else []
                if found:
                    places.update(dict.fromkeys(found))
                    break
            else:
                if name:
                    missing.append(name)
            del pieces[:end]
    return tuple(places), missing


def find_options(header: Sequence[str], wishes: Wishes) -> dict[Column, int]:
    """Return the places of the option columns; duplicates are left out."""
    titles = Titles(header)
    indices = {}
    for column in (*OPTION_COLUMNS, OUTPUT_NAME):
        unique = [name for name in option_names(column, wishes) if titles.count(name) == 1]
        if unique:
            indices[column] = titles.places(unique[0])[0]
    return indices


def options_of(places: Mapping[str, int]) -> dict[Column, int]:
    """Return the option columns by their names."""
    return {
        column: places[column.name]
        for column in (*OPTION_COLUMNS, OUTPUT_NAME)
        if column.name in places
    }


def option_names(column: Column, wishes: Wishes) -> tuple[str, ...]:
    """Return the folded names under which an option is read.

    A catalogue's own `Format` or `Max Width` must not steer the codec by accident, so the bare
    names count only where the caller said so. That of `output name` steers no codec.
    """
    prefixed = tuple(PREFIX + name for name in column.known_as)
    bare = wishes.row_options or column is OUTPUT_NAME
    return prefixed + column.known_as if bare else prefixed


def header_issues(
    row: int,
    header: Sequence[str],
    chosen: ChosenColumns | None,
    wishes: Wishes,
    holding_urls: Sequence[str] = (),
) -> Iterator[Issue]:
    """Yield the issues of the header in `row`: columns that are missing or occur twice.

    `holding_urls` are the names of the columns that hold URLs of images.
    """
    titles = Titles(header)
    names = enumerated([name for name in header if name.strip()])
    for field, texts in (
        ("url_columns", wishes.url_columns),
        ("name_column", (wishes.name_column,)),
        ("id_column", (wishes.id_column,)),
    ):
        _, missing = named_columns(titles, [text for text in texts if text])
        if missing:
            yield issue(
                "unknown_column",
                row,
                value=", ".join(missing),
                field=field,
                names=names,
                missing=enumerated(missing),
            )
    known = {
        column: column.known_as
        for column in CONTRACT_COLUMNS
        if chosen and chosen.layout == CONTRACT
    }
    known |= {column: option_names(column, wishes) for column in (*OPTION_COLUMNS, OUTPUT_NAME)}
    for column, known_as in known.items():
        most = max(map(titles.count, known_as))
        if most > 1:
            yield issue(
                "duplicate_column", row, column.name, column.name, name=column.name, count=most
            )
    if chosen is None and not wishes.url_columns:
        if holds_image_url(header):
            yield issue("no_header", row, value=next(filter(_ANY_URL.match, header), None))
        elif holding_urls:
            yield issue(
                "unclear_columns",
                row,
                names=names,
                holding=enumerated(holding_urls),
                example=",".join(holding_urls[:_EXAMPLE_NAMES]),
            )
        else:
            yield issue("missing_column", row, INPUT_URLS.name, names=names)


def _of_contract(titles: Titles) -> ChosenColumns | None:
    places: dict[Column, int] = {}
    for column in CONTRACT_COLUMNS:
        # A unique column goes before a duplicate one.
        found = sorted(
            (titles.count(name), order, titles.places(name)[0])
            for order, name in enumerate(column.known_as)
            if titles.count(name)
        )
        if found:
            places[column] = found[0][2]
    if INPUT_URLS not in places:
        return None
    return ChosenColumns(
        CONTRACT,
        (places[INPUT_URLS],),
        places.get(PRODUCT_NAME),
        places.get(SERIAL_NUMBER),
        len(places),
    )


def _of_known_layout(titles: Titles) -> ChosenColumns | None:
    # A single title is that of a list of URLs, or not a header.
    known = KNOWN_LAYOUTS if titles.many else ()
    return next(filter(None, (_of_layout(titles, layout) for layout in known)), None)


def _of_layout(titles: Titles, known: KnownLayout) -> ChosenColumns | None:
    if not all(map(titles.places, known.marks)):
        return None
    if known.hints and not any(map(titles.places, known.hints)):
        return None
    sure = [place for name in known.urls for place in titles.places(name)]
    perhaps = [place for name in known.perhaps for place in titles.places(name)]
    urls = tuple(dict.fromkeys(sure + perhaps))
    if not urls:
        return None
    return ChosenColumns(
        known.name,
        urls,
        titles.first(known.names, urls),
        titles.first(known.ids, urls),
        len(known.marks) + len(urls),
        tuple(dict.fromkeys(perhaps)),
    )


def _cased(name: str) -> str:
    return name[:_TITLE_CHARS].strip(" \t\r\n\ufeff").casefold()


def folded_name(name: str) -> str:
    """Fold case, and leave out blanks and punctuation: `S. No.` becomes `sno`."""
    return "".join(filter(str.isalnum, name[:_TITLE_CHARS].casefold()))


SAMPLED_ROWS = 1_000
# Longer cells are texts.
_LOOKED_AT_CHARS = 10_000
IMAGE_URL = re.compile(
    r"(?:https?:)?(?://|\\/\\/)[^\s,;|\"'<>]+?(?:\.(?:jpe?g|jfif|png|gif|webp|avif|tiff?|bmp)"
    r"(?![a-z0-9.])|(?<=drive\.google\.com)/(?:file/d/|open\?|uc\?)"
    r"|(?<=dropbox\.com)/(?:s|scl)/)",
    re.I,
)
_FILE = re.compile(r"\.(?:jpe?g|jfif|png|gif|webp|avif|tiff?|bmp)(?![a-z0-9.])", re.I)
_ANY_URL = re.compile(r"\s*[\"'<(\[]*https?://\S", re.I)
ABOUT_IMAGES = re.compile(
    r"image|img|photo|picture|\bpic\b|foto|bild|imag[eé]n|afbeelding|media"
    r"|immagine|obraz|fotograf",
    re.I,
)
# URLs written by an earlier run of this service.
_OUTPUT = {"outputimageurls", "imageerrors"}


# The last two are used as separators only after a line such as sep=~.
_MARKS_WITHIN = ",;\t|~^"


@dataclass(frozen=True)
class Sample:
    """The header and the first rows below it."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def image_columns(self, but: Sequence[int] = ()) -> list[int]:
        """Return the places of the columns whose cells are mostly URLs of images.

        The columns in `but` are skipped.
        """
        known = frozenset(but)
        filled: Counter[int] = Counter()
        images: Counter[int] = Counter()
        for row in self.rows:
            for place, cell in enumerate(row[: len(self.header)]):
                if cell and place not in known and not cell.isspace():
                    filled[place] += 1
                    if "//" in cell or "\\/" in cell:
                        images[place] += self._is_image(place, cell)
        return [
            place
            for place in sorted(images)
            if 2 * images[place] >= filled[place]
            and images[place]
            and folded_name(self.header[place]) not in _OUTPUT
        ]

    def mark_within_cells(self) -> str:
        """Return the character that separates columns within the single cell of each row, or ""."""
        rows = [[cell for cell in row if cell.strip()] for row in (self.header, *self.rows)]
        texts = [row[0] for row in rows if row]
        if len(texts) < 2 or any(len(row) > 1 for row in rows):
            return ""
        for mark in _MARKS_WITHIN:
            columns = texts[0].count(mark)
            if columns and all(
                text.count(mark) >= columns and "://" not in text.partition(mark)[0]
                for text in texts
            ):
                return mark
        return ""

    def without_texts(self, chosen: ChosenColumns) -> ChosenColumns:
        """Return the choice without columns of `perhaps` whose cells are all other texts.

        If no column would be left, all stay, so that the texts are reported.
        """
        texts = {place for place in chosen.perhaps if self._holds_only_texts(place)}
        urls = tuple(place for place in chosen.urls if place not in texts)
        return replace(chosen, urls=urls) if urls else chosen

    def _holds_only_texts(self, place: int) -> bool:
        cells = [row[place][:_LOOKED_AT_CHARS] for row in self.rows if place < len(row)]
        filled = [cell for cell in cells if cell and not cell.isspace()]
        return bool(filled) and not any("//" in cell or _FILE.search(cell) for cell in filled)

    def _is_image(self, place: int, cell: str) -> bool:
        text = cell[:_LOOKED_AT_CHARS]
        return (
            IMAGE_URL.search(text) is not None
            and not text.lstrip().startswith("<p")
            or _ANY_URL.match(text) is not None
            and ABOUT_IMAGES.search(self.header[place]) is not None
        )


def holds_image_url(cells: Sequence[str]) -> bool:
    """Return whether a row contains the URL of an image."""
    return any("//" in cell and IMAGE_URL.search(cell[:_LOOKED_AT_CHARS]) for cell in cells)
