"""The pages in a real browser, on the real service: what people do, and what they see."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from openpyxl import Workbook, load_workbook
from playwright.sync_api import Browser, Locator, Page, Route, expect

from ..origin import PlainOrigin
from tests.support.browser import chromium, watched_page
from tests.support.photos import sample
from tests.support.receiver import Receiver
from tests.support.service import ROOT, Service, free_port, wait_until

Photos = dict[str, tuple[int, str, bytes]]
COFFEE = (200, "image/png", sample("coffee.png"))
PHOTOS: Photos = {
    "/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg")),
    "/coffee.png": COFFEE,
    "/cat.png": (200, "image/png", sample("chelsea.png")),
}
LONG_MS = 60_000
SEVERE = {"serious", "critical"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service, embedded; without Chromium none is started."""
    with Service(tmp_path_factory.mktemp("page") / "var") as service:
        yield service


@pytest.fixture(scope="module")
def axe(node_folder: Path) -> str:
    """Return the script of axe-core, as tests/node locks it."""
    return (node_folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page that must not complain."""
    with watched_page(browser) as page:
        yield page


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin of photos."""
    with PlainOrigin(PHOTOS) as origin:
        yield origin


def catalogue(*urls: str) -> bytes:
    """Return a CSV with a product for each URL."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(("S. No.", "Product Name", "Input Image Urls"))
    writer.writerows((number, f"Product {number}", url) for number, url in enumerate(urls, 1))
    return file.getvalue().encode()


def drop(page: Page, name: str, content: bytes) -> None:
    """Drop a file on the page, as a mouse does."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([text], name, { type: "text/csv" }));
            return transfer;
        }""",
        [name, content.decode()],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def open_job(page: Page, service: Service, request_id: str) -> None:
    """Open the page of a job and wait until it shows it."""
    page.goto(f"{service.url}/jobs/{request_id}")
    page.locator("#job").wait_for()


def state_of(page: Page) -> Locator:
    """Return the word that shows the job's state."""
    return page.locator("#state")


def ended(service: Service, *urls: str, **fields: str) -> str:
    """Upload a CSV of these URLs, wait for the end of its job, and return its id."""
    request_id = service.submit(catalogue(*urls), **fields)
    service.finished(request_id)
    return request_id


