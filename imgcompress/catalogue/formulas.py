"""Keep a spreadsheet program from running a cell as a formula (CWE-1236).

After OWASP's page on CSV injection: an apostrophe before =, +, -, @, TAB, CR and LF makes the
cell text. Programs skip blanks and invisible characters at the start and read compatible forms of
the signs, such as full-width ones, like the plain ones, so all of them count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Unicode's normal form NFKC of each begins with = + - or @.
_SIGNS = "=+@⁺⁼₊₌⩵⩶﬩﹢﹦﹫＋＝＠﹣－-"
# White space, control and format characters (Cc, Cf, Zs, Zl, Zp), and all that Unicode gives the
# property Default_Ignorable_Code_Point.
_INVISIBLE = (
    "\0-\x20\x7f-\xa0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160"
    "\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff")
_FORMULA = re.compile(f"[\t\r\n]|[{_INVISIBLE}]*+[{_SIGNS}]")
# A plain number, or the lone hyphen that stands for nothing, is no formula.
_HARMLESS = re.compile(r"\s*(?:-|[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?\s?%?)\s*",
                       re.ASCII)
# Nearly all cells begin with one of these, and a look at a set takes the least time.
_PLAIN = frozenset(["", *filter(str.isalnum, map(chr, range(128)))])


def inert(cells: Iterable[str]) -> list[str]:
    """Return the cells with an apostrophe before each that could run as a formula."""
    plain = _PLAIN
    return [f"'{cell}" if cell[:1] not in plain and _is_formula(cell) else cell for cell in cells]


def _is_formula(cell: str) -> bool:
    if _FORMULA.match(cell) is None:
        return False
    return cell[0] in "\t\r\n" or _HARMLESS.fullmatch(cell) is None
