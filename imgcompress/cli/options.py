"""The options that several commands share, and the exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from ..catalogue import BOUNDS, EFFORTS, FORMATS, METADATA, OUTPUT_FORMATS
from ..client import DEFAULT_SERVER, Client, ClientError, Job
from .wording import in_options

Function = TypeVar("Function", bound=Callable[..., Any])

# Everything worked; too many images failed, or the job has no result; the file or the options are
# wrong; the service cannot be reached, or rejected the call for another reason.
DONE, FAILED, WRONG_USE, NO_SERVICE = 0, 1, 2, 3
INTERRUPTED = 130
# Long enough for a restart of the service, short enough to report a mistyped address soon.
PATIENCE = 15.0
# The statuses of the service for an error in the file or the options.
WRONG = frozenset((400, 404, 409, 413, 415, 422))


@dataclass(frozen=True)
class Tolerance:
    """The number, or share, of images that may fail."""

    number: float
    is_share: bool

    def is_exceeded(self, failed: int, total: int) -> bool:
        """Return whether too many images failed."""
        return failed > (self.number * total if self.is_share else self.number)


class ToleranceType(click.ParamType[Tolerance]):
    """A number of images such as 10, or a percentage such as 5%."""

    name = "N|N%"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Tolerance:
        """Return the tolerance that a text stands for."""
        if isinstance(value, Tolerance):
            return value
        text = str(value).strip()
        try:
            if text.endswith("%"):
                share = float(text[:-1]) / 100
                if 0 <= share <= 1:
                    return Tolerance(share, True)
            elif (number := int(text)) >= 0:
                return Tolerance(number, False)
        except ValueError:
            pass
        self.fail(f"{value!r} must be a number of images such as 10, or a share such as 5%.")


def _bounded(name: str) -> click.IntRange:
    return click.IntRange(*BOUNDS[name])


def _formats(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    # Clients start without the package of catalogues.
    from ..csvfile import parse_formats

    formats = parse_formats(text) if text else None
    if text and formats is None:
        raise click.BadParameter(f"give some of {', '.join(OUTPUT_FORMATS)}, separated by commas.")
    return formats


def _output_columns(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> str | None:
    from ..csvfile import OUTPUT_COLUMNS, parse_output_columns

    columns = parse_output_columns(text) if text else None
    if text and columns is None:
        raise click.BadParameter(f"give some of {', '.join(OUTPUT_COLUMNS)}, separated by commas.")
    return columns


def together(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Return several options as one decorator."""
    return lambda function: reduce(lambda done, add: add(done), reversed(options), function)


fail_over = click.option(
    "--fail-over",
    type=ToleranceType(),
    default="0",
    metavar="N|N%",
    help="Exit with 1 only if more images than this failed.  [default: 0]",
)
compression_options = together(
    click.option(
        "--percent",
        "compression_percentage",
        type=_bounded("compression_percentage"),
        metavar="1-95",
        help="How much smaller each image must become.  [default: 50]",
    ),
    click.option(
        "--quality",
        type=_bounded("quality"),
        metavar="1-95",
        help="A fixed quality instead of a percentage.",
    ),
    click.option(
        "--format",
        type=click.Choice(FORMATS),
        help="The format of the output; auto chooses the smallest for each image.",
    ),
    click.option(
        "--formats",
        callback=_formats,
        metavar="NAMES",
        help="The formats that auto may choose from, such as webp,jpeg.",
    ),
    click.option(
        "--max-width",
        type=_bounded("max_width"),
        metavar="PIXELS",
        help="Scale wider images down to this width.",
    ),
    click.option(
        "--max-height",
        type=_bounded("max_height"),
        metavar="PIXELS",
        help="Scale taller images down to this height.",
    ),
    click.option(
        "--effort",
        type=click.Choice(EFFORTS),
        help="How much time the encoders may take.",
    ),
    click.option(
        "--min-score",
        type=_bounded("min_score"),
        metavar="1-95",
        help="The lowest score that an image may have, whatever the percentage.",
    ),
    click.option(
        "--metadata",
        type=click.Choice(METADATA),
        help="Keep nothing, or creator, copyright and licence.  [default: none]",
    ),
)
catalogue_options = together(
    click.option("--url-columns", metavar="NAMES", help="The columns with the image URLs."),
    click.option("--name-column", metavar="NAME", help="The column with the product name."),
    click.option("--id-column", metavar="NAME", help="The column with the serial number."),
    click.option(
        "--base-url", metavar="URL", help="The URL to put before image paths without a host."
    ),
    click.option("--sheet", metavar="NAME", help="The sheet of a workbook."),
    click.option("--encoding", metavar="NAME", help="The encoding of a CSV."),
    click.option(
        "--on-row-error",
        type=click.Choice(("refuse", "skip")),
        help="Whether a URL that cannot be fetched rejects the file, or counts as a failed image.",
    ),
    click.option(
        "--output-columns",
        callback=_output_columns,
        metavar="NAMES",
        help="Further columns of the output CSV: score, advice, or both, separated by a comma.",
    ),
)
OPTION_FIELDS = (
    "compression_percentage quality format max_width max_height effort formats min_score metadata"
    " url_columns name_column id_column base_url sheet encoding on_row_error output_columns"
).split()


