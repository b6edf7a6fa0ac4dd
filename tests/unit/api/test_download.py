from __future__ import annotations

import csv
import gzip
import io
import re
from urllib.parse import unquote
from uuid import UUID

import openpyxl
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse

from imgcompress.errors import LedgerUnavailable
from imgcompress.ledger import queries
from imgcompress.ledger.jobs import cancel_job
from imgcompress.storage import workbook_key

from .conftest import CATALOGUE, Upload
from tests.support.work import images, process


def _download(client: FlaskClient, request_id: str, query: str = "") -> TestResponse:
    return client.get(f"/job/download/{request_id}{query}", buffered=True)


def _rows(answer: TestResponse) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def test_the_output_is_the_callers_csv_with_two_added_columns(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={1})
    first, _, third = (image.image_url for image in images(app, request_id))
    assert _rows(_download(client, request_id)) == [
        ["S. No.", "Product Name", "Input Image Urls", "Output Image Urls", "Image Errors"],
        [
            "1",
            "SKU1",
            "https://shop.test/1.jpg,https://shop.test/2.jpg",
            f"{first},",
            "2: source_status: HTTP 404. The server did not give the image.",
        ],
        ["2", "SKU2", "https://shop.test/3.png", third, ""],
    ]


def test_the_errors_are_a_csv_of_their_own(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={1, 2})
    answer = _download(client, request_id, "?errors=true")
    result = ["source_status", "HTTP 404. The server did not give the image."]
    assert _rows(answer) == [
        ["Row", "Column", "URL", "Code", "Message"],
        ["2", "Input Image Urls", "https://shop.test/2.jpg", *result],
        ["3", "Input Image Urls", "https://shop.test/3.png", *result],
    ]
    assert parse_options_header(answer.headers["Content-Disposition"])[1] == {
        "filename": "products-errors.csv"
    }
    assert _download(client, request_id, "?errors=true&delimiter=semicolon").data.startswith(
        b"Row;Column;URL;Code;Message\r\n2;"
    )


