"""From an upload to a table: unpack archives, and write workbooks out as CSV, within bounds.

A plain CSV is passed on as it is, after a check of its first bytes. Everything else goes through
a temporary file, in a stream: memory does not grow with the file.
"""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple, cast
from xml.parsers.expat import ExpatError

from ..catalogue import SIGNATURES
from .model import BadCatalogue, CatalogueLimits, Issue, enumerated, issue

BLOCK_BYTES = 64 * 1024
# Some parts of a workbook, such as the list of its sheets, are read as a whole. As objects they
# take 16 times their bytes.
MAX_PART_BYTES = 2**20
# The memory for a part that is streamed: the text of a row, and its cells, each with up to four
# elements.
MAX_HELD_BYTES = 4 * 2**20
MAX_HELD_ELEMENTS = 65_536
MAX_DIRECTORY_BYTES = 2 * 2**20
# XML takes several times the bytes of a CSV with the same cells.
XML_TIMES = 4
_NOT_WRITTEN_BACK = (
    "it is too large when unpacked, or its sheet is not in UTF-8. Save it again with fewer sheets"
    " and pictures to get a workbook back"
)
_NO_ODS = "OpenDocument files are only read. Save it as .xlsx to get a workbook back"
_DECLARATION_BYTES = 256
_HEAD_BYTES = 4_096
_OTHER_ENCODING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*\sencoding\s*=\s*[\"'](?!utf-8[\"']|us-ascii[\"'])", re.I
)
_TABLES = {".csv", ".tsv", ".tab", ".txt", ".xlsx", ".xlsm", ".ods"}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# As the directory of an OLE file writes it, in UTF-16.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"


class Table(NamedTuple):
    """The CSV in an upload; and, if it was made of one, the workbook that can be written back.

    `part` names the sheet in the workbook, `ending` is that of its file name, such as `.xlsx`.
    `warning` says why a workbook cannot be written back.
    """

    csv: BinaryIO
    workbook: BinaryIO | None = None
    part: str = ""
    ending: str = ""
    warning: Issue | None = None


@contextmanager
def opened_table(
    stream: BinaryIO, limits: CatalogueLimits, max_bytes: int, sheet: str | None = None
) -> Iterator[Table]:
    """Yield the CSV in an upload: the upload itself, a compressed CSV, or a sheet of a workbook.

    `max_bytes` bounds its size. Raise BadCatalogue if it cannot be extracted.
    """
    with ExitStack() as opened:
        table = Table(stream)
        # A workbook or a CSV may be compressed; an archive in another archive is not a catalogue.
        for _ in range(2):
            target = cast(BinaryIO, opened.enter_context(TemporaryFile()))
            taken = _taken_out(table.csv, target, limits, max_bytes, sheet)
            if taken is None:
                break
            table = taken
        table.csv.seek(0)
        yield table


def _taken_out(
    stream: BinaryIO, target: BinaryIO, limits: CatalogueLimits, max_bytes: int, sheet: str | None
) -> Table | None:
    """Unpack a compressed file into another and return that, or None if it is not compressed."""
    stream.seek(0)
    head = stream.read(8)
    stream.seek(0)
    bounded = BoundedFile(target, max_bytes)
    if SIGNATURES["gzip"].match(head):
        _gunzip(stream, bounded)
        return Table(target)
    if head == _OLE and _has(stream, _ENCRYPTED):
        raise BadCatalogue(issue("encrypted_file"))
    if not SIGNATURES["zip"].match(head):
        return None
    return _unzip(stream, target, limits, max_bytes, sheet)


