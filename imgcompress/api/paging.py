"""Lists in pages: the query for one, the place of one among the others, and its links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, fields, missing, validate

from ..extensions import base_url

MAX_PER_PAGE = 1_000


# The largest number that both databases take as an offset, with any per_page.
MAX_PAGE = 10**9


def page_number(
    name: str, low: int, high: int, *, description: str, default: int | None = None
) -> fields.Integer:
    """Return a query field for a whole number within bounds."""
    message = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        load_default=missing if default is None else default,
        error_messages={"invalid": message, "too_large": message},
        validate=validate.Range(low, high, error=message),
        metadata={"description": description},
    )


class PageQuery(Schema):
    """The requested page."""

    page = page_number("page", 1, MAX_PAGE, default=1, description="The page number, from 1.")
    per_page = page_number(
        "per_page", 1, MAX_PER_PAGE, default=100, description="Entries per page."
    )


class PageSchema(Schema):
    """The position of a page."""

    page = fields.Integer(required=True, metadata={"example": 1})
    per_page = fields.Integer(required=True, metadata={"example": 100})
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The next page; null on the last one.", "format": "uri"},
    )
    prev = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The previous page; null on the first one.", "format": "uri"},
    )


Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Page:
    """A page number from 1, and the rest of the query, for the links."""

    number: int
    size: int
    query: dict[str, Any]

    @classmethod
    def of(cls, query: dict[str, Any]) -> Page:
        """Return the page of a loaded PageQuery."""
        return cls(query["page"], query["per_page"], query)

    @property
    def skip(self) -> int:
        """Return the number of entries on earlier pages."""
        return (self.number - 1) * self.size

    @property
    def limit(self) -> int:
        """Return the number of entries to read: one more than shown, to detect a next page."""
        return self.size + 1

    def cut(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries that belong to the page."""
        return entries[: self.size]

    def links(self, *, more: bool, counted: bool = True, **of_next: Any) -> dict[str, Any]:
        """Return the page's place and links; pages that are not `counted` have no link back."""
        back = self.number > 1 and counted
        return {
            "page": self.number,
            "per_page": self.size,
            "next": self._url(page=self.number + 1, **of_next) if more else None,
            "prev": self._url(page=self.number - 1, after=None) if back else None,
        }

    def _url(self, **changes: Any) -> str:
        values = {
            name: value for name, value in (self.query | changes).items() if value is not None
        }
        return f"{base_url()}{request.path}?{urlencode(values)}"
