"""One page of a long list, and the addresses of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request

from .context import base_url

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Page:
    """A page number from 1, and what else the query says; it fills the links."""

    number: int
    size: int
    query: dict[str, Any]

    @classmethod
    def of(cls, query: dict[str, Any]) -> Page:
        """Return the page that a loaded PageQuery asks for."""
        return cls(query["page"], query["per_page"], query)

    @property
    def skip(self) -> int:
        """Return how many entries stand on the pages before."""
        return (self.number - 1) * self.size

    @property
    def limit(self) -> int:
        """Return how many entries to read: one more than are shown tells that there are more."""
        return self.size + 1

    def cut(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries that belong to the page."""
        return entries[:self.size]

    def links(self, found: int, **of_next: Any) -> dict[str, Any]:
        """Return the page's place and links, when `found` entries up to the limit were read."""
        more = found > self.size
        return {
            "page": self.number, "per_page": self.size,
            "next": self._url(page=self.number + 1, **of_next) if more else None,
            "prev": self._url(page=self.number - 1, after=None) if self.number > 1 else None,
        }

    def _url(self, **changes: Any) -> str:
        values = {name: value for name, value in (self.query | changes).items()
                  if value is not None}
        return f"{base_url()}{request.path}?{urlencode(values)}"
