"""The pages: what they say before any script runs, and what they allow scripts to do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress import web
from imgcompress.api.middleware import COOKIE
from imgcompress.errors import IMAGE_ERRORS
from imgcompress.ledger.api_keys import create_key
from imgcompress.shipped import SAMPLE_HOST, SAMPLES

WEB = Path(str(web.__file__)).parent
PAGES = ["/", "/jobs", "/feeds", "/jobs/nothing", "/nothing", "/?utm_source=mail"]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
UNKNOWN = "7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11"
SCRIPTS = sorted((WEB / "static" / "js").rglob("*.js"))
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))


def test_a_page_runs_only_the_scripts_of_the_project(client: FlaskClient, request_id: str) -> None:
    for path in [*PAGES, f"/jobs/{request_id}", f"/jobs/{request_id}/"]:
        answer = client.get(path, headers=BROWSER)
        policy = dict(
            part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.mimetype == "text/html"


def test_only_comparisons_show_images_of_other_hosts(client: FlaskClient, request_id: str) -> None:
    policies = {
        path: client.get(path, headers=BROWSER).headers["Content-Security-Policy"]
        for path in ("/", "/jobs", f"/jobs/{request_id}", "/jobs/nothing")
    }
    assert "img-src 'self' https: http:;" in policies[f"/jobs/{request_id}"]
    assert "img-src 'self' data: https: http:;" in policies["/"]
    assert "img-src 'self';" in policies["/jobs"] and "img-src 'self';" in policies["/jobs/nothing"]


def test_every_asset_of_a_page_exists(client: FlaskClient, request_id: str) -> None:
    for path in [*PAGES, f"/jobs/{request_id}"]:
        named = re.findall(r'(?:src|href)="(/web/[^"]+)"', client.get(path, headers=BROWSER).text)
        assert len(named) >= 4
        for asset in named:
            with client.get(asset) as answer:
                assert answer.status_code == 200, asset


def test_not_found_is_a_page_for_people_and_a_problem_for_programs(
    client: FlaskClient,
) -> None:
    for path, words, code in [
        ("/jobs/nothing", "There is no such job", "job_not_found"),
        (f"/jobs/{UNKNOWN}", "There is no such job", "job_not_found"),
        ("/nothing", "Page not found", "not_found"),
    ]:
        page = client.get(path, headers=BROWSER)
        assert (page.status_code, page.mimetype) == (404, "text/html")
        assert f"<h1>{words}</h1>" in page.text
        for accept in ("*/*", "application/json"):
            answer = client.get(path, headers={"Accept": accept})
            assert (answer.status_code, answer.json["code"]) == (404, code)


def test_feeds_are_a_page_for_people_and_a_list_for_programs(client: FlaskClient) -> None:
    page = client.get("/feeds", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "<h1>Feeds</h1>" in page.text and page.headers["Vary"] == "Accept"
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        assert client.get("/feeds", headers={"Accept": accept}).json == {"feeds": []}
    assert client.post("/feeds", headers=BROWSER).status_code == 400


def test_the_sample_photos_are_shown_beside_their_results(client: FlaskClient) -> None:
    for name in ("products.csv", "coffee.png"):
        with client.get(f"/samples/{name}") as answer:
            assert answer.data == (SAMPLES / name).read_bytes()
    for name in ("none.png", "..%2fsetup.py"):
        assert client.get(f"/samples/{name}").status_code == 404
    script = (WEB / "static/js/common/images.js").read_text(encoding="utf-8")
    assert f'"https://{SAMPLE_HOST}/"' in script


def test_programs_are_redirected_from_the_page_of_all_jobs_to_the_call(
    client: FlaskClient, request_id: str
) -> None:
    answer = client.get("/jobs?status=PENDING")
    assert (answer.status_code, answer.mimetype) == (307, "application/json")
    jobs = client.get(answer.headers["Location"]).json["jobs"]
    assert [job["request_id"] for job in jobs] == [request_id]


def test_a_job_of_another_key_is_not_found_and_without_a_key_it_is_asked_for(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    with app.app_context():
        token = create_key("another-team")
    assert token is not None
    client.set_cookie(COOKIE, token)
    assert client.get(f"/jobs/{request_id}", headers=BROWSER).status_code == 404
    client.delete_cookie(COOKIE)
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = replace(settings, require_api_key=True)
    assert client.get(f"/jobs/{UNKNOWN}", headers=BROWSER).status_code == 200


def test_the_page_of_a_job_has_the_advice_on_every_failure(
    client: FlaskClient, request_id: str
) -> None:
    text = client.get(f"/jobs/{request_id}").text
    for code in IMAGE_ERRORS:
        assert f"<dt>{code}</dt>" in text


def test_the_home_page_offers_the_options_of_the_installation(client: FlaskClient) -> None:
    text = client.get("/").text
    assert "200 MiB" in text and 'name="webhook_url"' in text
    assert 'name="email"' not in text  # No mail server is set.


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_never_makes_markup_of_data(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
        "new Function",
    ):
        assert way not in text
    assert text.startswith("// ")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_imports_of_a_script_lead_somewhere(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    for names, source in re.findall(r'import \{([^}]+)\} from "([^"]+)"', text):
        exported = (script.parent / source).read_text(encoding="utf-8")
        for name in map(str.strip, names.split(",")):
            assert re.search(rf"export (async )?(function|class|const) {name}\b", exported), name
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is not used"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_inline(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<style|style=|\son[a-z]+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_every_element_that_a_script_asks_for_is_in_a_template() -> None:
    templates = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    for script in SCRIPTS:
        for name in re.findall(r'byId\("([^"]+)"\)', script.read_text(encoding="utf-8")):
            assert f'id="{name}"' in templates, f"{script.name} asks for {name}"
