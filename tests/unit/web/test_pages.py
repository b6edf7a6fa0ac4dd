"""The pages: what they say before any script runs, and what they allow scripts to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from imgcompress import web
from imgcompress.errors import IMAGE_ERRORS

WEB = Path(str(web.__file__)).parent
JOB = "/jobs/7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11"
PAGES = ["/", JOB, JOB + "/", "/jobs/nothing", "/jobs/", "/?utm_source=mail"]
SCRIPTS = sorted((WEB / "static" / "js").rglob("*.js"))
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_only_the_scripts_of_the_project(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    policy = dict(
        part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.mimetype == "text/html"


def test_only_the_page_of_a_job_shows_images_of_other_hosts(client: FlaskClient) -> None:
    assert "img-src 'self' https: http:;" in client.get(JOB).headers["Content-Security-Policy"]
    for path in ("/", "/jobs/nothing"):
        assert "img-src 'self';" in client.get(path).headers["Content-Security-Policy"]


def test_everything_that_a_page_names_is_there(client: FlaskClient) -> None:
    for path in PAGES:
        named = re.findall(r'(?:src|href)="(/web/[^"]+)"', client.get(path).text)
        assert len(named) >= 4
        for asset in named:
            with client.get(asset) as answer:
                assert answer.status_code == 200, asset


@pytest.mark.parametrize("path", ["/jobs/nothing", "/jobs/", "/jobs"])
def test_what_is_no_id_is_told_as_a_page(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is no such job" in answer.text


def test_the_page_of_a_job_has_the_advice_on_every_failure(client: FlaskClient) -> None:
    text = client.get(JOB).text
    for code in IMAGE_ERRORS:
        assert f"<dt>{code}</dt>" in text


def test_the_first_page_offers_what_the_installation_can_do(client: FlaskClient) -> None:
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


def test_vendored_files_come_with_version_and_licence() -> None:
    vendor = WEB / "static" / "vendor"
    told = (vendor / "README.md").read_text(encoding="utf-8")
    for folder in (path for path in vendor.iterdir() if path.is_dir()):
        assert re.search(rf"\| {folder.name} \| \d+\.\d+\.\d+ \|", told)
        assert (folder / "LICENSE").is_file()
