"""The images of an upload by columns, as they go from the CSV into the ledger.

Columns are handed on in a tenth of the time that a tuple for each image takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Row numbers, positions, serial numbers, product names, URLs, a row's own options in place of the
# job's, and output names.
ImageColumns = tuple[
    Sequence[int],
    Sequence[int],
    Sequence[str],
    Sequence[str],
    Sequence[str],
    Sequence[dict[str, Any] | None],
    Sequence[str | None],
]
