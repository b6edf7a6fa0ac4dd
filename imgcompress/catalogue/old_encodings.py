"""Tell the encodings from before UTF-8 apart, by the few characters of a catalogue that show them.

A catalogue is mostly ASCII: names of columns, numbers and URLs. charset-normalizer says which
encodings are possible; of its candidates the one counts in which most characters are such as its
languages use, and stand where they use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

SAMPLE_BYTES = 16 * 1024
DEFAULT = "cp1252"
_LEAST_SHARE = 0.6

# A run of bytes around some that are not ASCII. Second bytes of two are 0x40 and more, all in it.
_RUN = re.compile(rb"[\x40-\x7e]*+[\x80-\xff][\x40-\xff]*+")

_WESTERN = set("äöüßéèêëàâçñóòôáíìîïúùûãõåæøœÄÖÜÉÈÀÇÑÅÆØÓÁÍÚŒ€£–—’‘“”„«»°©®™½¼¾²³×·…¿¡§•\xa0±ªº´")
_CENTRAL = set("áäčďéěíĺľňóôöőŕřšťúůüűýžąćęłńśźżđţşăâîßÁČĎÉĚÍŇÓÖŘŠŤÚŮÜÝŽŁŚŻĆŹŐŰ€–—’“”„«»°©®™\xa0×")
_TURKISH = set("çğıöşüâîûÇĞİÖŞÜ€–—’“”„«»°©®™\xa0×éèäß")


def _latin(usual: set[str]) -> Callable[[str, str, str], bool]:
    def fits(before: str, character: str, _after: str) -> bool:
        return character in usual and not (character.isupper() and before.islower())

    return fits


def _script(first: str, last: str) -> Callable[[str, str, str], bool]:
    """Return what tells letters of a script that no Latin letter stands beside."""
    def fits(before: str, character: str, after: str) -> bool:
        if character in "€–—’“”„«»°©®™№\xa0":
            return True
        latin = any(one.isascii() and one.isalpha() for one in (before, after))
        return first <= character <= last and not latin and not (
            character.isupper() and before.islower())

    return fits


def _two_bytes(encoding: str, leads: Iterable[range]) -> Callable[[str, str, str], bool]:
    """Return what tells the common characters of an encoding with two bytes for each."""
    common = {lead for some in leads for lead in some}

    def fits(_before: str, character: str, _after: str) -> bool:
        code = character.encode(encoding, "ignore")
        return len(code) == 2 and code[0] in common

    return fits


# In this order: of two that fit as well, the first is taken. Of Shift-JIS, GBK, Big5 and EUC-KR,
# the first bytes of the more frequent half of all characters, and of kana and full-width marks.
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
    """Return the encoding that bytes which are no UTF-8 most likely have."""
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
    # It is needed for few files, and takes a while to load.
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=list(_CANDIDATES), enable_fallback=False)
    found = {name.replace("_", "-") for match in matches for name in match.could_be_from_charset}
    # Small samples give it little to go by: the usual encodings are always looked at.
    found |= {"cp1252", "cp1250", "cp1254", "cp1251"}
    if any(name in found for name in ("big5", "cp949", "gb18030")):
        found |= {"big5", "cp949", "gb18030"}
    return [name for name in _CANDIDATES if name in found and not _ruled_out(sample, name)]


def _ruled_out(sample: bytes, name: str) -> bool:
    """Tell what the second bytes rule out: Big5 uses low ones too, EUC-KR and GB 2312 never."""
    high = bytes(byte for byte in sample if byte != 0x20)
    low_seconds = len(re.findall(rb"[\xa1-\xfe][\x40-\x7e]", high))
    pairs = len(re.findall(rb"[\xa1-\xfe][\xa1-\xfe]", high))
    if name == "big5":
        return low_seconds * 8 < pairs + low_seconds
    if name == "cp949":
        # Hangul begins with these bytes alone; six characters or more do not do so by chance.
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
