"""Each command in a terminal against a running service: what a person sees, and the exit codes."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..origin import PlainOrigin
from .terminal import Terminal
from tests.support.photos import sample
from tests.support.service import ROOT, START_SECONDS, Service, free_port

PHOTOS = ("/rocket.jpg", "/coffee.jpg")
ID = r"[0-9a-f-]{36}"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def origin() -> Iterator[PlainOrigin]:
    """Return an origin with two photos."""
    photo = (200, "image/jpeg", sample("rocket.jpg"))
    with PlainOrigin(dict.fromkeys(PHOTOS, photo)) as origin:
        yield origin


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that asks for keys."""
    folder = tmp_path_factory.mktemp("commands")
    with Service(folder / "var", REQUIRE_API_KEY="true") as service:
        yield service


@pytest.fixture(scope="module")
def folder(service: Service, origin: PlainOrigin) -> Path:
    """Return the folder in which commands are run, with a catalogue of three images."""
    urls = [origin.url(path) for path in (*PHOTOS, "/lost.jpg")]
    rows = [f"{number},P,{url}\n" for number, url in enumerate(urls)]
    folder = service.data_dir.parent
    (folder / "products.csv").write_text("S. No.,Product Name,Input Image Urls\n" + "".join(rows))
    return folder


def terminal(service: Service, folder: Path, *words: str, **settings: str) -> Terminal:
    """Start a command of an operator, or of a caller whose key is in the settings."""
    environment = service.environment | {
        "PYTHONPATH": str(ROOT),
        "IMGCOMPRESS_SERVER": service.url,
    }
    return Terminal((sys.executable, "-m", "imgcompress", *words), environment | settings, folder)


@pytest.fixture(scope="module")
def operate(service: Service, folder: Path) -> Run:
    """Return a function that runs a command to its end; it returns the exit code and the text."""

    def run(*words: str, **settings: str) -> tuple[int, str]:
        with terminal(service, folder, *words, **settings) as shown:
            code = shown.exit_code()
        assert "Traceback" not in shown.text, shown.text
        return code, shown.text

    return run


@pytest.fixture(scope="module")
def key(operate: Run) -> str:
    """Create a key, and return it."""
    code, text = operate("keys", "create", "shop")
    assert code == 0 and "it cannot be shown again" in text
    token = re.search(r"^imgc_\S+", text, re.MULTILINE)
    assert token is not None, text
    return token[0]


@pytest.fixture(scope="module")
def call(operate: Run, key: str) -> Run:
    """Return a function that runs a command with the key."""
    return lambda *words: operate(*words, IMGCOMPRESS_KEY=key)


def test_a_job_is_submitted_followed_retried_and_deleted(
    service: Service, folder: Path, call: Run, key: str
) -> None:
    code, text = call("submit", "products.csv", "-o", "out.csv")
    assert code == 1 and (job := re.search(ID, text)), text
    assert re.search(r"Compressing .*3/3", text) and "2 of 3 images compressed;" in text
    assert "1 × source_status at 127.0.0.1: HTTP 404 Not Found, first in row 4" in text
    assert "Output: out.csv" in text and "Image Errors" in (folder / "out.csv").read_text()

    line = rf"{job[0]}  COMPLETED   100 %  3 of 3 images  1 failed"
    code, text = call("status", job[0])
    assert code == 0 and re.search(line, text) and "refused to send the image" in text
    code, text = call("jobs")
    assert code == 0 and re.search(rf"^{line}  products\.csv$", text, re.MULTILINE), text
    assert call("download", job[0]) == (0, "products-compressed.csv\n")
    code, text = call("download", job[0])
    assert code == 2 and "products-compressed.csv already exists" in text
    code, text = call("retry", job[0], "--wait", "--fail-over", "50%")
    assert code == 0 and "2 of 3 images compressed;" in text
    code, text = call("cancel", job[0])
    assert code == 2 and "Error: The job has already ended" in text

    with terminal(service, folder, "delete", job[0], IMGCOMPRESS_KEY=key) as asking:
        asking.wait_for(r"Delete the job of products\.csv with its 2 compressed images\?.*\[y/N\]")
        asking.type("y\n")
        assert asking.exit_code() == 0 and f"Deleted {job[0]}." in asking.text
    code, text = call("status", job[0])
    assert code == 2 and "Error: There is no job with this id." in text


