"""The table of URLs, the DNS answers of their hosts, and whether they are allowed."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

PUBLIC = "93.184.216.34"


@dataclass(frozen=True)
class Case:
    """One URL of the table; `dns` is what its host resolves to, if it is a name."""

    url: str
    dns: tuple[str, ...]
    expect: str

    @property
    def text_decides(self) -> bool:
        """Return whether the URL is blocked whatever its host resolves to."""
        return self.expect == "block" and all(address == PUBLIC for address in self.dns)

    def resolve(self, host: str) -> tuple[str, ...]:
        """Answer as the host's name server would."""
        if not self.dns:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return self.dns


def _read() -> list[Case]:
    path = Path(__file__).with_name("url_guard_cases.json")
    return [
        Case(case["url"], tuple(case["dns"] or ()), case["expect"])
        for case in json.loads(path.read_text(encoding="utf-8"))
    ]


CASES = _read()
