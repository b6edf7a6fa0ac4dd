"""Where uploaded CSVs and compressed images live, behind one small interface."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..config import Settings
from ..errors import SettingsError
from ..file_names import csv_key, image_key, workbook_key
from .files import FileStorage, JobFiles, Storage, StoredFile

__all__ = [
    "JobFiles",
    "Storage",
    "StoredFile",
    "csv_key",
    "image_key",
    "open_storage",
    "workbook_key",
]


def open_storage(settings: Settings) -> Storage:
    """Return the storage that STORAGE_URL names. Raise SettingsError for an unknown kind."""
    parts = urlsplit(settings.storage_url)
    if parts.scheme == "file":
        return FileStorage(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        # boto3 is required for S3 only.
        from .s3 import S3Storage

        endpoint = settings.storage_endpoint
        return S3Storage(
            parts.netloc,
            unquote(parts.path).strip("/"),
            endpoint=endpoint,
            public_endpoint=settings.storage_public_endpoint or endpoint,
        )
    raise SettingsError("STORAGE_URL must look like file:///absolute/path or s3://bucket/prefix")
