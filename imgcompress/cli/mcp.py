"""`imgcompress mcp`: the service for programs that speak the Model Context Protocol, on stdio."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from .. import __version__
from ..client import Client, ClientError, Job, JobUnfinished
from ..errors import IMAGE_ERRORS
from .options import WRONG_USE, delimiter_for, with_client

Result = TypeVar("Result")

# Clients that wait for a tool's answer time out; they may call again.
MAX_WAIT_SECONDS = 50
EXAMPLES = 20
INSTRUCTIONS = (
    "Compress the product images of a catalogue (a CSV or workbook with image URLs). Submit the"
    " file, ask for the status until the job has ended, explain the failures, and download the"
    " output CSV, which has the URLs of the compressed images."
)


@click.command("mcp")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder whose files may be uploaded, and to which results are saved.",
)
@with_client
def mcp(client: Client, folder: Path) -> None:
    """Offer a service to AI assistants by the Model Context Protocol.

    Speaks on standard input and output. Needs the extra: pip install 'imgcompress[mcp]'.
    """
    try:
        from mcp.server.mcpserver import MCPServer
    except ImportError as error:
        click.echo(
            "The Model Context Protocol is not installed: pip install 'imgcompress[mcp]'"
            " (in a clone: .venv/bin/pip install '.[mcp]').",
            err=True,
        )
        raise SystemExit(WRONG_USE) from error
    server = MCPServer("imgcompress", instructions=INSTRUCTIONS, version=__version__)
    tools = Tools(client, folder.resolve())
    for tool in (tools.submit_catalogue, tools.job_status, tools.explain_failures, tools.download):
        server.tool()(tool)
    if sys.stdin.isatty():
        click.echo(
            "This is for an AI assistant, which starts it by itself; see docs/commands.md."
            " Ctrl-C stops it.",
            err=True,
        )
    # The server would wait for the next line of its input before it ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run("stdio")


class Tools:
    """The tools; their names, arguments and docstrings are what an assistant sees."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    async def submit_catalogue(
        self,
        path: str,
        compression_percentage: int | None = None,
        quality: int | None = None,
        format: Literal["keep", "auto", "jpeg", "png", "webp", "avif"] | None = None,
        max_width: int | None = None,
        max_height: int | None = None,
        min_score: int | None = None,
        metadata: Literal["none", "rights"] | None = None,
        output_columns: Literal["score", "advice", "score,advice"] | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Upload a catalogue file (CSV, XLSX or ODS) and start compressing its images.

        compression_percentage (1-95, default 50) is how much smaller each image must become; quality
        (1-95) fixes the quality instead. No image gets a score of looks below min_score (1-95; 90 is
        visually lossless, 70 high, 50 medium), even if it stays larger. With metadata=rights, creator,
        copyright and licence are kept. output_columns adds to the output CSV the score of each image,
        and another format that would make it smaller. With dry_run, the file is checked and nothing
        starts.
        """
        submission = await _call(
            self._client.submit,
            self._inside(path),
            compression_percentage=compression_percentage,
            quality=quality,
            format=format,
            max_width=max_width,
            max_height=max_height,
            min_score=min_score,
            metadata=metadata,
            output_columns=output_columns,
            dry_run=dry_run or None,
        )
        return asdict(submission)

    async def job_status(self, request_id: str, wait_seconds: int = 0) -> dict[str, Any]:
        """Return the progress of a job; wait for its end for up to wait_seconds (at most 50)."""

        def status() -> Job:
            if wait_seconds <= 0:
                return self._client.status(request_id)
            try:
                return self._client.wait(request_id, timeout=min(wait_seconds, MAX_WAIT_SECONDS))
            except JobUnfinished as unfinished:
                return unfinished.job

        return _plain(await _call(status))

    async def explain_failures(self, request_id: str) -> dict[str, Any]:
        """Return why images of a job failed: by reason, what to do, whether a retry may help, and
        some of the images with their rows."""
        job = await _call(self._client.status, request_id)

        def examples() -> list[dict[str, Any]]:
            failed = self._client.results(request_id, status="FAILED")
            return [
                {
                    "row": image.row_number,
                    "product": image.product_name,
                    "url": image.input_url,
                    "code": image.error.code if image.error else None,
                    "message": image.error.message if image.error else None,
                }
                for image in islice(failed, EXAMPLES)
            ]

        reasons = []
        for group in job.errors:
            kind = IMAGE_ERRORS.get(group.code)
            reasons.append(
                asdict(group)
                | {
                    "what_to_do": kind.advice if kind else "",
                    "retry_may_help": bool(kind and kind.retryable),
                }
            )
        return {
            "failed_images": job.failed_images,
            "total_images": job.total_images,
            "reasons": reasons,
            "examples": await _call(examples) if job.failed_images else [],
        }

    async def download(self, request_id: str, path: str) -> str:
        """Save the output of an ended job to a new file; return its path.

        It is a CSV; that of a workbook is a workbook too if the path ends in .xlsx.
        """
        target = self._inside(path)
        if target.exists():
            raise _failed(f"{path} already exists; choose another name.")
        job = await _call(self._client.status, request_id)
        try:
            delimiter = delimiter_for(target, job.download_format)
        except click.UsageError as error:
            raise _failed(error.message) from error
        return str(await _call(self._client.download, request_id, target, delimiter=delimiter))

    def _inside(self, path: str) -> Path:
        """Return a path of the folder: an assistant may be led to others by what it reads."""
        target = (self._folder / path).resolve()
        if not target.is_relative_to(self._folder):
            raise _failed(f"{path} is outside {self._folder}, the folder of this server.")
        return target


async def _call(function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Run a call of the client in a thread, while the server answers others."""
    from anyio import to_thread

    with _explained():
        return await to_thread.run_sync(partial(function, *arguments, **options))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        issues = "".join(
            f"\nrow {issue.row}: {issue.message}" if issue.row else f"\n{issue.message}"
            for issue in error.issues[:EXAMPLES]
        )
        raise _failed(f"{error.message}{issues}") from error
    except OSError as error:
        raise _failed(f"{error.filename}: {error.strerror}") from error


def _failed(message: str) -> Exception:
    from mcp.server.mcpserver.exceptions import ToolError

    return ToolError(message)


def _plain(job: Job) -> dict[str, Any]:
    """Return a job with its times as texts."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in asdict(job).items()
    }
