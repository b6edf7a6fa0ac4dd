"""Where uploaded CSVs and compressed images live, behind one small interface."""

from ..storage_keys import csv_key, image_key, workbook_key
from .base import JobFiles, Storage, StoredFile
from .opening import open_storage

__all__ = [
    "JobFiles",
    "Storage",
    "StoredFile",
    "csv_key",
    "image_key",
    "open_storage",
    "workbook_key",
]
