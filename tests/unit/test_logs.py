"""Lines of the log: one shape for all, whole facts, and nothing in them that can pass for more."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from imgcompress import logs

Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Put the root's handlers and all levels back, which belong to pytest."""
    names = (None, "imgcompress", *logs.TALKATIVE)
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers
    logs.begin()
    yield
    logs.begin()
    logging.captureWarnings(False)
    logging.getLogger().handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return a function that takes the lines written since it was last called."""
    return lambda: capsys.readouterr().err.split("\n")[:-1]


def _objects(lines: Lines) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines()]


def test_a_line_has_its_facts_and_those_that_were_bound(lines: Lines) -> None:
    logs.write_logs("json", "INFO")
    logs.begin(call_id="c1")
    logs.bind(request_id="j1", slice_no=3)
    logging.getLogger("imgcompress.worker").info("Done in %d", 5, extra={"seconds": 0.5})

    (line,) = _objects(lines)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "Done in 5",
        "level": "info",
        "logger": "imgcompress.worker",
        "call_id": "c1",
        "request_id": "j1",
        "slice_no": "3",
        "seconds": 0.5,
    }


def test_begin_clears_the_bound_facts(lines: Lines) -> None:
    logs.write_logs("json", "INFO")
    logs.begin(request_id="j1")
    logs.begin(task="recover")
    logging.getLogger("imgcompress").warning("hm")

    (line,) = _objects(lines)
    assert "request_id" not in line and line["task"] == "recover"


def test_lines_of_libraries_have_the_same_shape(lines: Lines) -> None:
    logs.write_logs("console", "INFO")
    logging.getLogger("celery.apps.worker").info("worker@host ready.", extra={"data": "much"})

    (line,) = lines()
    assert line.endswith("Z INFO    celery.apps.worker: worker@host ready.")


def test_warnings_are_lines_too(lines: Lines) -> None:
    logs.write_logs("json", "INFO")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("take care", UserWarning)

    (line,) = _objects(lines)
    assert "UserWarning: take care" in line["event"] and line["level"] == "warning"


FORGED = "a\nERROR forged\r\x1b[2J\u2028b"


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_input_cannot_forge_a_log_line(lines: Lines, log_format: str) -> None:
    logs.write_logs(log_format, "INFO")
    log = logging.getLogger("imgcompress")
    log.warning("Refused: %s", FORGED, extra={"path": FORGED})
    logs.bind(call_id=FORGED)
    log.warning("again")

    written = lines()
    assert len(written) == 2
    assert all(line.isprintable() for line in written)


def test_input_cannot_forge_a_log_field(lines: Lines) -> None:
    logs.write_logs("console", "INFO")
    logging.getLogger("imgcompress").info("Done", extra={"path": '/a status=200 "', "status": 1})

    (line,) = lines()
    assert line.endswith(r'Done  path="/a status=200 \""  status=1')


def test_a_traceback_is_marked_in_every_line(lines: Lines) -> None:
    logs.write_logs("console", "INFO")
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("imgcompress").exception("broken")

    first, *others = lines()
    assert first.endswith("imgcompress: broken") and len(others) > 3
    assert all(line.startswith(logs.TRACEBACK_MARK) and line.isprintable() for line in others)


def test_a_traceback_is_a_fact_in_json(lines: Lines) -> None:
    logs.write_logs("json", "INFO")
    try:
        raise ValueError("xyzzy")
    except ValueError:
        logging.getLogger("imgcompress").exception("broken")

    (line,) = _objects(lines)
    assert line["exception"].endswith("ValueError: xyzzy")


def test_the_level_holds_and_libraries_never_log_everything(lines: Lines) -> None:
    logs.write_logs("console", "DEBUG")
    for name in ("imgcompress.api", "urllib3.connectionpool", "celery.beat"):
        logging.getLogger(name).debug("of no weight")
        logging.getLogger(name).info("of some weight")
    answer = lines()
    assert [line.split(" ", 1)[1] for line in answer] == [
        "DEBUG   api: of no weight",
        "INFO    api: of some weight",
        "INFO    urllib3.connectionpool: of some weight",
    ]

    logs.write_logs("console", "ERROR")
    logging.getLogger("imgcompress").warning("below")
    logging.getLogger("celery.beat").warning("below")
    assert lines() == []
