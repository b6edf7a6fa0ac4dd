"""The images of an upload by columns, as they go from the CSV into the ledger.

Passing columns takes a tenth of the time of a tuple for each image.
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
