from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress.config import Settings

from .conftest import CATALOGUE, Upload

HEADER = b"S. No.,Product Name,Input Image Urls\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde" + bytes(64)

MULTIPART = "multipart/form-data; boundary=b"
TOO_LARGE = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    + HEADER
    + b"x" * 2**20
    + b"\r\n--b--\r\n"
)


@pytest.fixture(autouse=True)
def nothing_stored(client: FlaskClient, stored_files: Callable[[], list[Path]]) -> Iterator[None]:
    """Check after every test here that it left neither a job nor a file."""
    yield
    assert client.get("/job").json["jobs"] == []
    assert stored_files() == []


def _xlsx() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def _only_issue(answer: TestResponse) -> dict[str, Any]:
    """Return the one issue of a rejected upload."""
    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"
    problem = answer.json
    assert (problem["code"], problem["status"], problem["retryable"]) == (
        "invalid_upload",
        400,
        False,
    )
    assert problem["error_count"] == len(problem["errors"]) == 1, problem["errors"]
    issue: dict[str, Any] = problem["errors"][0]
    assert set(issue) == {"field", "row", "column", "code", "message", "value"}
    return issue


@pytest.mark.parametrize(
    ("content", "row", "column", "code"),
    [
        pytest.param(b"", None, None, "empty_file", id="empty"),
        pytest.param(PNG, None, None, "not_a_csv", id="png"),
        pytest.param(_xlsx(), None, None, "damaged_file", id="xlsx"),
        pytest.param(gzip.compress(CATALOGUE, mtime=0)[:-5], None, None, "damaged_file", id="gzip"),
        pytest.param(HEADER, None, None, "no_rows", id="no rows"),
        pytest.param(
            b"S. No.,Product Name,Pictures\n1,a,b\n",
            1,
            "Input Image Urls",
            "missing_column",
            id="missing column",
        ),
        pytest.param(HEADER + b"1,SKU1,\n", None, None, "no_images", id="no url"),
        pytest.param(
            HEADER + b"1,SKU1,just text\n", 2, "Input Image Urls", "invalid_url", id="not a url"
        ),
        pytest.param(
            HEADER + b"1,SKU1,http://127.0.0.1/a.jpg\n",
            2,
            "Input Image Urls",
            "url_not_allowed",
            id="private address",
        ),
    ],
)
def test_an_invalid_file_is_rejected_with_row_and_column(
    upload: Upload, content: bytes, row: int | None, column: str | None, code: str
) -> None:
    issue = _only_issue(upload(content))
    assert (issue["field"], issue["row"], issue["column"], issue["code"]) == (
        "file",
        row,
        column,
        code,
    )
    assert issue["message"]


@pytest.mark.parametrize("content", [bytes(range(256)) * 40, b"\0\1\2\3" * 1000])
def test_binary_data_is_no_catalogue(upload: Upload, content: bytes) -> None:
    answer = upload(content)
    assert answer.status_code == 400 and answer.json["error_count"] >= 1


def test_a_missing_column_names_what_was_found(upload: Upload) -> None:
    issue = _only_issue(upload(b"S. No.,Product Name,Pictures\n1,a,b\n"))
    assert "Pictures" in issue["message"]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"file": "S. No.,Product Name,Input Image Urls"},
        {"file": (io.BytesIO(b""), "")},
        {"csv": "x", "file": ""},
    ],
)
def test_the_answer_to_a_missing_file_says_how_to_send_one(
    client: FlaskClient, data: dict[str, Any]
) -> None:
    answer = client.post("/upload", data=data, content_type="multipart/form-data")
    assert answer.status_code == 400
    issues = {issue["field"]: issue for issue in answer.json["errors"]}
    assert issues["file"]["code"] == "missing_file"
    assert "-F file=@" in issues["file"]["message"]


