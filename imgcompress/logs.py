"""One format for every line that a process logs: the service's own lines, Celery's and gunicorn's.

Modules log with the standard library's `logging`, and pass fields in `extra`. Fields that all lines
of a call or a task share, such as the job's `request_id`, are bound once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

# The fields that a line may have besides its text; others, added by libraries, are left out.
FIELDS = (
    "method",
    "path",
    "status",
    "seconds",
    "client",
    "channel",
    "attempt",
    "error",
    "program",
    "rows",
    "images",
    "completed",
    "failed",
    "bytes",
    "bytes_after",
)
# These log each message and each tick; the service logs the relevant ones itself.
TALKATIVE = ("celery.app.trace", "celery.worker.strategy", "celery.beat", "alembic")
# Further lines of a text begin with this mark, so that input cannot forge a log line.
TRACEBACK_MARK = "    | "

Line = MutableMapping[str, Any]


def write_logs(log_format: str, level: str) -> None:
    """Make this process log to standard error, as `console` or `json`, from this level on.

    DEBUG applies to the service only: libraries would log secrets, such as request headers.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(log_format))
    root = logging.getLogger()
    root.handlers = [handler]
    logging.captureWarnings(True)
    root.setLevel(max(logging.INFO, getattr(logging, level)))
    logging.getLogger("imgcompress").setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def begin(**facts: object) -> None:
    """Clear the bound fields, and bind these to all later lines of this thread."""
    structlog.contextvars.clear_contextvars()
    bind(**facts)


def bind(**facts: object) -> None:
    """Bind more fields to all later lines of this thread."""
    structlog.contextvars.bind_contextvars(**{name: str(fact) for name, fact in facts.items()})


def _formatter(log_format: str) -> ProcessorFormatter:
    render = structlog.processors.JSONRenderer() if log_format == "json" else _in_words
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(FIELDS),
            _without_nothing,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper("iso", utc=True),
        ],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            render,
        ],
    )


def _without_nothing(_logger: object, _method: str, line: Line) -> Line:
    """Leave out empty fields."""
    return {name: fact for name, fact in line.items() if fact not in (None, "")}


def _in_words(_logger: object, _method: str, line: Line) -> str:
    """Format a readable line: time, level, logger, event and fields."""
    time, level, name = line.pop("timestamp"), line.pop("level").upper(), line.pop("logger")
    event, traceback = line.pop("event"), line.pop("exception", "")
    facts = "".join(f"  {key}={_quoted(value)}" for key, value in line.items())
    text = f"{time[:19]}Z {level:7} {name.removeprefix('imgcompress.')}: {_escaped(event)}{facts}"
    return "\n".join([text, *(TRACEBACK_MARK + _escaped(part) for part in traceback.splitlines())])


def _quoted(value: object) -> str:
    """Write a value so that nothing in it can be mistaken for another field."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and not set(text) & set(' "=') else json.dumps(text)


def _escaped(text: str) -> str:
    """Escape line ends and other control characters."""
    return (
        text
        if text.isprintable()
        else "".join(
            sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
        )
    )
