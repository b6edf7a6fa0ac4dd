"""The form of an upload: its file and its options, and what is wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from flask import request
from marshmallow import ValidationError
from werkzeug.datastructures import FileStorage, MultiDict

from ..catalogue import Wishes, known_encoding
from ..extensions import current_settings
from ..ledger.slices import REQUEST_HEADERS
from .faults import SECRETS, RequestFault, faults_of_fields
from .refusals import NotMultipart
from .schemas.request_headers import headers_of
from .schemas.upload import UploadSchema

OPTIONS = ("compression_percentage", "quality", "format", "max_width", "max_height")
# How the file is to be read.
READING = ("url_columns", "name_column", "id_column", "base_url", "encoding", "on_row_error",
           "row_options", "sheet")
FILENAME_CHARS = 200
MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class UploadForm:
    """The file, if there is one, the values that are good, and the faults of the others."""

    file: FileStorage | None
    values: dict[str, Any]
    faults: list[RequestFault]

    @property
    def csv_url(self) -> str | None:
        """Return the address of the table, if there is a good one and no file."""
        url: str | None = None if "file" in self.values else self.values.get("csv_url")
        return url

    @property
    def filename(self) -> str:
        """Return the name of the file without its folders and without control characters."""
        told = (self.file and self.file.filename) or ""
        name = "".join(filter(str.isprintable, re.split(r"[/\\]", told)[-1])).strip()
        return name[-FILENAME_CHARS:] or "upload.csv"

    @property
    def options(self) -> dict[str, Any]:
        """Return how the images are to be fetched and compressed, as the job keeps it."""
        default = {"compression_percentage": current_settings().compression_percentage}
        options = {name: (default | self.values).get(name) for name in OPTIONS}
        headers = headers_of(self.values)
        return options | {REQUEST_HEADERS: headers} if headers else options

    @property
    def wishes(self) -> Wishes:
        """Return how the file is to be read."""
        named = self.values.get("encoding")
        return Wishes(
            url_columns=tuple(filter(None, [self.values.get("url_columns")])),
            name_column=self.values.get("name_column"), id_column=self.values.get("id_column"),
            base_url=self.values.get("base_url"),
            encoding=known_encoding(named) if named else None,
            row_options=bool(self.values.get("row_options")),
            skip_bad_urls=self.values.get("on_row_error") == "skip")


def read_form() -> UploadForm:
    """Read the form of the request; nothing is raised for what is wrong with its fields.

    A field of the form that is left empty counts as left out, as browsers and the page of the
    interface send it. Not so in the URL, and not `dry_run`: there an empty variable of a script
    would start what was not meant.
    Raise NotMultipart for a body of another kind, before any of it is read.
    """
    if request.mimetype not in ("", MULTIPART):
        raise NotMultipart
    given = _given()
    schema = UploadSchema()
    try:
        values, faults = schema.load(given), []
    except ValidationError as error:
        values = cast("dict[str, Any]", error.valid_data)
        faults = faults_of_fields(error.messages_dict, schema, given)
    faults += _faults_of_repeated() + _faults_of_exposed()
    return UploadForm(values.get("file"), values, faults)


def _given() -> dict[str, Any]:
    """Return the files and the fields; of those with one name, the first in this order counts."""
    columns = [("url_columns", ",".join(request.form.getlist("url_columns")))]
    filled = [(name, value) for name, value in [*columns, *request.form.items()]
              if value or name == "dry_run" or name not in UploadSchema().fields]
    return dict(MultiDict([*request.files.items(), *filled, *request.args.items()]).items())


def _faults_of_exposed() -> list[RequestFault]:
    return [RequestFault(name, None, None, f"exposed_{name}", f"Send {name} as a field of the form,"
                         " not in the URL: URLs are written to logs.", None)
            for name in sorted(SECRETS & set(request.args))]


def _faults_of_repeated() -> list[RequestFault]:
    if len(request.files.getlist("file")) < 2:
        return []
    return [RequestFault("file", None, None, "several_files", "There are several files. Send one"
                         " file at a time, or merge them into one.", None)]
