from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from uuid import UUID

import openpyxl
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.api import upload as upload_call
from imgcompress.config import Settings
from imgcompress.errors import LedgerUnavailable, StorageUnavailable
from imgcompress.ledger import slices
from imgcompress.worker import intake

from .conftest import CATALOGUE, Upload
from tests.support.work import images, job

StoredFiles = Callable[[], list[Path]]

COLUMNS = {"urls": ["Input Image Urls"], "name": "Product Name", "id": "S. No."}
ODS = """<x xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:t="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:p="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><t:table>
<t:table-row><t:table-cell><p:p>Photo</p:p></t:table-cell>
<t:table-cell><p:p>Name</p:p></t:table-cell></t:table-row>
<t:table-row><t:table-cell><p:p>https://shop.test/1.jpg</p:p></t:table-cell></t:table-row>
</t:table></x>"""
SHOPIFY = (
    b"Handle,Title,Image Src,Variant Image,Other\r\n"
    b"mug,Mug,https://shop.test/1.jpg,https://shop.test/2.jpg,https://shop.test/3.jpg\r\n"
)


def test_an_upload_is_accepted_though_the_broker_is_down(upload: Upload) -> None:
    answer = upload()
    assert answer.status_code == 202
    result = answer.json
    assert result.pop("message")
    assert UUID(result["request_id"])
    url = f"http://localhost/job/status/{result['request_id']}"
    assert result == {
        "request_id": result["request_id"],
        "status": "PENDING",
        "total_rows": 2,
        "total_images": 3,
        "status_url": url,
        "layout": "imgcompress",
        "columns": COLUMNS,
        "skipped_rows": 0,
        "download_format": "csv",
        "warnings": [],
    }
    assert answer.headers["Location"] == url


def test_an_upload_writes_the_images_in_the_order_of_the_file(app: Flask, request_id: str) -> None:
    assert [
        (
            image.ordinal,
            image.row_number,
            image.position,
            image.serial_number,
            image.product_name,
            image.input_url,
        )
        for image in images(app, request_id)
    ] == [
        (0, 2, 0, "1", "SKU1", "https://shop.test/1.jpg"),
        (1, 2, 1, "1", "SKU1", "https://shop.test/2.jpg"),
        (2, 3, 0, "2", "SKU2", "https://shop.test/3.png"),
    ]


def test_an_upload_keeps_the_file_as_it_came(request_id: str, stored_files: StoredFiles) -> None:
    assert [(path.parent.name, path.read_bytes()) for path in stored_files()] == [
        (request_id, CATALOGUE)
    ]


@pytest.mark.parametrize("rows", [2_000, 20_000])
def test_a_file_may_be_large(upload: Upload, rows: int) -> None:
    content = b"S. No.,Product Name,Input Image Urls\r\n" + b"".join(
        b"%d,a,https://shop.test/%d.jpg\r\n" % (row, row) for row in range(rows)
    )
    assert upload(content, dry_run="true").json["total_images"] == rows


def test_options_left_out_or_left_empty_take_their_defaults(app: Flask, upload: Upload) -> None:
    answer = upload(quality="", format="", webhook_url="")
    assert job(app, answer.json["request_id"]).options == {
        "compression_percentage": 50,
        "quality": None,
        "format": "keep",
        "max_width": None,
        "max_height": None,
        "effort": "medium",
    }


def test_options_are_kept_for_the_workers(app: Flask, upload: Upload) -> None:
    answer = upload(
        compression_percentage="70",
        format="webp",
        max_width="800",
        max_height="600",
        effort="HIGH",
        webhook_url="https://shop.test/hook",
    )
    kept = job(app, answer.json["request_id"])
    assert kept.options == {
        "compression_percentage": 70,
        "quality": None,
        "format": "webp",
        "max_width": 800,
        "max_height": 600,
        "effort": "high",
    }
    assert kept.webhook_url == "https://shop.test/hook"


def test_a_floor_of_looks_and_the_metadata_are_kept_for_the_workers(
    app: Flask, upload: Upload
) -> None:
    answer = upload(min_score="70", metadata="Rights")
    options = job(app, answer.json["request_id"]).options
    assert (options["min_score"], options["metadata"]) == (70, "rights")


