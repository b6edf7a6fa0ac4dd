"""Debian's Chromium, driven by playwright: pages that may not complain, nor call elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOPBACK = {"127.0.0.1", None}  # None: data and blob URLs have no host.
DEFAULT_MS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium; where it is missing the test is skipped, but with CI set it fails."""
    program = shutil.which("chromium")
    if program is None:
        assert not os.environ.get("CI"), "Chromium is missing; with CI set it has to be there."
        pytest.skip("NO CHROMIUM: the pages are not tested. Install Debian's package chromium.")
    # Chromium cannot put itself into a sandbox as root.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    expect.set_options(timeout=DEFAULT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser, *, may_complain: bool = False, **options: Any) -> Iterator[Page]:
    """Open a page; fail at the end when it has complained, or asked another machine for anything.

    `may_complain` allows what browsers write to the console about answers that are errors.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(DEFAULT_MS)
    complaints: list[str] = []
    hosts: set[str | None] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in ("error", "warning") and not _allowed(message.text, may_complain)
            else None
        ),
    )
    try:
        yield page
    finally:
        context.close()
    assert complaints == []
    assert hosts <= LOOPBACK


def _allowed(text: str, may_complain: bool) -> bool:
    return may_complain and text.startswith("Failed to load resource")
