"""A running installation that can be harmed, and that can be asked what its ledger says."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import redis
import requests
from sqlalchemy import Engine, create_engine, text

from imgcompress.config import embedded_broker_socket, load_settings

from .brokers import Broker, rabbit_queues, redis_server
from .proxy import Proxy
from tests.support.databases import fresh_database
from tests.support.service import ROOT, Service, wait_until

HARM = Path(__file__).parent / "harm"
SHAPES = ("embedded", "postgres+redis", "postgres+rabbitmq")
# A dead worker is noticed soon, and so are lost messages.
QUICK = {"LEASE_SECONDS": "3", "RECOVERY_INTERVAL": "0.5"}


class EmbeddedBroker:
    """The Valkey server of `imgcompress serve`, which is started again when it dies."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.url = ""

    def flush(self) -> None:
        """See Broker."""
        socket = embedded_broker_socket(self._installation.data_dir)
        with redis.Redis(unix_socket_path=str(socket)) as client:
            client.flushall()

    def go_away(self) -> None:
        """See Broker: it hangs, since a dead one comes back at once."""
        self._installation.signal(signal.SIGSTOP, "valkey-server")

    def come_back(self) -> None:
        """See Broker."""
        self._installation.signal(signal.SIGCONT, "valkey-server")


class Installation(Service):
    """The whole service, with handles on its processes, its broker and its ledger."""

    broker: Broker
    database: Proxy | None = None
    # Where the origins of its jobs listen.
    origin_address = "127.0.0.1"

    def __init__(self, data_dir: Path, **settings: str) -> None:
        super().__init__(data_dir, **settings)
        self.fault_dir = data_dir.parent / "faults"
        self.fault_dir.mkdir(exist_ok=True)
        self.environment |= {"FAULT_DIR": str(self.fault_dir)}
        self.run_code_of(ROOT)
        url = load_settings(
            None,
            data_dir=data_dir,
            database_url=settings.get("LEDGER_URL") or settings.get("DATABASE_URL"),
        ).database_url
        self._engine: Engine = create_engine(url, pool_pre_ping=True)

    def run_code_of(self, root: Path) -> None:
        """Have the next start run another checkout of the project."""
        self.root = root
        # Version 0.1.0 had no command of its own.
        own = (root / "imgcompress" / "__main__.py").exists()
        self.command = [sys.executable, "-m", "imgcompress" if own else "flask", "serve"]
        self.environment["PYTHONPATH"] = f"{HARM}:{root}"

    def stop(self) -> None:
        """Stop everything; see Service."""
        super().stop()
        self._engine.dispose()

    def processes(self, *words: str) -> dict[int, int]:
        """Return the ids of the processes whose command has the words, and of their parents."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # It has ended meanwhile.
                continue
            ours = f"DATA_DIR={self.data_dir}".encode() in environment
            if ours and all(word in command for word in words):
                found[int(folder.name)] = int(parent)
        return found

    def signal(self, number: signal.Signals, *words: str) -> None:
        """Send a signal to every process whose command has the words."""
        for process in self.processes(*words):
            os.kill(process, number)

    def cancel(self, request_id: str) -> None:
        """Cancel a job that has not ended."""
        requests.post(f"{self.url}/job/cancel/{request_id}", timeout=30).raise_for_status()

    def worker(self) -> int:
        """Return the main process of the image worker, once it has its children."""
        wait_until(lambda: self.worker_children(), 60, lambda: self.log)
        return self.main_of("worker@")

    def worker_children(self) -> list[int]:
        """Return the pool processes of the image worker."""
        workers = self.processes("worker@")
        return [process for process, parent in workers.items() if parent in workers]

    def main_of(self, word: str) -> int:
        """Return the main process of the worker whose command has this word."""
        workers = self.processes(word)
        return next(process for process, parent in workers.items() if parent not in workers)

    def query(self, statement: str, **values: Any) -> list[Any]:
        """Return the rows of a query of the ledger."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def jobs(self) -> set[str]:
        """Return the ids of all jobs."""
        rows = self.query("SELECT request_id FROM job_request")
        return {str(UUID(str(row.request_id))) for row in rows}

    def of_job(self, statement: str, request_id: str) -> list[Any]:
        """Return the rows of a query in which `:id` is the job's."""
        sqlite = self._engine.dialect.name == "sqlite"
        return self.query(statement, id=UUID(request_id).hex if sqlite else request_id)


@contextmanager
def installation(
    shape: str, folder: Path, *, code: Path = ROOT, **settings: str
) -> Iterator[Installation]:
    """Yield a running installation of one of the SHAPES, whose servers can be taken away.

    It runs the `code` of a checkout of this project.
    """
    with ExitStack() as stack:
        broker: Broker | None = None
        database = None
        if shape != "embedded":
            prefix = f"test-{uuid4().hex[:8]}"
            url = stack.enter_context(fresh_database())
            database = stack.enter_context(_proxy_of(url))
            broker = (
                stack.enter_context(redis_server())
                if shape.endswith("redis")
                else stack.enter_context(rabbit_queues(prefix))
            )
            login = urlsplit(url).netloc.rpartition("@")[0]
            settings |= {
                "LEDGER_URL": url,
                "QUEUE_PREFIX": prefix,
                "CELERY_BROKER_URL": broker.url,
                "DATABASE_URL": f"postgresql://{login}@127.0.0.1:{database.port}"
                f"{urlsplit(url).path}",
            }
        running = Installation(folder / "var", **{**QUICK, **settings})
        running.run_code_of(code)
        running.broker = broker or EmbeddedBroker(running)
        running.database = database
        yield stack.enter_context(running)  # type: ignore[misc]


def _proxy_of(url: str) -> Proxy:
    parts = urlsplit(url)
    return Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
