"""`imgcompress serve`, `broker` and `demo` as processes: what they start, print and leave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcompress.config import embedded_broker_socket

from tests.support.service import ROOT, Service, free_port, wait_until

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds the processes of an installation in /proc"
)

END_SECONDS = 30


@pytest.fixture
def terminal() -> Iterator[None]:
    """Have what is started end with its terminal, also where these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service, which is well again after each test."""
    with Service(tmp_path_factory.mktemp("serve") / "var") as service:
        yield service
    wait_until(lambda: not processes(service.data_dir), END_SECONDS)


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Service]:
    """Return a running service of the test's own, to be ended."""
    with Service(tmp_path / "var") as service:
        yield service
    wait_until(lambda: not processes(service.data_dir), END_SECONDS)


def processes(data_dir: Path, *words: str) -> dict[int, str]:
    """Return the ids and command lines of the installation's processes that contain the words."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # It has ended meanwhile.
            continue
        if f"DATA_DIR={data_dir}".encode() in environment and all(w in command for w in words):
            found[int(folder.name)] = command
    return found


def flask(service: Service, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a flask command with the settings of `service` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        text=True,
        timeout=120,
        env=service.environment | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def supervisor(service: Service) -> int:
    """Return the supervisor's process id."""
    assert service.process is not None
    return service.process.pid


def left_nothing(service: Service) -> bool:
    """Return whether no process of the installation runs."""
    return not processes(service.data_dir)


def test_the_url_is_reported_once_the_service_answers(service: Service) -> None:
    wait_until(lambda: f"ready at {service.url}" in service.log, END_SECONDS)

    assert service.get("/healthz").status_code == 200
    for program in ("valkey-server", "gunicorn", "worker@", "deliveries@", "celery_app beat"):
        # The one that was started last may not have become its program yet.
        wait_until(lambda: processes(service.data_dir, program), END_SECONDS)


def test_a_second_service_names_the_address_of_the_first(service: Service) -> None:
    second = flask(service, "serve", PORT=str(free_port()))

    assert second.returncode == 1
    assert "already running" in second.stdout
    assert f"pid {supervisor(service)}, {service.url}" in second.stdout
    assert service.get("/healthz").status_code == 200


def test_a_killed_guardian_is_replaced(service: Service) -> None:
    (guardian,) = processes(service.data_dir, "process.py reap")
    os.kill(guardian, signal.SIGKILL)

    wait_until(
        lambda: processes(service.data_dir, "process.py reap").keys() - {guardian}, END_SECONDS
    )
    assert service.get("/healthz").status_code == 200


def test_a_killed_worker_is_started_again(service: Service) -> None:
    wait_until(lambda: len(processes(service.data_dir, "worker@")) > 2, END_SECONDS)
    old = processes(service.data_dir, "worker@").keys()
    os.kill(min(old), signal.SIGKILL)

    wait_until(
        lambda: len(processes(service.data_dir, "worker@").keys() - old) > 2,
        END_SECONDS,
        lambda: service.log,
    )
    assert not processes(service.data_dir, "worker@").keys() & old
    assert "worker ended (by SIGKILL)" in service.log


def test_a_taken_port_is_reported_with_a_way_out(tmp_path: Path) -> None:
    service = Service(tmp_path / "var")
    with socket.create_server(("127.0.0.1", service.port)):
        done = flask(service, "serve")

    assert done.returncode == 1
    assert f"Port {service.port} on 127.0.0.1 is in use" in done.stdout
    assert f"make run PORT={service.port + 1}" in done.stdout
    assert left_nothing(service)


def test_a_database_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    service = Service(tmp_path / "var")
    url = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
    done = flask(service, "serve", DATABASE_URL=url)

    assert done.returncode == 1
    assert "The database is unavailable" in done.stdout and "Connection refused" in done.stdout
    assert "Traceback" not in done.stdout
    assert left_nothing(service)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_order(ending: Service, number: signal.Signals) -> None:
    assert ending.process is not None
    wait_until(
        lambda: "worker@" in ending.log and "ready." in ending.log,
        END_SECONDS,
        lambda: ending.log,
    )
    ending.process.send_signal(number)

    assert ending.process.wait(timeout=60) == 0
    assert left_nothing(ending)
    log = ending.log
    assert log.index("Shutting down: Master") < log.index("Warm shutdown") < log.index("Stopped.")
    assert not embedded_broker_socket(ending.data_dir).exists()


def test_a_second_signal_hurries(ending: Service) -> None:
    assert ending.process is not None
    ending.process.send_signal(signal.SIGINT)
    wait_until(lambda: "Stopping" in ending.log, END_SECONDS)
    ending.process.send_signal(signal.SIGINT)

    assert ending.process.wait(timeout=60) == 0
    assert left_nothing(ending)


def test_a_killed_supervisor_leaves_no_process(ending: Service) -> None:
    wait_until(lambda: len(processes(ending.data_dir, "worker@")) > 2, END_SECONDS)
    os.kill(supervisor(ending), signal.SIGKILL)

    wait_until(lambda: left_nothing(ending), END_SECONDS, lambda: str(processes(ending.data_dir)))


def test_nothing_is_left_when_the_guardian_is_killed_with_the_supervisor(ending: Service) -> None:
    (guardian,) = processes(ending.data_dir, "process.py reap")
    os.kill(guardian, signal.SIGSTOP)  # So that it cannot act before it is killed.
    os.kill(supervisor(ending), signal.SIGKILL)
    os.kill(guardian, signal.SIGKILL)

    wait_until(lambda: left_nothing(ending), END_SECONDS, lambda: str(processes(ending.data_dir)))


def test_the_service_stops_with_its_parent_when_asked_to(tmp_path: Path) -> None:
    service = Service(tmp_path / "var")
    command = f"{sys.executable} -m imgcompress serve --stop-with-parent & wait"
    parent = subprocess.Popen(
        ["sh", "-c", command],
        cwd=ROOT,
        env=service.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: processes(service.data_dir, "gunicorn"), END_SECONDS)
    finally:
        parent.kill()
        parent.wait()

    wait_until(lambda: left_nothing(service), END_SECONDS, lambda: str(processes(service.data_dir)))


def test_the_broker_runs_alone(tmp_path: Path) -> None:
    service = Service(tmp_path / "var")
    broker = subprocess.Popen(
        [sys.executable, "-m", "flask", "broker"],
        cwd=ROOT,
        env=service.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(embedded_broker_socket(service.data_dir).exists, END_SECONDS)
        second = flask(service, "serve")
        assert second.returncode == 1
        assert f"already running in {service.data_dir} (pid {broker.pid}" in second.stdout
    finally:
        broker.terminate()
        assert broker.wait(timeout=END_SECONDS) == 0


def test_the_demo_compresses_the_samples_and_ends(tmp_path: Path) -> None:
    service = Service(tmp_path / "var")
    done = flask(service, "demo")

    assert done.returncode == 0, done.stdout
    assert "8 images:" in done.stdout and '"status": "COMPLETED"' in done.stdout
    demo = service.data_dir / "demo"
    output = (demo / "products-compressed.csv").read_text(encoding="utf-8-sig").splitlines()
    assert output[0] == "S. No.,Product Name,Input Image Urls,Output Image Urls,Image Errors"
    assert len(output) == 7
    assert not processes(demo)
