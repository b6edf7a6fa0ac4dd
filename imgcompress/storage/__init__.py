"""Where uploaded CSVs and compressed images live, behind one small interface."""

from .base import Storage, StoredFile, csv_key, delete_job_files, image_key
from .opening import open_storage

__all__ = ["Storage", "StoredFile", "csv_key", "delete_job_files", "image_key", "open_storage"]
