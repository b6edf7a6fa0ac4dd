"""Count the files and functions of the package that one behaviour goes through.

    python -m benchmarks.reading [--names]

Each behaviour runs once before it is traced, so that imports and what a process makes only once are
left out. Lambdas and comprehensions count as part of the function around them. Threads that the
behaviour uses are traced too. `--names` lists the files of each behaviour.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

import imgcompress
from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.api_keys import create_key
from imgcompress.worker.deliver import deliver_due
from imgcompress.worker.tasks import process_csv

from tests.origin import PlainOrigin
from tests.support.databases import migrate
from tests.support.receiver import Receiver

PACKAGE = str(Path(imgcompress.__file__).parent)
INNER = {"<lambda>", "<listcomp>", "<genexpr>", "<setcomp>", "<dictcomp>", "<module>"}


@dataclass
class Trace:
    """The code of the package that was called."""

    codes: set[CodeType] = field(default_factory=set)

    @property
    def files(self) -> list[str]:
        """Return the paths inside the package, sorted."""
        return sorted({code.co_filename[len(PACKAGE) + 1 :] for code in self.codes})

    @property
    def functions(self) -> int:
        """Return the number of functions with a name."""
        return len([code for code in self.codes if code.co_name not in INNER])


# The trace that goes on, if one does.
TRACES: list[Trace] = []


@dataclass
class Installation:
    """An application without a broker, its caller, and the peers of its jobs."""

    app: Flask
    client: FlaskClient
    key: str
    origin: PlainOrigin
    receiver: Receiver

    def upload(self, *paths: str) -> str:
        """Upload a CSV of these images with a webhook; return the id of the job."""
        rows = "".join(
            f"{number},SKU{number},{self.origin.url(path)}\n"
            for number, path in enumerate(paths, 1)
        )
        file = io.BytesIO(b"S. No.,Product Name,Input Image Urls\n" + rows.encode())
        answer = self.client.post(
            "/upload",
            headers=self.headers,
            data={"file": (file, "products.csv"), "webhook_url": self.receiver.url},
        )
        assert answer.status_code == 202 and answer.json, answer.text
        return str(answer.json["request_id"])

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of a call."""
        return {"Authorization": f"Bearer {self.key}"}

    def get(self, path: str) -> Any:
        """Return the answer to a call."""
        return self.client.get(path, headers=self.headers)


def main() -> None:
    """Trace each behaviour and print the table."""
    parser = argparse.ArgumentParser(description="Files and functions per behaviour")
    parser.add_argument("--names", action="store_true", help="list the files too")
    options = parser.parse_args()
    logging.disable()
    # Before any thread of the package begins, so that each has it.
    threading.setprofile(note_call)
    sys.setprofile(note_call)
    print("| behaviour | files | functions |\n|---|--:|--:|")
    with installation() as here:
        for name, trace in traces(here):
            print(f"| {name} | {len(trace.files)} | {trace.functions} |", flush=True)
            if options.names:
                print(*(f"    {path}" for path in trace.files), sep="\n")


def traces(here: Installation) -> Iterator[tuple[str, Trace]]:
    """Yield each behaviour with what it called, the second time that it ran."""
    ids: list[str] = []
    yield (
        "upload (key and webhook)",
        second(lambda: ids.append(here.upload("/a.jpg", "/b.jpg", "/gone.jpg"))),
    )
    yield "status poll", second(lambda: here.get(f"/job/status/{ids[0]}"))
    yield (
        "a slice of 2 images in a worker",
        second(
            lambda: process(here, here.upload("/a.jpg", "/b.jpg")),
            lambda: process(here, ids[2]),
            prepare=lambda: ids.append(here.upload("/a.jpg", "/b.jpg")),
        ),
    )
    process(here, ids[0])
    process(here, ids[1])
    yield (
        "a webhook delivery",
        second(lambda: deliver(here), prepare=lambda: process(here, here.upload("/a.jpg"))),
    )
    retried = iter(ids)
    yield (
        "retry",
        second(lambda: here.client.post(f"/job/retry/{next(retried)}", headers=here.headers)),
    )


def second(
    first: Callable[[], object],
    again: Callable[[], object] | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> Trace:
    """Run a behaviour, and run it once more under the trace."""
    first()
    prepare()
    TRACES.append(Trace())
    try:
        (again or first)()
    finally:
        trace = TRACES.pop()
    return trace


def note_call(frame: FrameType, kind: str, _: object) -> None:
    """Add the code that was called to the trace that goes on, if one does."""
    if TRACES and kind == "call" and frame.f_code.co_filename.startswith(PACKAGE):
        TRACES[-1].codes.add(frame.f_code)


def process(here: Installation, request_id: str) -> None:
    """Do what a worker does with the first slice of a job."""
    with here.app.app_context():
        process_csv(request_id, 0)


def deliver(here: Installation) -> None:
    """Do what a delivery worker does once."""
    arrived = len(here.receiver.arrivals)
    with here.app.app_context():
        deliver_due()
    assert len(here.receiver.arrivals) > arrived, "no webhook was due"


@contextmanager
def installation() -> Iterator[Installation]:
    """Yield an installation in a temporary folder, with an origin and a receiver on loopback."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = stack.enter_context(
            PlainOrigin(
                {"/a.jpg": (200, "image/jpeg", jpeg(0)), "/b.jpg": (200, "image/jpeg", jpeg(1))}
            )
        )
        receiver = stack.enter_context(Receiver())
        url = f"sqlite:///{folder / 'ledger.sqlite3'}"
        migrate(url, folder)
        app = create_app(
            load_settings(
                None,
                database_url=url,
                data_dir=folder,
                celery_broker_url="redis://127.0.0.1:1/0",
                require_api_key=True,
                allowed_private_networks=(ip_network("127.0.0.0/8"),),
                allowed_ports=((1, 65535),),
            )
        )
        with app.app_context():
            key = create_key("reader")
        assert key is not None
        try:
            yield Installation(app, app.test_client(), key, origin, receiver)
        finally:
            with app.app_context():
                db.engine.dispose()


def jpeg(seed: int) -> bytes:
    """Return a small photo-like JPEG."""
    file = io.BytesIO()
    image = Image.effect_noise((200, 200), 60 + seed).convert("RGB")
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


if __name__ == "__main__":
    main()
