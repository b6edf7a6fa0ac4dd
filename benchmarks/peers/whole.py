"""The whole service: an upload by HTTP, its broker, its worker processes, its ledger, its files."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from .measured import Measured, cpu_of_tree
from tests.support.service import FINAL, Service

# Callers who ask more often than this cost the service a part of what is measured.
POLL_SECONDS = 0.5


def job(service: Service, urls: list[str], **options: str) -> Measured:
    """Run one job, from the answer to its upload until it is COMPLETED with every image."""
    assert service.process is not None
    spent = cpu_of_tree(service.process.pid)
    request_id = service.submit(_csv(urls), **options)
    began = time.time()
    status = _ended(service, request_id)
    used = cpu_of_tree(service.process.pid) - spent
    if status["status"] != "COMPLETED" or status["completed_images"] != len(urls):
        raise SystemExit(f"The job ended otherwise than it should: {status}")
    ended = datetime.fromisoformat(status["finished_at"]).timestamp()
    return Measured(len(urls), ended - began, used)


def _ended(service: Service, request_id: str) -> dict[str, Any]:
    while (status := service.status(request_id))["status"] not in FINAL:
        time.sleep(POLL_SECONDS)
    return status


def _csv(urls: list[str]) -> bytes:
    rows = [f"{number},Product {number},{url}" for number, url in enumerate(urls, 1)]
    return "\r\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()
