"""Where uploaded CSVs and compressed images live, behind one small interface."""

from ..storage_keys import csv_key, image_key
from .base import Storage, StoredFile, delete_job_files
from .opening import open_storage

__all__ = ["Storage", "StoredFile", "csv_key", "delete_job_files", "image_key", "open_storage"]
