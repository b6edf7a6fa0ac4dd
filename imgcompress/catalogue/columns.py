"""The columns that this service reads, and how they are found in a header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .faults import enumerated, fault
from .model import Fault


@dataclass(frozen=True)
class Column:
    """A column that this service reads: its name, and the folded names that it is known by."""

    name: str
    known_as: tuple[str, ...]


SERIAL_NUMBER = Column("S. No.", ("sno", "serialnumber", "serialno"))
PRODUCT_NAME = Column("Product Name", ("productname",))
INPUT_URLS = Column("Input Image Urls", ("inputimageurls", "inputimageurl"))
REQUIRED_COLUMNS = (SERIAL_NUMBER, PRODUCT_NAME, INPUT_URLS)

FORMAT = Column("format", ("format",))
QUALITY = Column("quality", ("quality",))
COMPRESSION_PERCENTAGE = Column("compression_percentage", ("compressionpercentage",))
MAX_WIDTH = Column("max_width", ("maxwidth",))
MAX_HEIGHT = Column("max_height", ("maxheight",))
# A row's own options, in place of those of the upload.
OPTION_COLUMNS = (FORMAT, QUALITY, COMPRESSION_PERCENTAGE, MAX_WIDTH, MAX_HEIGHT)
OUTPUT_NAME = Column("output name", ("outputname",))

KNOWN_COLUMNS = (*REQUIRED_COLUMNS, *OPTION_COLUMNS, OUTPUT_NAME)


def find_columns(header: Sequence[str]) -> dict[Column, int]:
    """Return where each of our columns is; one that is missing or there twice is left out."""
    folded = [_folded(name) for name in header]
    indices = {}
    for column in KNOWN_COLUMNS:
        unique = [name for name in column.known_as if folded.count(name) == 1]
        if unique:
            indices[column] = folded.index(unique[0])
    return indices


def header_faults(row: int, header: Sequence[str]) -> Iterator[Fault]:
    """Yield which of our columns are missing from the header in `row`, or there twice."""
    folded = [_folded(name) for name in header]
    names = enumerated([name for name in header if name.strip()])
    for column in KNOWN_COLUMNS:
        counts = [folded.count(name) for name in column.known_as]
        if max(counts) > 1:
            yield fault("duplicate_column", row, column.name, column.name,
                        name=column.name, count=max(counts))
        elif column in REQUIRED_COLUMNS and not any(counts):
            yield fault("missing_column", row, column.name, name=column.name, names=names)


def _folded(name: str) -> str:
    """Fold case, and leave out blanks and punctuation: `S. No.` becomes `sno`."""
    return "".join(filter(str.isalnum, name.casefold()))
