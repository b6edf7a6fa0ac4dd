"""The catalogue: a CSV of products and image URLs, surveyed, read, and written back."""

from .model import (
    BadCatalogue,
    CatalogueLimits,
    CatalogueRow,
    Fault,
    ImageOutcome,
    RowOptions,
    Survey,
)
from .reader import read_images, read_rows
from .row_options import FORMATS, MAX_SIDE, parse_format
from .surveyor import survey
from .urls import CheckUrl
from .writer import write_catalogue

__all__ = [
    "FORMATS", "MAX_SIDE", "BadCatalogue", "CatalogueLimits", "CatalogueRow", "CheckUrl", "Fault",
    "ImageOutcome", "RowOptions", "Survey", "parse_format", "read_images", "read_rows", "survey",
    "write_catalogue",
]
