"""Response headers that keep a browser from making more of an answer than it is."""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import Response, request

from ..file_names import ascii_name

NO_ACTIVE_CONTENT = "default-src 'none'; frame-ancestors 'none'"
# Content that others made must not run as a page of ours, whatever a browser takes it for.
USER_CONTENT = "default-src 'none'; sandbox"
# For a year a browser that came over TLS comes over TLS alone; other names of the domain are free.
STRICT_TRANSPORT = "max-age=31536000"
# Every program of a machine has this name, and not all of them have TLS.
LOCALHOST = re.compile(r"(?:.+\.)?localhost\.?(?::\d+)?", re.IGNORECASE)


def harden(response: Response) -> Response:
    """Add the headers that hold for every answer, where the view has not set its own."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", NO_ACTIVE_CONTENT)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # For browsers that do not know frame-ancestors.
    response.headers["X-Frame-Options"] = "DENY"
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cache-Control", "no-cache")
    if request.is_secure and not LOCALHOST.fullmatch(request.host):
        response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
    return response


def sandbox(response: Response) -> Response:
    """Mark an answer as content that others made."""
    response.headers["Content-Security-Policy"] = USER_CONTENT
    return response


def attach(response: Response, filename: str) -> Response:
    """Have a browser save an answer that others made, under this name, and not show it."""
    response.headers.set("Content-Disposition", "attachment", **_names(filename))
    return sandbox(response)


def _names(filename: str) -> dict[str, str]:
    """Return a file name as RFC 6266 wants it: plain ASCII, and all of it percent-encoded."""
    plain = ascii_name(filename)
    if plain == filename:
        return {"filename": filename}
    return {"filename": plain, "filename*": f"UTF-8''{quote(filename, safe='')}"}