def test_after_ctrl_c_the_job_runs_until_it_is_cancelled(
    service: Service, folder: Path, call: Run, key: str, origin: PlainOrigin
) -> None:
    origin.delay = 20.0
    with terminal(
        service, folder, "submit", "products.csv", "--wait", IMGCOMPRESS_KEY=key
    ) as waiting:
        waiting.wait_for("Compressing")
        waiting.type("\x03")
        assert waiting.exit_code() == 130
    job = re.search(
        rf"The job continues\. To wait again: imgcompress status ({ID}) --wait", waiting.text
    )
    assert job and "Traceback" not in waiting.text, waiting.text
    code, text = call("status", job[1], "--wait", "--timeout", "0.1")
    assert code == 3 and "has not ended within 0.1 s" in text and "It continues." in text
    code, text = call("cancel", job[1])
    assert code == 0 and re.search(rf"{job[1]}  CANCELLED", text), text
    origin.delay = 0.0


@pytest.mark.parametrize(
    "words, code, shown",
    [
        (("jobs", "--key", "imgc_wrong"), 3, "This API key is invalid or was revoked"),
        (("jobs", "--server", "http://127.0.0.1:1"), 3, "cannot be reached"),
        (("submit", "lost.csv"), 2, "'lost.csv' does not exist"),
        (("sumbit", "products.csv"), 2, "No such command 'sumbit'"),
    ],
)
def test_a_mistake_is_explained(
    operate: Run, words: tuple[str, ...], code: int, shown: str
) -> None:
    found, text = operate(*words)
    assert found == code and shown in text


def test_an_operator_looks_after_the_service(
    service: Service, operate: Run, key: str, tmp_path: Path
) -> None:
    other = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    source = f"sqlite:///{service.data_dir / 'imgcompress.sqlite3'}"
    running = f"already running in {re.escape(str(service.data_dir))} .pid .*{service.url}"
    expected = {
        ("doctor",): (0, r"(?m)^ok +database .*\n(.*\n)*ok +broker "),
        ("keys", "list"): (0, rf"shop  {key[:8]}[\w-]*  \d{{4}}-\d\d-\d\d  active"),
        ("keys", "revoke", "nobody"): (1, "Error: There is no valid key nobody"),
        ("db", "current"): (0, r"database (\d+), this version \1"),
        ("prune", "--dry-run", "--older-than", "1"): (0, "Files that belong to no job: 0 of"),
        ("webhooks", "secret"): (0, r"^whsec_\S+\s*$"),
        ("webhooks", "receivers"): (0, "No receiver is failing."),
        ("webhooks", "reset", "https://shop.test:443"): (1, "There is no receiver"),
        ("migrate", "--from", source, "--to", other): (1, running),
        ("serve",): (1, running),
        ("broker",): (1, running),
    }
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(expected, pool.map(lambda words: operate(*words), expected), strict=True))

    for words, (code, shown) in expected.items():
        assert found[words][0] == code and re.search(shown, found[words][1]), found[words]


def test_a_reset_asks_first(service: Service, folder: Path) -> None:
    with terminal(service, folder, "ledger", "reset") as asking:
        asking.wait_for(r"This deletes every job .* Continue\? \[y/N\]")
        asking.type("\n")
        assert asking.exit_code() == 1 and "Aborted!" in asking.text


@pytest.mark.parametrize(
    "words, shown",
    [
        (("webhooks", "listen", "--port", "0"), r"-F webhook_url=http://127.0.0.1:\d+/"),
        (("demo",), r"The catalogue"),
        (("serve",), r"imgcompress is ready at"),
    ],
)
def test_ctrl_c_ends_commands_that_run_on(
    service: Service, folder: Path, tmp_path: Path, words: tuple[str, ...], shown: str
) -> None:
    own = {"DATA_DIR": str(tmp_path / "var"), "PORT": str(free_port())}
    starts = words[0] in ("demo", "serve")
    with terminal(service, folder, *words, **(own if starts else {})) as running:
        running.wait_for(shown, START_SECONDS)
        running.type("\x03")
        running.exit_code()
    assert "Traceback" not in running.text, running.text


def test_ctrl_c_ends_the_server_for_assistants(service: Service, folder: Path) -> None:
    with terminal(service, folder, "mcp") as running:
        running.wait_for("This is for an AI assistant", START_SECONDS)
        running.type('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        running.wait_for(r'"id":1,"result":', START_SECONDS)
        running.type("\x03")
        assert running.exit_code() == -signal.SIGINT
    assert "Traceback" not in running.text, running.text