@pytest.mark.parametrize(
    "kind",
    [
        "text/csv",
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/mixed; boundary=x",
    ],
)
def test_a_body_that_is_not_a_multipart_form_is_rejected_with_advice(
    client: FlaskClient, kind: str
) -> None:
    answer = client.post("/upload", data=CATALOGUE, content_type=kind)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert "multipart/form-data" in answer.json["detail"] and "-F file=@" in answer.json["detail"]


def test_two_files_are_rejected(client: FlaskClient) -> None:
    files = [(io.BytesIO(CATALOGUE), "a.csv"), (io.BytesIO(CATALOGUE), "b.csv")]
    assert _only_issue(client.post("/upload", data={"file": files}))["code"] == "several_files"


# What would be another header, or no header at all.
BAD_IN_A_HEADER = [
    "a\r\nX-Other: 1",
    "a\n",
    "\na",
    "a\rb",
    "a\0b",
    "a\x0bb",
    "a\x85b",
    "a\u2028b",
    "bär",
    " ",
    " a",
    "a ",
]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("compression_percentage", "0"),
        ("compression_percentage", "96"),
        ("compression_percentage", "fifty"),
        ("compression_percentage", "50.5"),
        ("compression_percentage", "9" * 5000),
        ("quality", "-1"),
        ("quality", "96"),
        ("format", "bmp"),
        ("format", "JPEG2000"),
        ("effort", "most"),
        ("formats", "webp,gif"),
        ("min_score", "0"),
        ("min_score", "96"),
        ("min_score", "high"),
        ("metadata", "all"),
        ("output_columns", "score,change"),
        ("max_width", "0"),
        ("max_height", "100000"),
        ("dry_run", "perhaps"),
        ("webhook_url", "http://10.0.0.1/hook"),
        ("webhook_url", "ftp://shop.test/"),
        ("webhook_url", "shop.test"),
        ("webhook_url", "http://user:password@shop.test/"),
        ("email", "nobody"),
        ("email", "a@shop.test\r\nBcc: b@shop.test"),
        ("email", f"{'a' * 400}@shop.test"),
        *(("user_agent", value) for value in BAD_IN_A_HEADER),
        ("user_agent", "a" * 501),
        *(("referer", value) for value in BAD_IN_A_HEADER),
        ("referer", "shop.test"),
        ("referer", "https://shop.test/" + "a" * 2000),
        ("referer", "https://me:pass@shop.test/"),
        ("referer", "https://shop.test/a b"),
        ("referer", "ftp://shop.test/"),
        ("referer", "https://shop.test/\r\nX-Other: 1"),
        *(("accept_language", value) for value in BAD_IN_A_HEADER),
        ("accept_language", "de" * 101),
        ("accept_language", "de\nX: 1"),
        ("accept_language", "de: 1"),
    ],
)
def test_a_bad_option_is_rejected_by_name(upload: Upload, field: str, value: str) -> None:
    issue = _only_issue(upload(**{field: value}))
    assert (issue["field"], issue["code"]) == (field, f"invalid_{field}")
    assert issue["value"] == value[:200]


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("example.com", "must start with http:// or https://"),
        ("http://10.0.0.1/hook", "may not send requests to this URL"),
    ],
)
def test_a_bad_webhook_url_is_answered_with_what_it_needs(
    upload: Upload, url: str, advice: str
) -> None:
    message = _only_issue(upload(webhook_url=url))["message"]
    assert advice in message and "image" not in message.replace("/hooks/images", "")


def test_a_percentage_out_of_range_is_rejected_with_the_range(upload: Upload) -> None:
    issue = _only_issue(upload(compression_percentage="200"))
    assert issue["message"] == "compression_percentage must be a whole number from 1 to 95."


@pytest.mark.parametrize(
    "option",
    [
        "webhook_url",
        "email",
        "compression_percentage",
        "quality",
        "format",
        "max_width",
        "max_height",
        "effort",
        "formats",
        "min_score",
        "metadata",
        "output_columns",
        "user_agent",
        "referer",
        "accept_language",
        "dry_run",
    ],
)
def test_an_empty_option_in_the_url_is_not_left_out(client: FlaskClient, option: str) -> None:
    answer = client.post(f"/upload?{option}=", data={"file": (io.BytesIO(CATALOGUE), "a.csv")})
    assert _only_issue(answer)["code"] == f"invalid_{option}"


