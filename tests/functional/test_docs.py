"""The page of the interface in a real browser: an upload from it, and nothing from elsewhere."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.support.browser import chromium, watched_page
from tests.support.service import Service

CATALOGUE = b"S. No.,Product Name,Input Image Urls\n1,Rocket,http://127.0.0.1:1024/rocket.jpg\n"


def test_a_csv_can_be_uploaded_from_the_page(embedded_service: Service) -> None:
    with chromium() as browser, watched_page(browser) as page:
        page.goto(f"{embedded_service.url}/docs")
        upload = page.locator("#operations-upload-upload")
        upload.get_by_role("button").first.click()
        chooser = upload.locator("input[type=file]")
        chooser.set_input_files(
            {"name": "products.csv", "mimeType": "text/csv", "buffer": CATALOGUE}
        )
        upload.locator("tr", has_text="dry_run").locator("select").select_option("true")
        upload.get_by_role("button", name="Execute", exact=True).click()
        answer = upload.locator(".live-responses-table .response").first
        expect(answer).to_contain_text("200")
        expect(answer).to_contain_text("upload the file without dry_run to start the job")


def test_a_call_has_an_address_of_its_own(embedded_service: Service) -> None:
    with chromium() as browser, watched_page(browser) as page:
        page.goto(f"{embedded_service.url}/docs")
        page.locator("#operations-job-listJobs").get_by_role("button").first.click()
        page.wait_for_url("**/docs#/job/listJobs")
        page.reload()
        expect(page.locator("#operations-job-listJobs.is-open")).to_be_visible()