class BoundedFile:
    """A file open for writing that must not grow beyond a limit."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._room = limit
        self._limit = limit

    def write(self, data: bytes) -> None:
        """Write data; raise BadCatalogue if the limit is exceeded."""
        self._room -= len(data)
        if self._room < 0:
            raise BadCatalogue(issue("unpacked_too_large", limit=self._limit))
        self._file.write(data)


class _Archive(zipfile.ZipFile):
    """An archive whose parts, if read at once, must be small."""

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        """Return a small part; raise BadCatalogue for a large one."""
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        if info.file_size > MAX_PART_BYTES:
            raise BadCatalogue(issue("unpacked_too_large", limit=MAX_PART_BYTES))
        return super().read(name, pwd)


class BoundedPart:
    """A part of an archive, read in pieces that must not become too large.

    XML is streamed, but an element is held in memory until it ends. The reader calls `passed` when
    one has ended.
    """

    def __init__(self, part: BinaryIO, limit: int) -> None:
        self._part = part
        self._room = self._limit = limit
        self._held = self._elements = 0

    def read(self, size: int = -1) -> bytes:
        """Return more data; raise BadCatalogue if the limit is exceeded."""
        data = self._part.read(min(size, BLOCK_BYTES) if size > 0 else BLOCK_BYTES)
        self._room -= len(data)
        self._held += len(data)
        if self._room < 0 or self._held > MAX_HELD_BYTES:
            raise BadCatalogue(issue("unpacked_too_large", limit=self._limit))
        return data

    def begun(self) -> None:
        """Count one more element in memory; raise ValueError if there are more than any row has."""
        self._elements += 1
        if self._elements > MAX_HELD_ELEMENTS:
            raise ValueError(self._elements)

    def passed(self) -> None:
        """Record that the data read before is no longer in memory."""
        self._held = self._elements = 0


def _gunzip(stream: BinaryIO, target: BoundedFile) -> None:
    try:
        with gzip.GzipFile(fileobj=stream) as packed:
            while block := packed.read(BLOCK_BYTES):
                target.write(block)
    except (OSError, EOFError, zlib.error) as error:
        raise BadCatalogue(issue("damaged_file", kind="gzip file")) from error


def _unzip(
    stream: BinaryIO,
    file: BinaryIO,
    limits: CatalogueLimits,
    max_bytes: int,
    sheet: str | None,
) -> Table | None:
    kind = _kind_of_archive(stream)
    target = BoundedFile(file, max_bytes)
    try:
        _check_directory(stream)
        with _Archive(stream) as archive:
            names = set(archive.namelist())
            if "xl/workbook.xml" in names:
                # Slow to load, and few files need them.
                from .workbooks import write_xlsx

                part = write_xlsx(archive, target, limits, max_bytes * XML_TIMES, sheet)
                if _can_be_written_back(archive, part, max_bytes * XML_TIMES):
                    macros = b"macroEnabled" in archive.read("[Content_Types].xml")
                    return Table(file, stream, part, ".xlsm" if macros else ".xlsx")
                return Table(file, warning=issue("workbook_as_csv", reason=_NOT_WRITTEN_BACK))
            elif "mimetype" in names and _start(archive, "mimetype") == _ODS:
                from .workbooks import write_ods

                write_ods(archive, target, limits, max_bytes * XML_TIMES, sheet)
                return Table(file, warning=issue("workbook_as_csv", reason=_NO_ODS))
            elif "[Content_Types].xml" in names or "mimetype" in names:
                return None
            elif "Index/Document.iwa" in names:
                raise BadCatalogue(
                    issue(
                        "not_a_csv",
                        kind="an Apple Numbers document",
                        advice="Export it as Excel or CSV.",
                    )
                )
            else:
                _extract(archive, target)
    except BadCatalogue:
        raise
    except RuntimeError as error:
        # zipfile raises this for an encrypted part.
        raise BadCatalogue(issue("encrypted_file")) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        NotImplementedError,
        OSError,
        SyntaxError,
        ExpatError,
    ) as error:
        # openpyxl raises all of these for XML that it does not expect.
        raise BadCatalogue(issue("damaged_file", kind=kind)) from error
    return Table(file)


def _kind_of_archive(stream: BinaryIO) -> str:
    """Return what an archive seems to be by its first bytes, even if its end is missing."""
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    if b"[Content_Types].xml" in head or b"xl/" in head:
        return "workbook"
    return "spreadsheet" if _ODS in head else "ZIP archive"


def _can_be_written_back(archive: zipfile.ZipFile, part: str, max_bytes: int) -> bool:
    """Return whether a workbook is bounded as a whole, and its sheet is in UTF-8."""
    if sum(entry.file_size for entry in archive.infolist()) > max_bytes:
        return False
    with archive.open(part) as sheet:
        head = sheet.read(_DECLARATION_BYTES)
    return not head.startswith((b"\xff\xfe", b"\xfe\xff")) and not _OTHER_ENCODING.match(head)


def _check_directory(stream: BinaryIO) -> None:
    """Reject an archive whose directory is so large that it would fill the memory."""
    end = zipfile._EndRecData(stream)  # type: ignore[attr-defined]
    if not end:
        raise zipfile.BadZipFile
    if end[zipfile._ECD_SIZE] > MAX_DIRECTORY_BYTES:  # type: ignore[attr-defined]
        raise BadCatalogue(issue("several_tables", kind="thousands of files", names="many names"))


def _start(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return part.read(len(_ODS) + 1)


def _extract(archive: zipfile.ZipFile, target: BoundedFile) -> None:
    tables = [name for name in archive.namelist() if _is_table(name)]
    if len(tables) != 1:
        raise BadCatalogue(
            issue("several_tables", names=enumerated(tables), kind=f"{len(tables):,} tables")
            if tables
            else issue("no_table")
        )
    if archive.getinfo(tables[0]).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError
    with archive.open(tables[0]) as part:
        while block := part.read(BLOCK_BYTES):
            target.write(block)


def _is_table(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = path.parts[:1] == ("__MACOSX",) or path.name.startswith((".", "~$"))
    return not hidden and not name.endswith("/") and path.suffix.lower() in _TABLES


def _has(stream: BinaryIO, text: bytes) -> bool:
    """Return whether a file contains a text."""
    stream.seek(0)
    before = b""
    while block := stream.read(BLOCK_BYTES):
        if text in before + block:
            return True
        before = block[-len(text) :]
    return False
