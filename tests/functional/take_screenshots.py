"""Take the pictures in docs/screenshots: `python -m tests.functional.take_screenshots`."""

from __future__ import annotations

import csv
import io
import tempfile
from contextlib import ExitStack
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Browser, Page

from ..origin import PlainOrigin
from tests.support.browser import chromium
from tests.support.photos import SAMPLES, sample
from tests.support.receiver import Receiver
from tests.support.service import ROOT, Service, wait_until

FOLDER = ROOT / "docs" / "screenshots"
PRODUCTS = (
    ("Framed Portrait: Eileen Collins", "astronaut.png"),
    ("Cushion Cover: Chelsea the Cat", "chelsea.png"),
    ("Espresso Cup with Saucer", "coffee.png"),
    ("Space Poster Set", "hubble_deep_field.jpg", "rocket.jpg"),
    ("Anatomy Chart: Retina", "retina.jpg"),
    ("Gift Box: Cup and Cushion", "coffee.png?gift", "chelsea.png?gift"),
    ("Travel Mug, Steel", "mug.jpg"),
    ("Tea Towel", "towel.html"),
)
SIZES = {"upload": {"width": 1280, "height": 900}, "job": {"width": 1280, "height": 1400}}
SETTLE_MS = 1500
MANY = 400


def main() -> None:
    """Start a service, let it work, and take both pages, light and dark."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = stack.enter_context(PlainOrigin(_files()))
        slow = stack.enter_context(PlainOrigin(_many(), delay=2.0))
        receiver = stack.enter_context(Receiver())
        service = stack.enter_context(Service(folder / "var"))
        _finish(service, "spring-sale.csv", _catalogue(origin, PRODUCTS[:6]))
        _finish(service, "gift-boxes.csv", _catalogue(origin, PRODUCTS[2:6]), format="webp")
        job = _finish(
            service, "autumn-catalogue.csv", _catalogue(origin, PRODUCTS), webhook_url=receiver.url
        )
        running = _submit(
            service, "summer-outlet.csv", _catalogue(slow, (("Wall Clock", *_paths()),))
        )
        wait_until(lambda: service.status(running)["completion_percentage"] >= 15, 120)
        browser = stack.enter_context(chromium())
        for scheme in ("light", "dark"):
            _take(browser, "upload", scheme, service.url, _catalogue(origin, PRODUCTS))
            _take(browser, "job", scheme, f"{service.url}/jobs/{job}")


def _take(browser: Browser, name: str, scheme: str, url: str, csv_file: bytes = b"") -> None:
    page = browser.new_page(color_scheme=scheme, viewport=SIZES[name])
    page.goto(url)
    if csv_file:
        _choose(page, csv_file)
    page.wait_for_timeout(SETTLE_MS)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        path = FOLDER / f"{name}-{scheme}.png"
        picture.convert("RGB").quantize(256).save(path, optimize=True)
    page.close()


def _choose(page: Page, csv_file: bytes) -> None:
    page.set_input_files(
        "#file", {"name": "winter-catalogue.csv", "mimeType": "text/csv", "buffer": csv_file}
    )
    page.locator("#verdict.good").wait_for()


def _submit(service: Service, name: str, content: bytes, **fields: str) -> str:
    answer = requests.post(
        f"{service.url}/upload", files={"file": (name, content)}, data=fields, timeout=30
    )
    request_id: str = answer.json()["request_id"]
    return request_id


def _finish(service: Service, name: str, content: bytes, **fields: str) -> str:
    request_id = _submit(service, name, content, **fields)
    service.finished(request_id)
    return request_id


def _catalogue(origin: PlainOrigin, products: tuple[tuple[str, ...], ...]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(("S. No.", "Product Name", "Input Image Urls"))
    for number, (name, *images) in enumerate(products, 1):
        writer.writerow((number, name, ",".join(origin.url(f"/{image}") for image in images)))
    return file.getvalue().encode()


def _files() -> dict[str, tuple[int, str, bytes]]:
    files = {
        f"/{path.name}": (200, f"image/{path.suffix[1:]}", sample(path.name))
        for path in SAMPLES.iterdir()
        if path.suffix in (".png", ".jpg")
    }
    files |= {f"{path}?gift": answer for path, answer in files.items()}
    return files | {"/towel.html": (200, "text/html", b"<!doctype html><title>Tea Towel</title>")}


def _paths() -> list[str]:
    return [f"rocket.jpg?{number}" for number in range(MANY)]


def _many() -> dict[str, tuple[int, str, bytes]]:
    return {f"/{path}": (200, "image/jpeg", sample("rocket.jpg")) for path in _paths()}


if __name__ == "__main__":
    main()
