"""PostgreSQL servers of the test's own: one that turns read-only, a standby, and PgBouncer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from .installation import installation
from .private import as_user, end, folder_of, program
from .proxy import Proxy
from .scenarios import watch
from .verdict import Verdict, Watched, through_one
from tests.support.databases import fresh_database
from tests.support.service import free_port, wait_until

USER = "postgres"
BINARIES = "/usr/lib/postgresql/*/bin"
AWAY = (503, "ledger_unavailable")


class Postgres:
    """A server of the test's own; it lives in a folder of the user who runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Make an empty cluster."""
        self._run(
            "initdb",
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "-D",
            str(self.folder),
        )

    def copy(self, primary: Postgres, name: str) -> None:
        """Become a standby of another server, which knows it by a name."""
        self._run(
            "pg_basebackup",
            "-D",
            str(self.folder),
            "--write-recovery-conf",
            "--no-sync",
            "--checkpoint=fast",
            "-d",
            f"host=127.0.0.1 port={primary.port} user={USER} application_name={name}",
        )

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run(
            "pg_ctl",
            "start",
            "-w",
            "-D",
            str(self.folder),
            "-o",
            options,
            "-l",
            str(self.folder / "server.log"),
        )

    def stop(self) -> None:
        """Stop as a crash does; a server that has stopped already stays so."""
        if (self.folder / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-D", str(self.folder), "-m", "immediate")

    def promote(self) -> None:
        """Take the place of the primary."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self.folder))

    def set(self, name: str, value: str) -> None:
        """Change a setting, for the transactions that begin from now on."""
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                # What sets it to `on` must be able to set it back.
                cursor.execute("SET default_transaction_read_only = off")
                cursor.execute(f"ALTER SYSTEM SET {name} = '{value}'")
                cursor.execute("SELECT pg_reload_conf()")

    def is_followed(self) -> bool:
        """Return whether each commit waits for a standby."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
            return bool(cursor.fetchone()[0])

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [*as_user(USER), program(name, BINARIES), *arguments],
            check=True,
            cwd=self.folder.parent,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Yield a running server, and stop it."""
    with folder_of(USER) as folder:
        server = Postgres(folder / "primary")
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def read_only(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Refuse all writes for a while, as a hoster does whose disk is full."""

    def harm(server: Postgres, job: Watched) -> None:
        server.set("default_transaction_read_only", "on")
        try:
            job.upload_meanwhile(*AWAY)
            job.expect_readiness("database")
            watch(job, seconds)
            job.upload_meanwhile(*AWAY)
        finally:
            server.set("default_transaction_read_only", "off")

    with (
        postgres() as server,
        installation("embedded", folder, DATABASE_URL=server.url, **settings) as service,
    ):
        return through_one(service, images, seconds, partial(harm, server))


def fail_over(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Crash the primary, and promote its standby after a while; commits wait for the standby."""
    with ExitStack() as stack:
        primary = stack.enter_context(postgres())
        standby = Postgres(primary.folder.parent / "standby")
        standby.copy(primary, "standby")
        standby.start()
        stack.callback(standby.stop)
        primary.set("synchronous_standby_names", "standby")
        wait_until(primary.is_followed, 30)
        door = stack.enter_context(Proxy("127.0.0.1", primary.port))

        def harm(job: Watched) -> None:
            primary.stop()
            job.upload_meanwhile(*AWAY)
            # The old primary is gone, and the standby reads: the address is moved too early.
            door.lead_to(standby.port)
            job.upload_meanwhile(*AWAY)
            watch(job, seconds)
            # What is committed from here on needs no second server.
            standby.promote()
            standby.set("synchronous_standby_names", "")
            job.service.query("SELECT 1")

        service = stack.enter_context(
            installation(
                "embedded", folder, DATABASE_URL=_through_door(primary.url, door.port), **settings
            )
        )
        return through_one(service, images, seconds, harm)


def pgbouncer(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Run a job through PgBouncer in transaction mode, which is restarted meanwhile."""
    with ExitStack() as stack:
        url = urlsplit(stack.enter_context(fresh_database()))
        home = stack.enter_context(folder_of(USER))
        port = free_port()
        (home / "users.txt").write_text(f'"{url.username}" "{url.password or ""}"\n')
        (home / "pgbouncer.ini").write_text(f"""[databases]
* = host={url.hostname} port={url.port or 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {home}/users.txt
pool_mode = transaction
default_pool_size = 8
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
logfile = {home}/pgbouncer.log
""")
        command = [*as_user(USER), program("pgbouncer"), "-q", str(home / "pgbouncer.ini")]
        running = [subprocess.Popen(command)]
        stack.callback(lambda: end(running[0]))

        def harm(job: Watched) -> None:
            end(running[0])
            watch(job, seconds)
            running[0] = subprocess.Popen(command)

        through_it = _through_door(url.geturl(), port)
        wait_until(lambda: _takes_connections(through_it), 20)
        service = stack.enter_context(
            installation(
                "embedded", folder, DATABASE_URL=through_it, LEDGER_URL=url.geturl(), **settings
            )
        )
        return through_one(service, images, seconds, harm)


def _through_door(url: str, port: int) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()


def _takes_connections(url: str) -> bool:
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True
