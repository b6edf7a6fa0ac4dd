from __future__ import annotations

import re

from flask.testing import FlaskClient


def test_the_page_and_all_it_loads_come_from_this_service(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and page.content_type == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href|data-document)="([^"]*)"', page.text)
    assert {"/", "/jobs", "/feeds"} < set(loaded) and len(loaded) == 13
    for path in loaded:
        assert path.startswith("/") and not path.startswith("//")
        answer = client.get(path, headers={"Accept": "text/html"}, buffered=True)
        assert answer.status_code == 200, path


def test_a_browser_loads_nothing_else_and_runs_nothing_from_the_page(client: FlaskClient) -> None:
    page = client.get("/docs/")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert re.search(r"<script>|<style| on\w+=| style=", page.text) is None


def test_no_other_file_is_served(client: FlaskClient) -> None:
    for path in (
        "../docs.py",
        "..%2fdocs.py",
        "%2e%2e/docs.py",
        "swagger-ui/../../docs.py",
        "swagger-ui",
        "",
    ):
        assert client.get(f"/docs/static/{path}").status_code == 404, path
