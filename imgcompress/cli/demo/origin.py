"""A small web server on this machine that serves the sample photos, as a shop's server would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SAMPLES = Path(__file__).parents[3] / "samples"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the demo's terminal clean."""


@contextmanager
def sample_origin() -> Iterator[tuple[str, int]]:
    """Serve the sample photos on a free port; yield the URL and the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(SAMPLES))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = int(server.server_address[1])
        try:
            yield f"http://127.0.0.1:{port}", port
        finally:
            server.shutdown()