def test_the_installation_may_set_a_floor_of_looks_and_the_metadata(
    app: Flask, upload: Upload
) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], min_score=50, metadata="rights")
    given = job(app, upload(min_score="80", metadata="none").json["request_id"]).options
    assert given["min_score"] == 80 and "metadata" not in given
    left_out = job(app, upload().json["request_id"]).options
    assert (left_out["min_score"], left_out["metadata"]) == (50, "rights")


def test_the_formats_of_auto_are_kept_in_one_spelling(app: Flask, upload: Upload) -> None:
    answer = upload(format="auto", formats="WebP, jpg")
    options = job(app, answer.json["request_id"]).options
    assert (options["format"], options["formats"]) == ("auto", "jpeg,webp")


@pytest.mark.parametrize("name", ["jpg", "JPG", "JPEG"])
def test_a_format_may_go_by_its_other_names(app: Flask, upload: Upload, name: str) -> None:
    answer = upload(format=name)
    assert job(app, answer.json["request_id"]).options["format"] == "jpeg"


def test_options_may_stand_in_the_query_string(app: Flask, client: FlaskClient) -> None:
    answer = client.post(
        "/upload?quality=80", data={"file": (io.BytesIO(CATALOGUE), "products.csv")}
    )
    assert job(app, answer.json["request_id"]).options["quality"] == 80


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("products.csv", "products.csv"),
        # On the wire a backslash is escaped by another one.
        ("C:\\\\Users\\\\ann\\\\products.csv", "products.csv"),
        ("../../etc/passwd", "passwd"),
        ("Größe 42.csv", "Größe 42.csv"),
        ("folder/", "upload.csv"),
        ("x" * 500 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_a_file_name_is_kept_without_folders(
    app: Flask, upload: Upload, sent: str, kept: str
) -> None:
    answer = upload(filename=sent)
    assert job(app, answer.json["request_id"]).source_filename == kept


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_a_dry_run_shows_the_counts_and_stores_nothing(
    upload: Upload, client: FlaskClient, stored_files: StoredFiles, value: str
) -> None:
    answer = upload(dry_run=value)
    assert answer.status_code == 200
    assert answer.json == {
        "message": answer.json["message"],
        "total_rows": 2,
        "total_images": 3,
        "layout": "imgcompress",
        "columns": COLUMNS,
        "skipped_rows": 0,
        "download_format": "csv",
        "preview": answer.json["preview"],
        "errors": [],
        "error_count": 0,
        "warnings": [],
    }
    assert client.get("/job").json["jobs"] == [] and stored_files() == []


def test_a_dry_run_shows_the_issues_of_the_file_and_of_the_options(upload: Upload) -> None:
    answer = upload(CATALOGUE + b"3,SKU3,a.jpg\r\n", dry_run="true", quality="0")
    assert answer.status_code == 200
    assert answer.json["total_rows"] == 3 and answer.json["error_count"] == 2
    assert [(issue["field"], issue["row"], issue["code"]) for issue in answer.json["errors"]] == [
        ("quality", None, "invalid_quality"),
        ("file", 4, "relative_url"),
    ]


def test_a_dry_run_shows_the_first_rows_with_the_columns_that_were_named(upload: Upload) -> None:
    table = b"Price list\r\n\r\n" + SHOPIFY + b"\r\ncup,Cup,,,\r\n" * 9
    answer = upload(table, dry_run="true", url_columns="Other").json
    preview = answer["preview"]
    assert preview.pop("rows")[:2] == [
        {
            "row": 4,
            "cells": ["mug", "Mug", *(f"https://shop.test/{n}.jpg" for n in (1, 2, 3))],
            "images": ["https://shop.test/3.jpg"],
        },
        {"row": 6, "cells": ["cup", "Cup", "", "", ""], "images": []},
    ]
    assert preview == {
        "header_row": 3,
        "header": ["Handle", "Title", "Image Src", "Variant Image", "Other"],
        "image_columns": ["Image Src", "Variant Image", "Other"],
    }


def test_a_preview_is_there_to_choose_columns_from_and_is_bounded(upload: Upload) -> None:
    row = b"%s,https://shop.test/1.jpg,https://shop.test/2.jpg\n" % (b"a" * 5_000)
    answer = upload(b"text,front,back\n" + row * 50, dry_run="true").json
    assert (answer["errors"][0]["code"], answer["columns"]) == ("unclear_columns", None)
    assert answer["preview"]["image_columns"] == ["front", "back"]
    rows = answer["preview"]["rows"]
    assert [row["row"] for row in rows] == [2, 3, 4, 5, 6]
    assert rows[0]["cells"][0] == "a" * 199 + "…"
    assert upload(b"%PDF-1.7", dry_run="true").json["preview"] is None


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_an_upload_shows_the_chosen_columns(
    upload: Upload, client: FlaskClient, dry_run: str
) -> None:
    answer = upload(SHOPIFY, dry_run=dry_run).json
    columns = {"urls": ["Image Src", "Variant Image"], "name": "Title", "id": "Handle"}
    assert (answer["layout"], answer["columns"], answer["total_images"]) == ("shopify", columns, 2)
    (warning,) = answer["warnings"]
    assert (warning["field"], warning["code"]) == ("file", "unread_columns")
    if dry_run == "false":
        status = client.get(f"/job/status/{answer['request_id']}").json
        assert (status["layout"], status["columns"]) == ("shopify", columns)


def test_a_caller_chooses_how_the_file_is_read(app: Flask, upload: Upload) -> None:
    content = "Bild;Bild 2;Titel\r\na.jpg;/b.jpg;Größe\r\nxx://;;\r\n".encode("cp1252")
    answer = upload(
        content,
        url_columns="Bild*",
        name_column="titel",
        encoding="Windows-1252",
        base_url="https://shop.test/m",
        on_row_error="skip",
        row_options="",
    ).json
    assert [image.input_url for image in images(app, answer["request_id"])] == [
        "https://shop.test/m/a.jpg",
        "https://shop.test/m/b.jpg",
        "xx://",
    ]
    assert images(app, answer["request_id"])[0].product_name == "Größe"
    assert [(warning["code"], warning["row"]) for warning in answer["warnings"]] == [
        ("invalid_url", 3)
    ]


def test_columns_may_be_named_by_several_fields(client: FlaskClient) -> None:
    answer = client.post(
        "/upload",
        content_type="multipart/form-data",
        data={"file": (BytesIO(SHOPIFY), "a.csv"), "url_columns": ["Other", "Variant Image"]},
    )
    assert answer.json["columns"]["urls"] == ["Other", "Variant Image"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("base_url", "shop.test/"),
        ("base_url", "https://shop.test/?a=1"),
        ("base_url", "http://127.0.0.1/"),
        ("encoding", "klingon"),
        ("on_row_error", "ignore"),
        ("output", "xlsx"),
        ("row_options", "perhaps"),
        ("url_columns", "x" * 10_001),
        ("name_column", "x" * 10_001),
    ],
)
def test_a_bad_way_of_reading_is_reported_by_its_field(
    upload: Upload, field: str, value: str
) -> None:
    (issue,) = upload(**{field: value}).json["errors"]
    assert (issue["field"], issue["code"]) == (field, f"invalid_{field}")


