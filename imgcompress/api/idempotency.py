"""The Idempotency-Key header: an upload that is sent again gets the answer of the first one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import file_digest, sha256
from io import BufferedIOBase
from typing import Any, BinaryIO, cast

from flask import request

from ..errors import LedgerUnavailable
from ..ledger.idempotency import KeyClaim, claim_key, free_key
from .auth import current_owner
from .errors import InvalidRequest
from .faults import VALUE_CHARS, RequestFault

HEADER = "Idempotency-Key"
KEY_CHARS = 255
PARAMETER = {"in": "header", "name": HEADER, "schema": {"type": "string", "maxLength": KEY_CHARS},
             "description": "A text of your choice, such as a UUID. An upload repeated with the"
                            " same key within 24 hours creates no second job and returns the first"
                            " response."}
REPLAYED = {"Idempotency-Replayed": "true"}
# What an upload is answered: the body, which is kept for a repetition, the status, the headers.
Answer = tuple[dict[str, Any], int, dict[str, str]]


def answer_once(stream: BinaryIO | None, values: Mapping[str, Any],
                answer: Callable[[KeyClaim | None], Answer]) -> Answer:
    """Answer an upload, or tell again what the first one with its key was answered.

    Without a stream the fields alone say whether it is the same upload: what is to be fetched may
    have changed since. `answer` keeps its answer with the claim that it is given. When it raises,
    the key is free for a better upload. Raise KeyInUse and KeyReused.
    """
    key = _key()
    if key is None:
        return answer(None)
    claim = claim_key(current_owner(), key, _fingerprint(stream, values))
    return _answer(claim, answer) if isinstance(claim, KeyClaim) else _replay(claim)


def _answer(claim: KeyClaim, answer: Callable[[KeyClaim | None], Answer]) -> Answer:
    try:
        return answer(claim)
    except BaseException:
        # With the ledger away, the lease frees the key.
        with suppress(LedgerUnavailable):
            free_key(claim)
        raise


def _replay(body: dict[str, Any]) -> Answer:
    return body, 202, {"Location": body["status_url"], **REPLAYED}


def _key() -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= KEY_CHARS and key.isascii() and key.isprintable()):
        raise InvalidRequest([RequestFault(
            HEADER, None, None, "invalid_idempotency_key", f"{HEADER} must be 1 to {KEY_CHARS}"
            " printable ASCII characters, such as a UUID.", key[:VALUE_CHARS])])
    return key


def _fingerprint(stream: BinaryIO | None, values: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of the file and of the fields that stand beside it."""
    file = None
    if stream is not None:
        stream.seek(0)
        file = file_digest(cast("BufferedIOBase", stream), sha256).hexdigest()
        stream.seek(0)
    fields = {name: value for name, value in values.items() if name != "file"}
    return sha256(json.dumps([file, fields], sort_keys=True, default=str).encode()).hexdigest()
