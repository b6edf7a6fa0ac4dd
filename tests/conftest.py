"""Fixtures for all tests."""

from .buckets import bucket, s3_endpoint  # noqa: F401
from .databases import (  # noqa: F401
    ledger_url,
    postgres_ledger_url,
    postgres_template,
    sqlite_template,
    sqlite_url,
)
