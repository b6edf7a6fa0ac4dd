"""The CSV of products: validated, read, and written back with two added columns."""

from .encoding import known_encoding
from .model import (
    BadCatalogue,
    CatalogueLimits,
    ImageOutcome,
    Issue,
    RowOptions,
    Validation,
    Wishes,
)
from .options import parse_effort, parse_format
from .preview import Preview, read_preview
from .reader import read_images
from .sniff import KeptLayout, kept_layout
from .unpacking import opened_table
from .urls import CheckUrl
from .validator import validate_file
from .verbatim import write_replaced
from .writer import ImageFailure, write_catalogue, write_errors

__all__ = [
    "BadCatalogue",
    "CatalogueLimits",
    "CheckUrl",
    "Issue",
    "ImageFailure",
    "ImageOutcome",
    "KeptLayout",
    "Preview",
    "RowOptions",
    "Validation",
    "Wishes",
    "kept_layout",
    "known_encoding",
    "opened_table",
    "parse_effort",
    "parse_format",
    "read_images",
    "read_preview",
    "validate_file",
    "write_catalogue",
    "write_errors",
    "write_replaced",
]