def violations_by_axe(page: Page, axe: str) -> list[Any]:
    """Return what axe-core finds serious or critical on the page."""
    page.evaluate(axe)  # Through the debugger, since the page's policy allows no other script.
    found = page.evaluate("() => axe.run()")["violations"]
    return [
        (violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in found
        if violation["impact"] in SEVERE
    ]


def test_a_csv_is_dropped_fixed_uploaded_and_watched_to_its_end(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    page.goto(service.url)
    urls = [origin.url(path) for path in PHOTOS]
    drop(page, "autumn.csv", catalogue(*urls[:2], "ftp://elsewhere/cat.png"))
    expect(page.locator("#verdict")).to_contain_text(
        "has 1 issue. Nothing was started; fix the file and choose it again."
    )
    row = page.locator("#issues tbody tr")
    expect(row).to_have_count(1)
    assert row.locator("td").all_inner_texts()[:2] == ["4", "Input Image Urls"]
    expect(row).to_contain_text("ftp://elsewhere/cat.png")
    expect(page.locator("#start")).to_be_disabled()
    assert service.get("/job").json()["jobs"] == [] and not origin.requests

    drop(page, "autumn.csv", catalogue(*urls))
    expect(page.locator("#verdict")).to_contain_text("3 images in 3 rows")
    expect(page.locator("#issues")).to_be_hidden()
    page.locator("#start").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#filename")).to_have_text("autumn.csv")
    expect(state_of(page)).to_have_text("Done", timeout=LONG_MS)
    expect(page.locator("#percent")).to_have_text("100")
    expect(page.locator("#completed")).to_have_text("3")
    assert "\u00a0s" in page.locator("#time").inner_text()  # No line ends before a unit.
    expect(page.locator(".image-card")).to_have_count(3)
    expect(page.locator(".bars-row")).to_have_count(3)

    page.get_by_role("link", name="imgcompress").click()
    expect(page.locator(".job-name").first).to_have_text("autumn.csv")
    expect(page.locator(".job .pill").first).to_have_text("Done")


def test_sample_photos_are_tried_on_an_empty_installation(browser: Browser, tmp_path: Path) -> None:
    # As shipped: no private network and no other port may be called.
    sealed = {"ALLOWED_PRIVATE_NETWORKS": "", "ALLOWED_PORTS": "80,443"}
    with Service(tmp_path / "var", **sealed) as service, watched_page(browser) as page:
        page.goto(service.url)
        page.get_by_role("button", name="Try it with sample photos").click()
        expect(page.locator("#verdict")).to_contain_text("8 images in 6 rows")
        expect(page.get_by_role("button", name="Compress the images")).to_be_focused()
        page.get_by_role("button", name="Preview the first 6 images").click()
        expect(page.locator("#preview-list img")).to_have_count(6, timeout=LONG_MS)
        page.get_by_role("button", name="Compress the images").click()
        page.wait_for_url("**/jobs/*")
        expect(state_of(page)).to_have_text("Done", timeout=LONG_MS)
        expect(page.locator("#completed")).to_have_text("8")
        page.get_by_role("button", name="Compare before and after: Espresso Cup").click()
        expect(page.locator("#compare-said")).to_be_empty()
        expect(page.locator("#compare-numbers dd").first).to_contain_text("600 × 400")
        page.goto(service.url)
        expect(page.locator(".job-name")).to_have_text("sample-photos.csv")
        expect(page.get_by_role("button", name="Try it with sample photos")).to_be_hidden()


def test_options_go_with_the_upload_and_into_the_command(
    page: Page, service: Service, origin: PlainOrigin, tmp_path: Path
) -> None:
    page.goto(service.url)
    slider = page.get_by_label("How much smaller")
    slider.fill("75")
    expect(page.locator("#promise")).to_contain_text("at most a quarter of the bytes")
    page.get_by_text("More options").click()
    page.get_by_label("Format").select_option("webp")
    page.get_by_label("Further columns").select_option("Score and advice")
    page.get_by_label("Maximum width, in pixels").fill("100000")
    drop(page, "it's.csv", catalogue(origin.url("/rocket.jpg")))
    expect(page.locator("#issues td").nth(1)).to_have_text("Maximum width, in pixels")
    expect(page.locator("#verdict")).to_contain_text(
        "has no issues, but the options have 1 issue. Nothing was started; correct the options."
    )
    page.get_by_label("Maximum width, in pixels").fill("320")
    page.get_by_label("Maximum width, in pixels").blur()
    expect(page.locator("#verdict")).to_contain_text("1 image in 1 row")

    (tmp_path / "it's.csv").write_bytes(catalogue(origin.url("/rocket.jpg")))
    command = page.locator("#curl").inner_text()
    done = subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error --fail"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    page.locator("#start").click()
    page.wait_for_url("**/jobs/*")
    for request_id in (done.stdout.split('"request_id":"')[1][:36], page.url[-36:]):
        service.finished(request_id)
        (image,) = service.details(request_id)
        assert (image["output_format"], image["width"]) == ("webp", 320)
        assert image["output_bytes"] <= image["input_bytes"] / 4
        header = service.get(f"/job/download/{request_id}").text.splitlines()[0]
        assert header.endswith(",Score,Advice")


def test_a_csv_is_fetched_from_its_address(
    browser: Browser, service: Service, origin: PlainOrigin, tmp_path: Path
) -> None:
    with watched_page(browser, may_complain=True) as page:
        _fetch_from_an_address(page, service, origin, tmp_path)


def _fetch_from_an_address(page: Page, service: Service, origin: PlainOrigin, folder: Path) -> None:
    page.goto(service.url)
    address = page.get_by_label("Or its URL")
    origin.files["/export.csv"] = (200, "text/html", b"<!doctype html><title>Sign in</title>")
    address.fill(origin.url("/export.csv"))
    address.blur()
    expect(page.locator("#verdict")).to_contain_text("cannot be used")
    expect(page.locator("#issues tbody tr")).to_contain_text("a web page, not a table")
    origin.files["/export.csv"] = (200, "text/csv", catalogue("ftp://elsewhere/cat.png"))
    address.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("1 issue")
    expect(page.locator("#start")).to_be_disabled()

    origin.files["/export.csv"] = (200, "text/csv", catalogue(origin.url("/rocket.jpg")))
    address.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("1 image in 1 row")
    command = page.locator("#curl").inner_text()
    assert f"csv_url={origin.url('/export.csv')}" in command and "file=" not in command
    done = subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error --fail"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    service.finished(done.stdout.split('"request_id":"')[1][:36])
    page.locator("#start").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#filename")).to_have_text("export.csv")
    expect(state_of(page)).to_have_text("Done", timeout=LONG_MS)

    page.goto(service.url)
    address.fill(origin.url("/export.csv"))
    address.blur()
    expect(page.locator("#verdict")).to_contain_text("1 image in 1 row")
    drop(page, "own.csv", catalogue(origin.url("/rocket.jpg")))
    expect(page.locator("#verdict")).to_contain_text("own.csv")
    expect(address).to_have_value("")
    assert "file=@own.csv" in page.locator("#curl").inner_text()
    address.fill(origin.url("/export.csv"))
    address.blur()
    expect(page.locator("#verdict")).to_contain_text("export.csv")
    address.fill("")
    address.blur()
    expect(page.locator("#verdict")).to_be_hidden()
    expect(page.locator("#start")).to_be_disabled()


SHOP = """Handle,Title,Vendor,Picture,Second picture
mug,Mug,Acme,{0}/rocket.jpg,{0}/coffee.png
hat,Hat,Acme,{0}/cat.png,
"""


def test_the_columns_of_a_catalogue_are_seen_and_chosen(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    page.goto(service.url)
    drop(page, "shop.csv", SHOP.format(origin.url("")).encode())
    found = page.locator("#layout-note")
    expect(found).to_have_text("No column with image URLs was found. Choose one.")
    expect(page.locator("#start")).to_be_disabled()
    page.get_by_role("checkbox", name="Second picture").check()
    expect(page.locator("#verdict")).to_contain_text("1 image in 2 rows")
    page.get_by_role("checkbox", name="Picture", exact=True).check()
    expect(page.locator("#verdict")).to_contain_text("3 images in 2 rows")
    expect(page.get_by_role("checkbox", name="Picture", exact=True)).to_be_focused()
    page.get_by_label("Product name").select_option("Vendor")
    expect(page.locator(".rows th", has_text="Vendor")).to_contain_text("name")
    cells = page.locator(".rows tbody tr").last.locator("td").all_inner_texts()
    assert cells[0] == "3" and origin.url("/cat.png") in cells
    assert "name_column=Vendor" in page.locator("#curl").inner_text()
    page.get_by_text("More options").click()
    page.get_by_label("Result").select_option("replace")
    page.locator("#start").click()
    page.wait_for_url("**/jobs/*")
    request_id = page.url[-36:]
    service.finished(request_id)
    assert {image["product_name"] for image in service.details(request_id)} == {"Acme"}
    rows = list(csv.DictReader(io.StringIO(service.get(f"/job/download/{request_id}").text)))
    assert list(rows[0]) == ["Handle", "Title", "Vendor", "Picture", "Second picture"]
    assert all("/image/" in row["Picture"] for row in rows)


def test_a_workbook_is_previewed(
    page: Page, service: Service, origin: PlainOrigin, tmp_path: Path
) -> None:
    book = Workbook()
    for row in csv.reader(io.StringIO(SHOP.format(origin.url("")))):
        book.active.append(row[:4])
    book.save(tmp_path / "shop.xlsx")
    page.goto(service.url)
    page.set_input_files("#file", tmp_path / "shop.xlsx")
    expect(page.locator("#verdict")).to_contain_text("2 images in 2 rows")
    expect(page.locator("#layout-note")).to_contain_text("One column holds image URLs.")
    expect(page.locator(".rows tbody tr")).to_have_count(2)
    page.locator("#start").click()
    page.wait_for_url("**/jobs/*")
    with page.expect_download(timeout=LONG_MS) as download:
        page.get_by_role("link", name="Download the XLSX").click(timeout=LONG_MS)
    assert download.value.suggested_filename == "shop-compressed.xlsx"
    book = load_workbook(io.BytesIO(download.value.path().read_bytes()))
    rows = list(book.active.values)
    assert rows[0][-2:] == ("Output Image Urls", "Image Errors")
    assert all("/image/" in str(row[-2]) for row in rows[1:])


def test_the_first_images_are_previewed_with_the_options(
    browser: Browser, service: Service, origin: PlainOrigin
) -> None:
    with watched_page(browser, may_complain=True) as page:
        _preview_the_first_images(page, service, origin)


def _preview_the_first_images(page: Page, service: Service, origin: PlainOrigin) -> None:
    jobs = len(service.get("/job", per_page=1000).json()["jobs"])
    page.goto(service.url)
    drop(page, "try.csv", catalogue(*map(origin.url, ("/rocket.jpg", "/none.jpg"))))
    page.get_by_text("More options").click()
    page.get_by_label("Format").select_option("webp")
    page.get_by_role("button", name="Preview the first 2 images").click()
    cards = page.locator("#preview-list .image-card")
    expect(cards.first).to_contain_text("WEBP", timeout=LONG_MS)
    expect(cards.last).to_contain_text("HTTP 404 Not Found", timeout=LONG_MS)
    cards.first.get_by_role("button").press("Enter")
    numbers = page.locator("#compare-numbers dd")
    expect(numbers.first).to_contain_text("113 kB · 640 × 427")
    page.get_by_label("Quality", exact=True).fill("30")
    expect(numbers.last).to_contain_text("quality 30", timeout=LONG_MS)
    page.get_by_role("button", name="Use this quality for all images").click()
    expect(page.get_by_label("Fixed quality")).to_have_value("30")
    expect(cards.first).to_contain_text("quality 30", timeout=LONG_MS)
    assert len(service.get("/job", per_page=1000).json()["jobs"]) == jobs


def test_options_are_saved_and_used_again(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.get_by_text("More options").click()
    page.get_by_label("Maximum width, in pixels").fill("800")
    page.get_by_label("Format").select_option("avif")
    page.get_by_role("button", name="Save these options").click()
    page.get_by_label("Name", exact=True).fill("Shop")
    page.keyboard.press("Enter")
    page.reload()
    page.get_by_text("More options").click()
    expect(page.get_by_label("Maximum width, in pixels")).to_have_value("")
    page.get_by_label("Saved options").select_option("Shop")
    expect(page.get_by_label("Maximum width, in pixels")).to_have_value("800")
    assert "format=avif" in page.locator("#curl").inner_text()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_label("Saved options").locator("option")).to_have_count(1)


def test_an_upload_that_broke_off_is_sent_again_and_makes_one_job(
    browser: Browser, service: Service, origin: PlainOrigin
) -> None:
    with watched_page(browser, may_complain=True) as page:
        page.goto(service.url)
        drop(page, "once.csv", catalogue(origin.url("/rocket.jpg")))
        expect(page.locator("#start")).to_be_enabled()
        before = len(service.get("/job").json()["jobs"])
        page.route("**/upload", _lose_the_answer, times=1)
        page.locator("#start").click()
        expect(page.locator("#verdict")).to_contain_text("The service is not responding")
        page.locator("#start").click()
        page.wait_for_url("**/jobs/*")
        assert len(service.get("/job").json()["jobs"]) == before + 1


def _lose_the_answer(route: Route) -> None:
    answer = route.fetch()
    assert answer.status == 202, answer.text()
    route.abort()


def test_an_image_is_compared_with_its_original(
    browser: Browser, service: Service, origin: PlainOrigin
) -> None:
    request_id = ended(service, origin.url("/rocket.jpg"), origin.url("/coffee.png"))
    with watched_page(browser, may_complain=True) as page:
        open_job(page, service, request_id)
        opener = page.get_by_role("button", name="Compare before and after: Product 1")
        opener.press("Enter")
        divider = page.get_by_role("slider", name="Share of the original")
        expect(divider).to_be_focused()
        page.keyboard.press("ArrowLeft")
        expect(divider).to_have_attribute("aria-valuenow", "48")
        page.keyboard.press("Shift+ArrowRight")
        expect(divider).to_have_attribute("aria-valuenow", "58")
        expect(page.locator("#compare-numbers dd").first).to_contain_text("113 kB · 640 × 427")
        expect(page.locator("#compare-numbers dd").last).to_contain_text("640 × 427 · JPEG")
        box = page.locator("#stage").bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, middle)
        page.mouse.up()
        expect(divider).to_have_attribute("aria-valuenow", "80")

        page.get_by_role("button", name="1:1").click()
        image = page.locator("#stage .after img")
        assert image.bounding_box()["width"] == 640  # type: ignore[index]
        divider.press("+")
        divider.press("+")
        before = image.bounding_box()
        assert before is not None and before["width"] == pytest.approx(1440)
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 50, middle)
        page.mouse.up()
        after = image.bounding_box()
        assert after is not None and after["x"] == pytest.approx(before["x"] + 50)
        expect(divider).to_have_attribute("aria-valuenow", "80")
        divider.press("0")
        fitted = image.bounding_box()
        assert fitted is not None and fitted["width"] <= box["width"]
        assert "referer" not in origin.requests[-1].headers

        del origin.files["/coffee.png"]
        page.get_by_role("button", name="Next").click()
        expect(page.locator("#compare-said")).to_contain_text("The original cannot be shown")
        expect(page.get_by_role("img", name="Compressed: Product 2")).to_be_visible()
        expect(divider).to_have_count(0)
        page.keyboard.press("Escape")
        expect(opener).to_be_focused()


def test_one_group_of_failures_is_shown_and_retried(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    del origin.files["/coffee.png"]
    origin.files["/page"] = (200, "text/html", b"<!doctype html><title>A page</title>")
    request_id = ended(service, *map(origin.url, ("/rocket.jpg", "/coffee.png", "/page")))
    open_job(page, service, request_id)
    expect(state_of(page)).to_have_text("Done, 2 failed")
    gone = page.locator("#failure-list li", has_text="source_status")
    expect(gone).to_contain_text("1 image from 127.0.0.1: HTTP 404 Not Found")
    expect(gone).to_contain_text("open the URL in a browser to see why")
    no_image = page.locator("#failure-list li", has_text="not_an_image")
    expect(no_image.get_by_role("button", name="Retry")).to_have_count(0)
    gone.get_by_role("button", name="Show").click()
    expect(page.locator(".image-card")).to_have_count(1)
    expect(page.locator(".image-card")).to_contain_text("HTTP 404")
    expect(page.locator("#gallery-title")).to_be_focused()

    origin.files["/coffee.png"] = COFFEE
    gone.get_by_role("button", name="Retry this image").press("Enter")
    expect(state_of(page)).to_have_text("Done, 1 failed", timeout=LONG_MS)
    expect(gone).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "filename"
    expect(page.get_by_role("button", name="Retry failed images")).to_be_hidden()
    expect(page.locator("#said")).to_be_empty(timeout=LONG_MS)
    status = service.status(request_id)
    assert (status["completed_images"], status["failed_images"]) == (2, 1)
    assert status["finished_in_run"] == 1
    page.get_by_label("Show").select_option("outcome=target_met")
    expect(page.locator(".image-card")).to_have_count(2)
    page.get_by_label("Show").select_option("outcome=larger")
    expect(page.locator("#gallery-empty")).to_be_visible()


def test_the_csv_and_the_images_are_downloaded(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    open_job(page, service, ended(service, *(origin.url(path) for path in PHOTOS)))
    with page.expect_download() as csv_download:
        page.get_by_role("link", name="Download the CSV").click()
    text = csv_download.value.path().read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 3 and all("/image/" in row["Output Image Urls"] for row in rows)
    with page.expect_download() as zip_download:
        page.get_by_role("link", name="Download the images").click()
    with zipfile.ZipFile(zip_download.value.path()) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 3


def test_a_large_job_is_read_by_pages_cancelled_and_resumed(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    # A browser on a busy machine must see the job before it ends.
    origin.delay = 3.0
    urls = [origin.url(f"/rocket.jpg?{number}") for number in range(120)]
    origin.files |= {f"/rocket.jpg?{number}": PHOTOS["/rocket.jpg"] for number in range(120)}
    open_job(page, service, service.submit(catalogue(*urls)))
    expect(state_of(page)).to_have_text("Compressing")
    expect(page.get_by_role("link", name="Images so far (ZIP)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV so far").click()
    rows = csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"), newline=""))
    assert 0 < sum(bool(row["Output Image Urls"]) for row in rows) < 120
    page.get_by_role("button", name="Cancel").click()
    expect(state_of(page)).to_have_text("Cancelled")
    expect(page.locator("#said")).to_contain_text("The job was cancelled")
    expect(page.locator("#waiting-label")).to_have_text("Not done")

    expect(page.locator("#gallery-range")).to_have_text("Images 1 to 48 of 120")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#gallery-range")).to_have_text("Images 49 to 96 of 120")
    page.get_by_role("spinbutton", name="Page").fill("3")
    page.keyboard.press("Enter")
    expect(page.locator(".image-card")).to_have_count(24)
    expect(page.locator(".image-card").last).to_contain_text("Not done")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_label("Show").select_option("sort=saved")
    expect(page.locator(".image-card").first).to_contain_text("Copy URL")
    page.get_by_role("button", name="Resume").click()
    expect(state_of(page)).to_have_text("Compressing")
    page.get_by_role("button", name="Cancel").click()
    expect(state_of(page)).to_have_text("Cancelled")


def test_jobs_are_found_and_deleted(page: Page, service: Service, origin: PlainOrigin) -> None:
    for number in range(27):
        name = f"Winter {number}.csv" if number % 2 else f"winter-{number}.csv"
        answer = requests.post(
            f"{service.url}/upload",
            files={"file": (name, catalogue(origin.url("/rocket.jpg")))},
            timeout=30,
        )
    request_id = answer.json()["request_id"]
    service.finished(request_id)
    page.goto(f"{service.url}/jobs")
    rows = page.locator("#jobs tr")
    expect(rows).to_have_count(25)
    page.get_by_label("File name").fill("WINTER")
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(2)
    assert "search=WINTER" in page.url and "page=2" in page.url
    page.get_by_label("File name").fill("ter-26")
    expect(rows).to_have_count(1)
    page.get_by_label("Status").select_option("FAILED")
    expect(page.locator("#no-jobs")).to_have_text("No jobs match.")
    page.get_by_label("Status").select_option("")
    rows.get_by_role("link").click()

    image_url = service.details(request_id)[0]["output_url"]
    assert requests.get(image_url, timeout=30).ok
    expect(page.get_by_role("link", name="Open image")).to_have_attribute("href", image_url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy URL").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == image_url
    delete = page.get_by_role("button", name="Delete …")
    delete.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete winter-26.csv?")
    expect(dialog).to_contain_text("1 compressed image, ")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(delete).to_be_focused()
    assert requests.get(image_url, timeout=30).ok
    delete.click()
    page.get_by_role("button", name="Delete the job").click()
    page.wait_for_url("**/jobs")
    assert requests.get(image_url, timeout=30).status_code == 404
    page.get_by_label("File name").fill("winter")
    page.get_by_role("button", name="Delete Winter 25.csv").click()
    page.get_by_role("button", name="Delete the job").click()
    expect(page.locator("#said")).to_have_text("Winter 25.csv was deleted.")
    expect(page.get_by_role("link", name="Winter 25.csv")).to_have_count(0)


def test_a_feed_is_created_run_paused_and_deleted(
    browser: Browser, service: Service, origin: PlainOrigin
) -> None:
    with watched_page(browser, may_complain=True) as page:
        _work_with_a_feed(page, service, origin)


def _work_with_a_feed(page: Page, service: Service, origin: PlainOrigin) -> None:
    page.goto(f"{service.url}/feeds")
    expect(page.locator("#no-feeds")).to_be_visible()
    page.get_by_role("button", name="Create the feed").click()
    address = page.get_by_label("URL of the catalogue")
    expect(page.locator("#csv_url-error")).to_contain_text("Send the URL of the catalogue")
    expect(address).to_be_focused()
    table = origin.url("/feed.csv")
    origin.files["/feed.csv"] = (200, "text/csv", catalogue(*map(origin.url, PHOTOS)))
    address.fill(table)
    page.get_by_label("Fetch it").select_option("12h")
    page.get_by_role("button", name="Create the feed").click()
    feed = page.locator("#feeds li")
    expect(feed).to_contain_text("Fetched every 12 hours")
    expect(feed).to_contain_text("3 images", timeout=LONG_MS)
    expect(feed.locator(".pill").last).to_have_text("Done", timeout=LONG_MS)
    expect(address).to_have_value("")

    urls = [*map(origin.url, ("/rocket.jpg", "/coffee.png")), origin.url("/none.jpg")]
    origin.files["/feed.csv"] = (200, "text/csv", catalogue(*urls))
    feed.get_by_role("button", name="Run now").press("Enter")
    expect(feed).to_contain_text("2 unchanged · 1 removed", timeout=LONG_MS)
    expect(feed.locator(".pill").last).to_have_text("Done, 1 failed", timeout=LONG_MS)
    expect(feed.get_by_role("button", name="Run now")).to_be_focused()
    feed.get_by_role("button", name="Pause").click()
    expect(feed.locator(".pill").first).to_have_text("Paused")
    expect(feed.get_by_role("button", name="Run now")).to_have_count(0)
    feed.get_by_role("button", name="Resume").click()
    expect(feed.locator(".pill").first).to_have_text("Active")

    feed.get_by_role("link", name="Its last job").click()
    expect(page.locator("#unchanged_images")).to_have_text("2")
    expect(page.locator("#removed_images")).to_have_text("1")
    page.get_by_label("Show").select_option("change=removed")
    expect(page.locator(".image-card")).to_have_count(1)
    expect(page.locator(".image-card")).to_contain_text("Product 3")
    page.get_by_label("Show").select_option("change=unchanged")
    expect(page.locator(".image-card")).to_have_count(2)
    page.get_by_role("link", name="the earlier job").click()
    expect(page.locator("#completed")).to_have_text("3")
    expect(page.locator("#changes")).to_be_hidden()

    page.get_by_role("link", name="Feeds").click()
    feed.get_by_role("button", name="Delete …").click()
    expect(page.get_by_role("dialog")).to_contain_text("Its jobs and their images are kept")
    page.get_by_role("button", name="Delete the feed").click()
    expect(page.locator("#no-feeds")).to_be_visible()
    assert service.get("/feeds").json() == {"feeds": []}


def test_savings_are_drawn_by_day_and_by_month(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    ended(service, origin.url("/rocket.jpg"))
    total = service.get("/stats").json()["total"]
    page.goto(f"{service.url}/jobs")
    chart = page.locator("#savings-chart svg")
    expect(chart.locator("g")).to_have_count(30)
    expect(page.locator("#savings-story")).to_contain_text(f"in {total['jobs']} job")
    before, after = chart.locator("g").last.locator("rect").all()
    assert before.get_attribute("height") == "100%"
    share = float(str(after.get_attribute("height")).rstrip("%"))
    assert share == pytest.approx(100 * total["output_bytes"] / total["input_bytes"])
    page.get_by_label("Period").select_option("month")
    expect(chart.locator("g")).to_have_count(12)
    page.get_by_text("The same as a table").click()
    expect(page.locator("#savings-table tbody tr")).to_have_count(1)


def test_webhooks_are_listed_and_sent_again(
    page: Page, service: Service, origin: PlainOrigin
) -> None:
    with Receiver() as receiver:
        request_id = ended(service, origin.url("/rocket.jpg"), webhook_url=receiver.url)
        open_job(page, service, request_id)
        completed = page.locator("#delivery-list li", has_text="job.completed")
        expect(completed.locator(".pill")).to_have_text("Delivered", timeout=LONG_MS)
        before = len(receiver.of(request_id))
        completed.get_by_role("button", name="Resend job.completed").click()
        wait_until(lambda: len(receiver.of(request_id)) == before + 1, 30)
        expect(completed).to_contain_text("2 attempts")
        assert receiver.of(request_id)[-1].event["status"] == "COMPLETED"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(
    browser: Browser, service: Service, origin: PlainOrigin, axe: str, scheme: str, width: int
) -> None:
    with (
        Receiver() as receiver,
        watched_page(
            browser, color_scheme=scheme, viewport={"width": width, "height": 800}
        ) as page,
    ):
        page.goto(service.url)
        page.get_by_text("More options").click()
        drop(page, "invalid.csv", catalogue("none"))
        expect(page.locator("#issues tbody tr")).to_have_count(1)
        assert violations_by_axe(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        drop(page, "shop.csv", SHOP.format(origin.url("")).encode())
        page.get_by_role("checkbox", name="Second picture").check()
        page.get_by_role("button", name="Preview the first image").click()
        page.locator("#preview-list button.picture").click(timeout=LONG_MS)
        assert violations_by_axe(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        open_job(
            page,
            service,
            ended(
                service,
                origin.url("/rocket.jpg"),
                origin.url("/none.png"),
                webhook_url=receiver.url,
            ),
        )
        for shown in (".image-card", "#failure-list li", ".bars-row", "#delivery-list li"):
            page.locator(shown).first.wait_for(timeout=LONG_MS)
        assert violations_by_axe(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("button.picture").first.click()
        expect(page.locator("#compare-said")).to_be_empty()
        assert violations_by_axe(page, axe) == []

        page.goto(f"{service.url}/jobs")
        page.locator("#savings-chart svg").wait_for()
        page.locator("#jobs tr button").first.click()
        assert violations_by_axe(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        page.goto(f"{service.url}/feeds")
        page.get_by_label("URL of the catalogue").fill(
            "https://samples.imgcompress.invalid/products.csv"
        )
        page.get_by_role("button", name="Create the feed").click()
        page.locator("#feeds li").wait_for()
        assert violations_by_axe(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("button", name="Delete …").click()
        assert violations_by_axe(page, axe) == []
        page.get_by_role("button", name="Delete the feed").click()
        expect(page.locator("#no-feeds")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_in_the_reference_and_on_error_pages(
    browser: Browser, service: Service, axe: str, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    with watched_page(browser, may_complain=True, color_scheme=scheme, viewport=size) as page:
        for path, shown in (
            ("/docs", ".opblock"),
            ("/nothing", ".lost"),
            ("/jobs/nothing", ".lost"),
        ):
            page.goto(f"{service.url}{path}")
            page.locator(shown).first.wait_for(timeout=LONG_MS)
            assert violations_by_axe(page, axe) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_what_does_not_exist_is_a_page(browser: Browser, service: Service) -> None:
    with watched_page(browser, may_complain=True) as page:
        for path in ("/jobs/00000000-0000-4000-8000-000000000000", "/jobs/nothing"):
            answer = page.goto(f"{service.url}{path}")
            assert answer is not None and answer.status == 404
            expect(page.get_by_role("heading", name="There is no such job")).to_be_visible()
        page.goto(f"{service.url}/nothing")
        expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_the_key_is_requested_once_and_a_lost_service_is_reported(
    browser: Browser, service: Service, origin: PlainOrigin
) -> None:
    key = _new_key(service)
    with watched_page(browser, may_complain=True) as page, _server_with_keys(service) as server:
        page.goto(server.url)
        page.get_by_role("textbox", name="API key").fill("imgc_wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#key-error")).to_contain_text("invalid")
        page.get_by_role("textbox", name="API key").fill(key)
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#no-jobs")).to_be_visible()
        expect(page.locator("#curl")).to_contain_text('-H "Authorization: Bearer $KEY"')
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert page.evaluate("document.cookie") == ""

        drop(page, "kept.csv", catalogue(origin.url("/rocket.jpg")))
        page.locator("#start").click()
        page.wait_for_url("**/jobs/*")
        expect(state_of(page)).to_have_text("Done", timeout=LONG_MS)
        expect(page.locator("#key-dialog")).to_be_hidden()
        status = requests.get(f"{server.url}/job/status/{page.url[-36:]}", timeout=30)
        assert status.status_code == 401
        page.get_by_role("button", name="Forget my key").click()
        expect(page.get_by_role("heading", name="Your API key")).to_be_visible()

        page.get_by_role("textbox", name="API key").fill(key)
        page.get_by_role("button", name="Continue").click()
        expect(state_of(page)).to_have_text("Done")
        server.stop()
        expect(page.locator("#trouble")).to_contain_text("is not responding", timeout=LONG_MS)


class _ServerWithKeys:
    """A second web server of an installation, which asks for keys."""

    def __init__(self, service: Service) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"],
            cwd=ROOT,
            env=service.environment | {"PORT": str(port), "REQUIRE_API_KEY": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        """Return whether the server answers."""
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """End the server without waiting for its callers."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)


@contextmanager
def _server_with_keys(service: Service) -> Iterator[_ServerWithKeys]:
    server = _ServerWithKeys(service)
    try:
        wait_until(server.answers, 30)
        yield server
    finally:
        server.stop()


def _new_key(service: Service) -> str:
    """Make a key by the operator's command; it is the only word that begins as keys do."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "keys", "create", "catalogue-team"],
        cwd=ROOT,
        env=service.environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    (key,) = (word for word in done.stdout.split() if word.startswith("imgc_"))
    return key
