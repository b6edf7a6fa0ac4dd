"""May this address be dialled? One session for image fetches and webhooks alike.

A URL is judged twice: by its text (`check_url`), and where the socket is dialled, so that a
redirect, a name that changes its address or another reading of the URL passes the same check.
"""

from .addresses import DialPolicy, Origin, check_url, origin_of
from .client import Answer, Session, exchange, parse_retry_after, post, wire_chunks
from .connection import Deadline, current_deadline

__all__ = [
    "Answer",
    "Deadline",
    "DialPolicy",
    "Origin",
    "Session",
    "check_url",
    "current_deadline",
    "exchange",
    "origin_of",
    "parse_retry_after",
    "post",
    "wire_chunks",
]
