"""Through HTTP and back: what a caller uploads is what the output CSV has, cell by cell."""

from __future__ import annotations

import csv
import io

from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import CATALOGUE, Upload
from tests.support.work import images

# Formulas are made inert, which the tests of the catalogue look into.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(
    lambda text: f"x{text}"
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_the_cells_come_back_as_they_were(
    client: FlaskClient,
    upload: Upload,
    table: list[tuple[str, str, str]],
    delimiter: str,
    encoding: str,
) -> None:
    header = ["S. No.", "Product Name", "Note", "Input Image Urls"]
    rows = [[*row, f"https://shop.test/{number}.jpg"] for number, row in enumerate(table)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    accepted = upload(text.getvalue().encode(encoding))
    assert accepted.status_code == 202, accepted.text
    answer = client.get(f"/job/download/{accepted.json['request_id']}?partial=true", buffered=True)
    output = io.StringIO(answer.data.decode("utf-8-sig"), newline="")
    assert [row[:4] for row in csv.reader(output, delimiter=delimiter)] == [header, *rows]


def test_all_issues_of_a_file_and_of_its_options_come_in_one_answer(
    upload: Upload, client: FlaskClient
) -> None:
    content = (
        b"S. No.,Product Name,Input Image Urls,Format,Quality,Output Name\r\n"
        b"1,a,nothing,tiff,80,\r\n2,b,https://shop.test/1.jpg,,0,a/b\r\n3,c,a.jpg,,,\r\n"
    )
    rejected, tried = (
        upload(content, quality="x", row_options="true"),
        upload(content, dry_run="true", quality="x", row_options="true"),
    )
    assert (rejected.status_code, tried.status_code) == (400, 200)
    assert rejected.json["errors"] == tried.json["errors"]
    assert [
        (issue["row"], issue["column"], issue["code"]) for issue in rejected.json["errors"]
    ] == [
        (None, None, "invalid_quality"),
        (2, "Input Image Urls", "invalid_url"),
        (2, "Format", "invalid_format"),
        (3, "Quality", "invalid_number"),
        (3, "Output Name", "invalid_output_name"),
        (4, "Input Image Urls", "relative_url"),
    ]
    assert rejected.json["error_count"] == tried.json["error_count"] == 6
    assert client.get("/job").json["jobs"] == []


def test_options_of_rows_reach_the_ledger(app: Flask, upload: Upload) -> None:
    content = CATALOGUE.replace(b"Urls\r\n", b"Urls,imgcompress max width,Output Name\r\n").replace(
        b"3.png\r\n", b"3.png,300,front\r\n"
    )
    kept = images(app, upload(content).json["request_id"])
    assert [(image.options, image.output_name) for image in kept] == [
        (None, None),
        (None, None),
        ({"max_width": 300}, "front"),
    ]
