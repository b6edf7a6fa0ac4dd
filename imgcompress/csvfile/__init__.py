"""The CSV of products: validated, read, and written back with two added columns."""

from .encoding import known_encoding
from .layout import (
    CSV_TYPE,
    FILE_FORMATS,
    MEDIA_TYPES,
    OUTPUT_COLUMNS,
    OUTPUTS,
    KeptLayout,
    OutputForm,
    kept_layout,
    kept_output,
    output_form,
    parse_output_columns,
)
from .model import (
    BadCatalogue,
    CatalogueLimits,
    ImageOutcome,
    Issue,
    RowOptions,
    Validation,
    Wishes,
)
from .options import parse_effort, parse_format, parse_formats, parse_metadata
from .preview import Preview, read_preview
from .rows import read_images
from .unpacking import Table, opened_table
from .urls import CheckUrl
from .validator import validate_file
from .writer import ImageFailure, write_errors, write_output

__all__ = [
    "BadCatalogue",
    "CSV_TYPE",
    "CatalogueLimits",
    "CheckUrl",
    "FILE_FORMATS",
    "ImageFailure",
    "ImageOutcome",
    "Issue",
    "KeptLayout",
    "MEDIA_TYPES",
    "OUTPUTS",
    "OUTPUT_COLUMNS",
    "OutputForm",
    "Preview",
    "RowOptions",
    "Table",
    "Validation",
    "Wishes",
    "kept_layout",
    "kept_output",
    "known_encoding",
    "opened_table",
    "output_form",
    "parse_effort",
    "parse_format",
    "parse_formats",
    "parse_metadata",
    "parse_output_columns",
    "read_images",
    "read_preview",
    "validate_file",
    "write_errors",
    "write_output",
]
