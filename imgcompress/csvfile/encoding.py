"""From bytes to text: the encoding of a file, and its text in blocks."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

SAMPLE_BYTES = 16 * 1024
DEFAULT = "cp1252"
_LEAST_SHARE = 0.6

# A run of bytes around some that are not ASCII. The second bytes of double-byte characters are 0x40
# and more, which are all included.
_RUN = re.compile(rb"[\x40-\x7e]*+[\x80-\xff][\x40-\xff]*+")

_WESTERN = set("äöüßéèêëàâçñóòôáíìîïúùûãõåæøœÄÖÜÉÈÀÇÑÅÆØÓÁÍÚŒ€£–—’‘“”„«»°©®™½¼¾²³×·…¿¡§•\xa0±ªº´")
_CENTRAL = set("áäčďéěíĺľňóôöőŕřšťúůüűýžąćęłńśźżđţşăâîßÁČĎÉĚÍŇÓÖŘŠŤÚŮÜÝŽŁŚŻĆŹŐŰ€–—’“”„«»°©®™\xa0×")
_TURKISH = set("çğıöşüâîûÇĞİÖŞÜ€–—’“”„«»°©®™\xa0×éèäß")


def _latin(usual: set[str]) -> Callable[[str, str, str], bool]:
    def fits(before: str, character: str, _after: str) -> bool:
        return character in usual and not (character.isupper() and before.islower())

    return fits


def _script(first: str, last: str) -> Callable[[str, str, str], bool]:
    """Return a pattern of letters of a script without a Latin letter beside them."""

    def fits(before: str, character: str, after: str) -> bool:
        if character in "€–—’“”„«»°©®™№\xa0":
            return True
        latin = any(one.isascii() and one.isalpha() for one in (before, after))
        return (
            first <= character <= last
            and not latin
            and not (character.isupper() and before.islower())
        )

    return fits


def _two_bytes(encoding: str, leads: Iterable[range]) -> Callable[[str, str, str], bool]:
    """Return a pattern of the common characters of a double-byte encoding."""
    common = {lead for some in leads for lead in some}

    def fits(_before: str, character: str, _after: str) -> bool:
        code = character.encode(encoding, "ignore")
        return len(code) == 2 and code[0] in common

    return fits


# In order of preference: of two that fit equally, the first is chosen. For Shift-JIS, GBK, Big5 and
# EUC-KR, the first bytes of the more frequent half of all characters, and of kana and full-width
# marks.
_CANDIDATES: dict[str, Callable[[str, str, str], bool]] = {
    "cp1252": _latin(_WESTERN),
    "cp1250": _latin(_CENTRAL),
    "cp1254": _latin(_TURKISH),
    "cp1251": _script("\u0401", "\u0491"),
    "cp1253": _script("\u0384", "\u03ce"),
    "koi8-r": _script("\u0401", "\u0491"),
    "mac-roman": _latin(_WESTERN - set("±²³×ªº´")),
    "cp932": _two_bytes("cp932", [range(0x81, 0x84), range(0x88, 0x98)]),
    "big5": _two_bytes("big5", [range(0xA1, 0xA4), range(0xA4, 0xC7)]),
    "cp949": _two_bytes("cp949", [range(0xA1, 0xA4), range(0xB0, 0xC9)]),
    "gb18030": _two_bytes("gbk", [range(0xA1, 0xA4), range(0xB0, 0xD8)]),
}


def likely_encoding(blocks: Iterable[bytes]) -> str:
    """Return the most likely encoding of bytes that are not UTF-8."""
    sample = bytearray()
    for block in blocks:
        for run in _RUN.findall(block):
            sample += run + b" "
        if len(sample) >= SAMPLE_BYTES:
            break
    text = bytes(sample[:SAMPLE_BYTES])
    shares = {name: _share(text, name) for name in _possible(text)}
    best = max(shares, key=lambda name: shares[name], default=DEFAULT)
    return best if shares.get(best, 0) >= _LEAST_SHARE else DEFAULT


def _possible(sample: bytes) -> list[str]:
    # Needed for few files, and slow to load.
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=list(_CANDIDATES), enable_fallback=False)
    found = {name.replace("_", "-") for match in matches for name in match.could_be_from_charset}
    # Small samples are little evidence: the usual encodings are always considered.
    found |= {"cp1252", "cp1250", "cp1254", "cp1251"}
    if any(name in found for name in ("big5", "cp949", "gb18030")):
        found |= {"big5", "cp949", "gb18030"}
    return [name for name in _CANDIDATES if name in found and not _ruled_out(sample, name)]


def _ruled_out(sample: bytes, name: str) -> bool:
    """Rule out encodings by second bytes: Big5 uses low ones too, EUC-KR and GB 2312 never."""
    high = bytes(byte for byte in sample if byte != 0x20)
    low_seconds = len(re.findall(rb"[\xa1-\xfe][\x40-\x7e]", high))
    pairs = len(re.findall(rb"[\xa1-\xfe][\xa1-\xfe]", high))
    if name == "big5":
        return low_seconds * 8 < pairs + low_seconds
    if name == "cp949":
        # Hangul begins only with these bytes; six characters or more do not do so by chance.
        leads = re.findall(rb"([\xa1-\xfe])[\xa1-\xfe]", high)
        hangul = sum(b"\xb0" <= lead <= b"\xc8" for lead in leads)
        return len(leads) < 6 or hangul < 0.95 * len(leads)
    return False


def _share(sample: bytes, name: str) -> float:
    """Return which share of the characters beyond ASCII fits an encoding; 0 if some cannot."""
    try:
        text = f" {sample.decode(name)} "
    except UnicodeError:
        # The sample may have been cut within a character.
        text = f" {sample[:-1].decode(name, 'replace')} "
        if "\ufffd" in text[:-2]:
            return 0.0
    fits = _CANDIDATES[name]
    beyond = [place for place, character in enumerate(text) if not character.isascii()]
    good = sum(fits(text[place - 1], text[place], text[place + 1]) for place in beyond)
    return good / len(beyond) if beyond else 0.0


BLOCK_BYTES = 64 * 1024
REPLACEMENT = "\ufffd"
# The error handler for stray bytes in a file in UTF-8.
STRAY = "imgcompress.stray"
# In a UTF-8 file with stray bytes, most non-ASCII text is still valid.
_GOOD_FOR_EACH_STRAY = 2

# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Python also counts these among the text encodings.
_NO_TEXT = {
    "idna",
    "punycode",
    "unicode_escape",
    "raw_unicode_escape",
    "utf_7",
    "mbcs",
    "oem",
    "undefined",
}
# Within a quoted cell a mark stands before a separator, before a mark, or at the end.
_BLANK_BEFORE_QUOTE = re.compile(r"([,;\t|]) +\"[^\",;\t|\r\n ]")


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text, and the properties of the whole file.

    If `intact` is false, some bytes are invalid in the encoding; in the text, REPLACEMENT stands
    for each of them. `errors` is Python's error handler for such bytes. `blanks_before_quotes` are
    the separators that were followed by a blank and a quotation mark.
    """

    name: str
    intact: bool = True
    has_nul: bool = False
    errors: str = "strict"
    blanks_before_quotes: str = ""

    @property
    def wide(self) -> bool:
        """Return whether characters have several bytes, some of which are NUL."""
        return self.name.startswith(("utf-16", "utf-32"))


