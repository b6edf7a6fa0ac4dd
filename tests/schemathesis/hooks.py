"""What Schemathesis cannot know by the schema: what a catalogue is, how long a URL may be."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis import strategies as st
from schemathesis.generation.meta import TestPhase

# The address of an origin with a.jpg, which is an image, and nothing else.
ORIGIN = os.environ["CATALOGUE_ORIGIN"]
HEADER = "S. No.,Product Name,Input Image Urls,format,quality\r\n"

CELLS = st.text("abc é☕.-", max_size=8)
URLS = st.sampled_from([f"{ORIGIN}/a.jpg", f"{ORIGIN}/missing.jpg"])
ROWS = st.tuples(
    CELLS, CELLS, URLS, st.sampled_from(["", "webp", "png"]), st.sampled_from(["", "30", "95"])
)
CATALOGUES = st.lists(ROWS, min_size=1, max_size=4).map(
    # Text and no bytes, for which the negative forms of Schemathesis have no check.
    lambda rows: HEADER + "".join(f"{','.join(row)}\r\n" for row in rows)
)

# The names of columns and sheets, encodings, and where there is a catalogue: no schema describes those.
PARTICULAR = {"csv_url", "url_columns", "name_column", "id_column", "sheet", "encoding", "base_url"}

# With these every upload of a catalogue is accepted.
PLAIN = {"file", "format", "max_width", "max_height"}

# Longer request lines are rejected by the web server, with 414, before the interface sees them.
MOST_QUERY_CHARS = 3500

schemathesis.openapi.format("binary", CATALOGUES)
schemathesis.openapi.format("uri", URLS)
# Of the fields that are not shown only the secret of webhooks is sent.
schemathesis.openapi.format(
    "password",
    st.binary(min_size=24, max_size=64).map(lambda secret: f"whsec_{b64encode(secret).decode()}"),
)


@schemathesis.hook
def filter_query(_context: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """Leave out a query that no web server reads."""
    return len(urlencode(query or {}, doseq=True, errors="replace")) <= MOST_QUERY_CHARS


@schemathesis.hook
def map_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> schemathesis.Case:
    """Leave out of good forms what is good for certain catalogues, or with other fields, alone."""
    is_good = case.meta is not None and case.meta.generation.mode.is_positive
    if is_good and isinstance(case.body, dict):
        unfit = set(PARTICULAR)
        if "compression_percentage" in case.body:
            unfit.add("quality")
        if "webhook_url" not in case.body:
            unfit.add("webhook_secret")
        if case.meta.phase.name == TestPhase.STATEFUL:
            # Links are followed from jobs, so every upload is to become one.
            unfit |= case.body.keys() - PLAIN
        case.body = {name: value for name, value in case.body.items() if name not in unfit}
    return case


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """Leave out forms with an empty field: some count as left out, which a schema cannot say.

    Nor can it say that an upload has a file or a `csv_url`.
    """
    if not isinstance(body, dict):
        return True
    is_upload = context.operation is not None and context.operation.path == "/upload"
    return ("file" in body or not is_upload) and not any(map(_is_empty, body.values()))


def _is_empty(value: Any) -> bool:
    """Return whether a form holds nothing for this value, or an empty text.

    A file is a kind of text to Schemathesis, and an empty one, for its bytes stand apart.
    """
    if isinstance(value, list):
        return all(map(_is_empty, value))
    return value is None or type(value) is str and not value