def test_an_error_names_the_column_that_has_its_url(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    content = (
        "\ufeffSKU;@Front;Back\n1;https://shop.test/1.jpg https://shop.test/2.jpg;"
        "https://shop.test/3.jpg\n2;;\n\n3;;https://shop.test/4.jpg\n"
    ).encode()
    answer = upload(content, url_columns="@Front,Back")
    assert answer.status_code == 202, answer.text
    process(app, answer.json["request_id"], fails={1, 2, 3})
    result = _download(client, answer.json["request_id"], "?errors=true")
    assert result.data.startswith(b"\xef\xbb\xbfRow;Column;URL;Code;Message\n")
    rows = list(csv.reader(io.StringIO(result.data.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert [row[:3] for row in rows[1:]] == [
        ["2", "'@Front", "https://shop.test/2.jpg"],
        ["2", "Back", "https://shop.test/3.jpg"],
        ["5", "Back", "https://shop.test/4.jpg"],
    ]


def test_a_job_without_failures_has_an_empty_list_of_errors(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    assert _rows(_download(client, request_id, "?errors=true")) == [
        ["Row", "Column", "URL", "Code", "Message"]
    ]


def test_it_is_an_attachment_that_no_browser_runs(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    headers = _download(client, request_id).headers
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert parse_options_header(headers["Content-Disposition"]) == (
        "attachment",
        {"filename": "products-compressed.csv"},
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("sent", "offered"),
    [
        ("Größe 42.csv", "Größe 42-compressed.csv"),
        ("a; b.csv", "a; b-compressed.csv"),
        ("catalogue", "catalogue-compressed.csv"),
        ("produits.v2.CSV", "produits.v2-compressed.csv"),
        ("商品.csv", "商品-compressed.csv"),
    ],
)
def test_the_file_name_follows_the_upload(
    app: Flask, client: FlaskClient, upload: Upload, sent: str, offered: str
) -> None:
    request_id = upload(filename=sent).json["request_id"]
    process(app, request_id)
    header = _download(client, request_id).headers["Content-Disposition"]
    assert header.isascii()
    assert parse_options_header(header) == ("attachment", {"filename": offered})


@pytest.mark.parametrize(
    ("name", "delimiter"), [("comma", ","), ("semicolon", ";"), ("tab", "\t"), ("pipe", "|")]
)
@pytest.mark.parametrize("first", ["", "sep=,\r\n"])
def test_another_separator_can_be_requested(
    app: Flask, client: FlaskClient, upload: Upload, name: str, delimiter: str, first: str
) -> None:
    request_id = upload(first.encode() + CATALOGUE).json["request_id"]
    process(app, request_id)
    lines = _download(client, request_id, f"?delimiter={name}").text.splitlines()
    assert lines[:-3] == ([f"sep={delimiter}"] if first else [])
    assert list(csv.reader(lines[-3:], delimiter=delimiter))[1][:2] == ["1", "SKU1"]


def test_an_unknown_separator_is_rejected(client: FlaskClient, request_id: str) -> None:
    answer = _download(client, request_id, "?delimiter=%3B")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["message"] == (
        "delimiter must be one of comma, semicolon, tab, pipe."
    )


def test_while_the_job_runs_there_is_no_output(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, only={0})
    answer = _download(client, request_id)
    assert answer.status_code == 409 and answer.headers["Retry-After"]
    assert answer.json["code"] == "job_running" and answer.json["retryable"] is True
    assert "partial=true" in answer.json["detail"]


def test_the_results_so_far_can_be_downloaded(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, only={0})
    rows = _rows(_download(client, request_id, "?partial=true"))
    assert [row[3:] for row in rows[1:]] == [
        [f"{images(app, request_id)[0].image_url},", ""],
        ["", ""],
    ]


def test_a_cancelled_job_has_the_finished_images(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, only={2})
    with app.app_context():
        cancel_job(UUID(request_id))
    assert _rows(_download(client, request_id))[2][3] == images(app, request_id)[2].image_url


def test_more_images_than_one_batch_come_in_order(
    app: Flask, client: FlaskClient, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "OUTCOME_BATCH", 3)
    rows = [f"{number},a,http://a.test/{number}.jpg" for number in range(10)]
    content = "\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()
    request_id = upload(content).json["request_id"]
    process(app, request_id)
    assert [row[3] for row in _rows(_download(client, request_id))[1:]] == [
        image.image_url for image in images(app, request_id)
    ]


def test_an_error_at_the_start_is_reported_as_a_problem(
    app: Flask, client: FlaskClient, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(app, request_id)

    def fail(*_: object) -> None:
        raise LedgerUnavailable()

    monkeypatch.setattr(queries, "outcomes", fail)
    answer = _download(client, request_id)
    assert answer.status_code == 503 and answer.json["code"] == "ledger_unavailable"


def test_a_lost_file_is_not_found(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id)
    app.extensions["storage"].delete_folder(f"csv/{request_id}")
    answer = _download(client, request_id)
    assert answer.status_code == 404 and answer.json["code"] == "not_found"


@pytest.mark.parametrize(
    ("filename", "names"),
    [
        ("-rf.csv", {"_-rf-compressed.csv"}),
        ("~a.csv", {"_~a-compressed.csv"}),
        ("con.a.csv", {"_con.a-compressed.csv"}),
        (".profile.csv", {"profile-compressed.csv"}),
        ("商-x.csv", {"_-x-compressed.csv", "商-x-compressed.csv"}),
    ],
)
def test_a_download_has_a_plain_name(
    app: Flask, client: FlaskClient, upload: Upload, filename: str, names: set[str]
) -> None:
    request_id = upload(filename=filename).json["request_id"]
    process(app, request_id)
    header = _download(client, request_id).headers["Content-Disposition"]
    found = re.findall(r"filename\*?=(?:UTF-8'')?\"?([^;\"]+)", header)
    assert {unquote(name) for name in found} == names


def test_the_new_urls_stand_in_place_of_the_old_ones(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    content = (
        b"\xef\xbb\xbfList\r\nSKU;Photo;Note\r\n"
        b'1;https://shop.test/1.jpg | https://shop.test/2.jpg;"=1+1"\n2;;- x\nSum;;@9'
    )
    request_id = upload(content, url_columns="Photo", output="replace").json["request_id"]
    process(app, request_id, fails={1})
    new = images(app, request_id)[0].image_url
    assert new
    replaced = content.replace(b"https://shop.test/1.jpg", new.encode())
    assert _download(client, request_id).data == replaced
    appended = _download(client, request_id, "?output=append").data
    assert appended.startswith(b"\xef\xbb\xbfList\r\nSKU;Photo;Note;Output Image Urls;Image Errors")
    answer = _download(client, request_id, "?errors=true").text.splitlines()
    assert answer[1].startswith("3;Photo;https://shop.test/2.jpg;source_status;")
    for query in ("?delimiter=tab", "?delimiter=tab&output=replace"):
        (issue,) = _download(client, request_id, query).json["errors"]
        assert (issue["field"], issue["code"]) == ("delimiter", "invalid_delimiter")


def test_either_form_can_be_requested_for_any_job(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={0, 1, 2})
    assert _download(client, request_id, "?output=replace").data == CATALOGUE


def _book() -> bytes:
    book = openpyxl.Workbook()
    for row in (["Product Name", "Photo"], ["Mug", "https://shop.test/1.jpg"]):
        book.worksheets[0].append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _cells(answer: TestResponse) -> list[list[object]]:
    book = openpyxl.load_workbook(io.BytesIO(answer.data))
    return [[cell.value for cell in row] for row in book.worksheets[0]]


@pytest.mark.parametrize("packed", [False, True])
def test_a_workbook_is_returned_as_a_workbook(
    app: Flask, client: FlaskClient, upload: Upload, packed: bool
) -> None:
    content = gzip.compress(_book()) if packed else _book()
    request_id = upload(content, filename="Tassen.xlsx", output="replace").json["request_id"]
    process(app, request_id)
    new = images(app, request_id)[0].image_url
    assert client.get(f"/job/status/{request_id}").json["download_format"] == "xlsx"
    answer = _download(client, request_id)
    assert _cells(answer) == [["Product Name", "Photo"], ["Mug", new]]
    assert answer.headers["Content-Type"] == (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
    assert parse_options_header(answer.headers["Content-Disposition"])[1] == {
        "filename": "Tassen-compressed.xlsx"
    }
    appended = _download(client, request_id, "?output=append")
    assert _cells(appended)[1] == ["Mug", "https://shop.test/1.jpg", new, None]
    as_csv = _download(client, request_id, "?output=append&delimiter=semicolon")
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert as_csv.data.decode("utf-8-sig").startswith("Product Name;Photo;Output Image Urls;")


def test_without_its_workbook_a_job_has_a_csv(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    request_id = upload(_book(), filename="a.xlsx", output="replace").json["request_id"]
    process(app, request_id)
    app.extensions["storage"].delete(workbook_key(request_id))
    answer = _download(client, request_id)
    new = images(app, request_id)[0].image_url
    assert answer.data.decode("utf-8-sig") == f"Product Name,Photo\r\nMug,{new}\r\n"
    assert "a-compressed.csv" in answer.headers["Content-Disposition"]