def test_a_workbook_is_kept_beside_the_csv_of_its_sheet(
    app: Flask, upload: Upload, stored_files: StoredFiles
) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("Shop").append(["Handle", "Title", "Image Src"])
    book["Shop"].append(["mug", "Mug", "https://shop.test/1.jpg"])
    workbook = BytesIO()
    book.save(workbook)
    answer = upload(workbook.getvalue(), sheet="Shop").json
    assert (answer["layout"], answer["total_images"], answer["download_format"]) == (
        "shopify",
        1,
        "xlsx",
    )
    assert images(app, answer["request_id"])[0].product_name == "Mug"
    table, book_file = stored_files()
    assert table.read_bytes().decode("utf-8-sig") == (
        "Handle,Title,Image Src\r\nmug,Mug,https://shop.test/1.jpg\r\n"
    )
    assert book_file.read_bytes() == workbook.getvalue()
    (issue,) = upload(workbook.getvalue(), sheet="Prices").json["errors"]
    assert (issue["field"], issue["code"], issue["value"]) == ("file", "unknown_sheet", "Prices")


def test_options_for_another_kind_of_file_have_no_effect(upload: Upload) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Handle", "Title", "Image Src"])
    book.active.append(["mug", "Müg", "https://shop.test/1.jpg"])
    workbook = BytesIO()
    book.save(workbook)
    for content, unused in (
        (workbook.getvalue(), {"encoding": "shift_jis"}),
        (CATALOGUE, {"sheet": "Products"}),
        (CATALOGUE, {"base_url": "https://shop.test/media/"}),
    ):
        plain = upload(content, dry_run="true").json
        assert plain["error_count"] == 0
        assert upload(content, dry_run="true", **unused).json == plain


