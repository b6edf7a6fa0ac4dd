"""Which addresses may be dialled, and one HTTP session for image fetches and webhooks.

A URL is checked twice: by its text (`check_url`), and when the socket is dialled, so that the same
check applies to redirects, to names that change their address, and to other readings of the URL.
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
