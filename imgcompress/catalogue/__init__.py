"""The catalogue: a CSV of products and image URLs, surveyed, read, and written back."""

from .encoding import known_encoding
from .error_list import ImageFailure, write_errors
from .model import (
    BadCatalogue,
    CatalogueLimits,
    CatalogueRow,
    Fault,
    ImageOutcome,
    RowOptions,
    Survey,
    Wishes,
)
from .opening import KeptLayout, kept_layout
from .reader import read_images, read_rows
from .row_options import FORMATS, MAX_SIDE, parse_format
from .surveyor import survey
from .unpacking import opened_table
from .urls import CheckUrl
from .writer import write_catalogue

__all__ = [
    "FORMATS", "MAX_SIDE", "BadCatalogue", "CatalogueLimits", "CatalogueRow", "CheckUrl", "Fault",
    "ImageFailure", "ImageOutcome", "KeptLayout", "RowOptions", "Survey", "Wishes", "kept_layout",
    "known_encoding", "opened_table", "parse_format", "read_images", "read_rows", "survey",
    "write_catalogue", "write_errors",
]