def test_an_opendocument_file_comes_back_as_a_csv(upload: Upload, client: FlaskClient) -> None:
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", ODS)
    accepted = upload(target.getvalue(), filename="shop.ods", output="replace").json
    (warning,) = accepted["warnings"]
    assert (warning["code"], warning["row"]) == ("workbook_as_csv", None)
    assert accepted["download_format"] == "csv"
    answer = client.get(f"/job/download/{accepted['request_id']}?partial=true", buffered=True)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "shop-compressed.csv" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_compressed_csv_is_unpacked(
    upload: Upload, stored_files: StoredFiles, dry_run: str
) -> None:
    answer = upload(gzip.compress(CATALOGUE, mtime=0), dry_run=dry_run).json
    assert (answer["layout"], answer["total_images"]) == ("imgcompress", 3)
    assert [path.read_bytes() for path in stored_files()] == [CATALOGUE] * (dry_run == "false")


class TestUnpackedSize:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, max_upload_bytes=100_000)

    def test_it_is_bounded_as_the_size_of_an_upload_is(
        self, upload: Upload, stored_files: StoredFiles
    ) -> None:
        packed = gzip.compress(CATALOGUE + b"\r\n" * 100_000, mtime=0)
        (issue,) = upload(packed).json["errors"]
        assert (issue["code"], stored_files()) == ("unpacked_too_large", [])


def test_the_request_headers_for_images_are_kept_with_the_job(app: Flask, upload: Upload) -> None:
    found = {
        "user_agent": "ShopBot/1.0 (+https://shop.test/bot)",
        "accept_language": "de;q=0.9, *",
        "referer": "https://shop.test/page?a=1#b",
    }
    kept = job(app, upload(**found).json["request_id"]).options["request_headers"]
    assert kept == {
        "User-Agent": found["user_agent"],
        "Referer": found["referer"],
        "Accept-Language": found["accept_language"],
    }
    assert "request_headers" not in job(app, upload().json["request_id"]).options


class TestBehindAPublicAddress:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, public_base_url="https://images.test/here")

    def test_links_and_images_carry_it(self, app: Flask, upload: Upload) -> None:
        answer = upload()
        request_id = answer.json["request_id"]
        assert answer.headers["Location"] == f"https://images.test/here/job/status/{request_id}"
        assert job(app, request_id).base_url == "https://images.test/here"


def test_nothing_is_stored_when_the_ledger_is_down(
    upload: Upload, stored_files: StoredFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LedgerUnavailable(detail="secret.internal refused the connection")

    monkeypatch.setattr(upload_call, "check_job_quota", fail)
    answer = upload()
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    assert answer.json["code"] == "ledger_unavailable" and answer.json["retryable"] is True
    assert "secret.internal" not in answer.text
    assert stored_files() == []


@pytest.mark.parametrize("error, kept", [(LedgerUnavailable(), 1), (ValueError(), 0)])
def test_the_csv_is_kept_only_where_the_job_may_have_been_committed(
    upload: Upload,
    stored_files: StoredFiles,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kept: int,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(intake, "create_job", fail)
    assert upload().status_code in (500, 503)
    assert len(stored_files()) == kept


def test_no_job_is_made_when_the_storage_is_down(
    app: Flask, upload: Upload, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable()

    monkeypatch.setattr(app.extensions["storage"], "copy_from", fail)
    answer = upload()
    assert answer.status_code == 503 and answer.json["code"] == "storage_unavailable"
    assert client.get("/job").json["jobs"] == []


def test_a_job_is_accepted_though_its_publication_fails(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerUnavailable()

    monkeypatch.setattr(slices, "reserve_slices", fail)
    assert upload().status_code == 202
