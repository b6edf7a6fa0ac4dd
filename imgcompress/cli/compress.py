"""`imgcompress compress`: a catalogue, a folder or single images, without a server to start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ..catalogue import ENDINGS, SIGNATURES
from .options import (
    INTERRUPTED,
    Tolerance,
    catalogue_options,
    compression_options,
    fail_over,
    fields_of,
)


@click.command("compress")
@click.argument(
    "inputs",
    nargs=-1,
    required=True,
    metavar="CATALOGUE|FOLDER|IMAGE...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The output of a catalogue: a CSV, or .xlsx for a workbook; the folder for images, or the"
    " file for a single one.",
)
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="For a catalogue: the folder for its images.  [default: OUTPUT without its ending, and -images]",
)
@click.option(
    "--image-url",
    metavar="URL",
    help="For a catalogue: the address at which you will publish that folder; it is written into"
    " the output.  [default: the path of the folder]",
)
@click.option("--fresh", is_flag=True, help="Forget an earlier run, and start again.")
@fail_over
@compression_options
@catalogue_options
def compress(
    inputs: tuple[Path, ...],
    output: Path,
    images: Path | None,
    image_url: str | None,
    fresh: bool,
    fail_over: Tolerance,
    **options: Any,
) -> None:
    """Compress a catalogue, folders or images on this machine; no service is needed.

    The images of a catalogue (CSV or workbook with image URLs) are fetched, compressed and saved to
    a folder, and their places written to an output like the catalogue. Folders and images keep their names and places below the output folder; originals
    are never changed.

    Interrupted by Ctrl-C or a power cut, the same command continues where it was. After failures,
    it tries again what failed.

    The exit code is 0 if every image was compressed, 1 if more than --fail-over failed, and 2 if
    the file or the options are wrong.
    """
    fields = fields_of(options)
    catalogues = [path for path in inputs if path.is_file() and not _is_image(path)]
    with _interruptible():
        if not catalogues:
            if images or image_url:
                raise click.UsageError("--images and --image-url are for catalogues.")
            # Images need the codecs, and a catalogue the client of a service.
            from .photos import compress_photos

            compress_photos(inputs, output, fields, fail_over, fresh=fresh)
        if len(inputs) > 1:
            raise click.UsageError(
                f"{catalogues[0]} is not an image. Give one catalogue, or folders and images only."
            )
        if output.is_dir():
            raise click.UsageError(f"{output} is a folder; name a file for the output.")
        from .catalogue_run import compress_catalogue

        images = images or output.with_name(f"{output.stem}-images")
        compress_catalogue(catalogues[0], output, images, image_url, fields, fail_over, fresh=fresh)


def _is_image(path: Path) -> bool:
    """Return whether a file is taken for an image: by its first bytes, or by its name."""
    with path.open("rb") as file:
        head = file.read(16)
    return path.suffix.lower() in ENDINGS or any(
        SIGNATURES[kind].match(head) for kind in ("jpeg", "png", "webp", "gif", "tiff")
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """On Ctrl-C, SIGTERM and SIGHUP, end with a note on how to continue."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nInterrupted. Run the same command again to continue.", err=True)
        raise SystemExit(INTERRUPTED) from None
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
