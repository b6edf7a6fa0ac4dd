"""The code samples of the documentation."""

from __future__ import annotations

import re

from tests.support.service import ROOT


def samples(document: str, language: str) -> list[str]:
    """Return the blocks of code in this language, in their order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
