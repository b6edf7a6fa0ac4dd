"""Keep a spreadsheet program from running a cell as a formula (CWE-1236).

After OWASP's page on CSV injection: an apostrophe before =, +, -, @, TAB, CR and LF makes the
cell text. Programs skip leading blanks and read full-width signs like plain ones, so both count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SIGNS = "=+-@＝＋－＠"
_BLANKS = "\u200b\ufeff" + "".join(filter(str.isspace, map(chr, range(0x3001))))
_FIRST_OF_SUSPECTS = frozenset(_SIGNS + _BLANKS)
# A plain number, or the lone hyphen that stands for nothing, is no formula.
_HARMLESS = re.compile(r"\s*(?:-|[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?\s?%?)\s*",
                       re.ASCII)


def inert(cells: Iterable[str]) -> list[str]:
    """Return the cells with an apostrophe before each that could run as a formula."""
    suspects = _FIRST_OF_SUSPECTS
    return [f"'{cell}" if cell[:1] in suspects and _is_formula(cell) else cell for cell in cells]


def _is_formula(cell: str) -> bool:
    if cell[0] in "\t\r\n":
        return True
    return cell.lstrip(_BLANKS)[:1] in set(_SIGNS) and not _HARMLESS.fullmatch(cell)