def test_an_empty_dry_run_starts_no_job(upload: Upload) -> None:
    assert _only_issue(upload(dry_run=""))["message"] == "dry_run must be true or false."


def test_quality_and_percentage_exclude_each_other(upload: Upload) -> None:
    issue = _only_issue(upload(compression_percentage="50", quality="80"))
    assert "not both" in issue["message"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("qualty", "Did you mean quality?"),
        ("url_column", "Did you mean url_columns?"),
        ("URL-Columns", "Did you mean url_columns?"),
        ("Format", "Did you mean format?"),
        ("percent", "Did you mean compression_percentage?"),
        ("max", "Did you mean max_width or max_height?"),
        ("url", "Did you mean csv_url, url_columns, base_url or webhook_url?"),
        ("colour", "/docs lists the fields of each call."),
        ("in", "/docs lists the fields of each call."),
        ("e", "/docs lists the fields of each call."),
    ],
)
def test_a_mistyped_option_is_reported_with_those_that_are_near(
    upload: Upload, name: str, advice: str
) -> None:
    issue = _only_issue(upload(**{name: "80"}))
    assert (issue["field"], issue["code"], issue["value"]) == (name, "unknown_field", "80")
    assert issue["message"] == f"There is no field called “{name}”. {advice}"


def test_an_address_is_rejected_if_the_service_sends_no_mail(upload: Upload) -> None:
    assert "sends no e-mail" in _only_issue(upload(email="team@shop.test"))["message"]


def test_issues_of_the_options_and_of_the_file_are_reported_together(upload: Upload) -> None:
    answer = upload(HEADER + b"1,SKU1,a.jpg\n2,SKU2,nothing\n", quality="200", max_width="wide")
    assert answer.json["error_count"] == 4
    assert [(issue["field"], issue["row"]) for issue in answer.json["errors"]] == [
        ("quality", None),
        ("max_width", None),
        ("file", 2),
        ("file", 3),
    ]


def test_of_many_issues_the_first_hundred_are_reported_and_all_are_counted(upload: Upload) -> None:
    answer = upload(HEADER + b"1,SKU1,x\n" * 250)
    assert answer.json["error_count"] == 250 and len(answer.json["errors"]) == 100
    assert [issue["row"] for issue in answer.json["errors"]] == list(range(2, 102))


def test_of_many_unknown_fields_the_first_hundred_are_reported(client: FlaskClient) -> None:
    answer = client.post("/upload", query_string={f"field{number}": "x" for number in range(150)})
    assert answer.json["error_count"] == 151 and len(answer.json["errors"]) == 100


class TestLimits:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, max_images_per_job=2, max_upload_bytes=2**20)

    def test_too_many_images_are_rejected(self, upload: Upload) -> None:
        issue = _only_issue(upload())
        assert issue["code"] == "too_many_images"
        assert "2 images" in issue["message"]

    def test_too_many_bytes_are_rejected_with_the_limit_in_words(self, client: FlaskClient) -> None:
        answer = client.post(
            "/upload",
            input_stream=io.BytesIO(TOO_LARGE),
            content_length=len(TOO_LARGE),
            content_type=MULTIPART,
        )
        assert answer.status_code == 413 and answer.content_type == "application/problem+json"
        assert answer.json["code"] == "too_large" and "1 MiB" in answer.json["detail"]

    def test_a_body_of_unknown_length_is_cut_off_at_the_limit(self, client: FlaskClient) -> None:
        answer = client.post(
            "/upload",
            input_stream=io.BytesIO(TOO_LARGE),
            content_type=MULTIPART,
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert answer.status_code == 413 and answer.json["code"] == "too_large"