def fields_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an upload that were given as options."""
    return {name: options[name] for name in OPTION_FIELDS if options.get(name) is not None}


_server_options = together(
    click.option(
        "--server",
        envvar="IMGCOMPRESS_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        show_envvar=True,
        metavar="URL",
        help="The address of the service.",
    ),
    click.option(
        "--key",
        envvar="IMGCOMPRESS_KEY",
        show_envvar=True,
        metavar="KEY",
        help="An API key. Other users of this machine can see it on the command line; the variable"
        " is private.",
    ),
)


def with_client(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --server and --key, and a client as its first argument."""

    @_server_options
    def command(*, server: str, key: str | None, **options: Any) -> None:
        if not server.startswith(("http://", "https://")):
            raise click.BadParameter(f"{server!r} must begin with http:// or https://.")
        with explained(), Client(server, key, patience=PATIENCE) as client:
            function(client, **options)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    # click keeps the options of a function here until it becomes a command.
    command.__click_params__ += getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    return command


WORKBOOKS = frozenset((".xlsx", ".xlsm"))


def check_output(output: Path, catalogue: Path) -> None:
    """Raise UsageError when the output of a catalogue cannot be written under this name."""
    if output.exists() and output.samefile(catalogue):
        raise click.UsageError("The output would overwrite the catalogue; choose another name.")
    if catalogue.suffix.lower() not in (".gz", ".zip"):
        ending = catalogue.suffix.lower()
        delimiter_for(output, ending.removeprefix(".") if ending in WORKBOOKS else "csv")


def delimiter_for(output: Path, download_format: str) -> str | None:
    """Return the delimiter to download with: a workbook becomes a CSV if `output` is not named so.

    Raise UsageError when another kind of file would get the name of a workbook.
    """
    ending = output.suffix.lower()
    if ending in WORKBOOKS and ending != f".{download_format}":
        fitting = output.with_suffix(f".{download_format}").name
        raise click.UsageError(f"The output cannot be a workbook {output.name}; name it {fitting}.")
    return "comma" if download_format != "csv" and ending not in WORKBOOKS else None


@contextmanager
def explained(reworded: Callable[[str], str] = in_options) -> Iterator[None]:
    """End the command with a message, `reworded`, and an exit code when a call fails."""
    try:
        yield
    except ClientError as error:
        click.echo(f"Error: {reworded(error.message)}", err=True)
        for issue in error.issues[:20]:
            place = f"row {issue.row}: " if issue.row else ""
            value = f" ({issue.value})" if issue.value else ""
            click.echo(f"  {place}{reworded(issue.message)}{value}", err=True)
        if error.issue_count > 20:
            click.echo(f"  … and {error.issue_count - 20:,} more", err=True)
        raise SystemExit(WRONG_USE if error.status in WRONG else NO_SERVICE) from error


def end_with(job: Job, tolerance: Tolerance) -> NoReturn:
    """End the command with the exit code for a job's result."""
    failed = job.status != "COMPLETED" or tolerance.is_exceeded(job.failed_images, job.total_images)
    raise SystemExit(FAILED if failed else DONE)