def detect_encoding(stream: BinaryIO, named: str | None = None) -> Encoding:
    """Find a file's encoding: by its byte order mark, else the one the caller named, else UTF-8.

    A file that is not valid UTF-8 is UTF-8 with a few stray bytes, or in an older encoding. Reads the
    whole file, since the byte that is not UTF-8 may be the last.
    """
    stream.seek(0)
    marked = _encoding_of_head(stream.read(4))
    found = _tried(stream, marked or named or "utf-8")
    if found.intact or marked or named:
        return found
    if _is_utf_8_with_strays(stream):
        return replace(_tried(stream, "utf-8", STRAY), errors=STRAY)
    stream.seek(0)
    return _tried(stream, likely_encoding(iter(partial(stream.read, BLOCK_BYTES), b"")))


def known_encoding(name: str) -> str | None:
    """Return Python's name of an encoding of text, or None if it knows no such encoding."""
    try:
        found = codecs.lookup(name)
        same = "a;\n".encode(found.name).decode(found.name) == "a;\n"
    except (LookupError, ValueError, TypeError):
        return None
    return found.name if same and found.name.replace("-", "_") not in _NO_TEXT else None


def text_blocks(stream: BinaryIO, encoding: Encoding) -> Iterator[str]:
    """Yield the text of a whole file in blocks; the stream is neither wrapped nor closed."""
    return _without_second_mark(_decoded(stream, encoding.name, encoding.errors))


def _without_second_mark(blocks: Iterator[str]) -> Iterator[str]:
    first = next(blocks, "")
    yield first.lstrip("\ufeff") if first.startswith("\ufeff") else first
    yield from blocks


def _encoding_of_head(head: bytes) -> str | None:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    # Without a mark, a table in UTF-16 is still recognised by its first two characters, which are
    # ASCII.
    if len(head) == 4 and head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    if len(head) == 4 and head[0] == head[2] == 0 and head[1] and head[3]:
        return "utf-16-be"
    return None


def _tried(stream: BinaryIO, name: str, errors: str = "strict") -> Encoding:
    has_nul = False
    blanks = set[str]()
    try:
        for text in _decoded(stream, name, errors):
            has_nul = has_nul or "\0" in text
            # The faster check comes first: blanks are frequent.
            if '"' in text and ' "' in text:
                blanks.update(_BLANK_BEFORE_QUOTE.findall(text))
    except UnicodeError:
        return Encoding(name, False, has_nul, "replace", "".join(sorted(blanks)))
    return Encoding(name, True, has_nul, "strict", "".join(sorted(blanks)))


def _is_utf_8_with_strays(stream: BinaryIO) -> bool:
    good = stray = 0
    for text in _decoded(stream, "utf-8", "surrogateescape"):
        other = len(text) - len(text.encode("ascii", "ignore"))
        strays = len(re.findall("[\udc80-\udcff]", text))
        good += other - strays
        stray += strays
    return good >= _GOOD_FOR_EACH_STRAY * stray


def _read_stray(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are not UTF-8 as Windows-1252, their usual encoding."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(STRAY, _read_stray)


def _decoded(stream: BinaryIO, name: str, errors: str) -> Iterator[str]:
    stream.seek(0)
    return codecs.iterdecode(iter(partial(stream.read, BLOCK_BYTES), b""), name, errors)
