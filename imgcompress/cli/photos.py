"""Image files and folders on this machine, compressed on every core by codec processes.

The output folder has a record, a line for each image that is done, so that the next run skips what
has not changed. Originals are never modified, nor are files that no earlier run wrote.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn
from uuid import uuid4

import click

from ..catalogue import ENDINGS
from ..config import Settings, load_settings
from ..errors import IMAGE_ERRORS, ImageError
from ..imaging.codec_process import CodecProcess
from ..imaging.options import EXTENSIONS, CompressOptions
from .local import cores
from .options import DONE, FAILED, Tolerance
from .progress import ImageProgress, show_totals
from .wording import in_local_words

RECORD = ".imgcompress.jsonl"
SHOWN_PATHS = 3


@dataclass(frozen=True)
class Photo:
    """An image file, and its place below the output folder without the ending."""

    source: Path
    place: Path
    # Whether another image there has the same name but for the ending.
    shares_name: bool = False

    def target(self, format: str) -> Path:
        """Return the place of the output in this format, below the output folder."""
        ending = self.source.suffix
        if ENDINGS.get(ending.lower()) == format:
            return self.place.with_name(self.place.name + ending)
        kept = ending if self.shares_name else ""
        return self.place.with_name(f"{self.place.name}{kept}.{EXTENSIONS[format]}")


@dataclass(frozen=True)
class Done:
    """The result of an image: bytes before and after, or why it failed."""

    photo: Photo
    before: int = 0
    after: int = 0
    target: Path | None = None
    error: str = ""
    found: str = ""


def compress_photos(
    inputs: Iterable[Path],
    output: Path,
    fields: dict[str, Any],
    tolerance: Tolerance,
    *,
    fresh: bool,
) -> NoReturn:
    """Compress images and folders into `output`, show the result, and end the command."""
    inputs = list(inputs)
    wrong = fields.keys() - CompressOptions.__dataclass_fields__.keys()
    if wrong:
        raise click.UsageError(f"--{min(wrong).replace('_', '-')} is for catalogues.")
    settings = load_settings(None)
    defaults: dict[str, Any] = {"min_score": settings.min_score, "metadata": settings.metadata}
    fields = defaults | fields
    options = CompressOptions(
        **fields,
        min_quality=settings.min_quality,
        max_pixels=settings.max_image_pixels,
        max_frames=settings.max_frames,
        jpeg_engine=settings.jpeg_engine,
    )
    single = output if _is_single(inputs, output) else None
    folder = output.parent if single else output
    photos, others = _plan(inputs, folder)
    if not photos:
        raise click.UsageError("There are no images.")
    run = _Run(folder, options, settings, single, fresh=fresh)
    total, failures, before, after = len(photos), list[Done](), 0, 0
    with ImageProgress() as progress:
        for number, done in enumerate(run.results(photos), start=1):
            if done.error:
                failures.append(done)
            before, after = before + done.before, after + done.after
            progress.show(number, total, len(failures))
    if run.skipped:
        click.echo(f"Already done, and skipped: {run.skipped:,}", err=True)
    if others:
        click.echo(f"Other files in the folders, ignored: {others:,}", err=True)
    show_totals(total, len(failures), before, after)
    _show_failures(failures)
    raise SystemExit(FAILED if tolerance.is_exceeded(len(failures), total) else DONE)


def _is_single(inputs: list[Path], output: Path) -> bool:
    """Return whether the output is the name of a file, and not a folder."""
    if len(inputs) != 1 or inputs[0].is_dir() or output.is_dir():
        return False
    return output.suffix.lower() in ENDINGS


def _plan(inputs: list[Path], folder: Path) -> tuple[list[Photo], int]:
    """Return the images with their places below the folder, and the number of other files."""
    found: list[tuple[Path, Path]] = []
    others = 0
    for path in inputs:
        if path.is_file():
            found.append((path, Path(path.stem)))
            continue
        if folder.exists() and folder.samefile(path):
            raise click.UsageError("The output folder must not be the folder of the originals.")
        for file in _files(path, folder):
            if file.suffix.lower() in ENDINGS:
                found.append((file, file.relative_to(path).with_suffix("")))
            else:
                others += 1
    if len(set(found)) < len(found) or len({source for source, _ in found}) < len(found):
        raise click.UsageError("An image was given twice.")
    places = Counter(str(place).casefold() for _, place in found)
    endings = Counter((str(place).casefold(), source.suffix.casefold()) for source, place in found)
    if twice := [key for key, number in endings.items() if number > 1]:
        raise click.UsageError(
            f"Two images would become {twice[0][0]}{twice[0][1]}. Give their folders one by one,"
            " each with an output folder of its own."
        )
    return [
        Photo(source, place, places[str(place).casefold()] > 1) for source, place in found
    ], others


def _files(folder: Path, output: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, without hidden ones and the output's own."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not (output.exists() and output.samefile(Path(parent, name)))
        )
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


class _Run:
    """The images of one command: those that are done are skipped, the others compressed."""

    def __init__(
        self,
        folder: Path,
        options: CompressOptions,
        settings: Settings,
        single: Path | None,
        *,
        fresh: bool,
    ) -> None:
        self.skipped = 0
        self._folder, self._options, self._settings = folder, options, settings
        self._single = single
        self._record = folder / RECORD
        folder.mkdir(parents=True, exist_ok=True)
        self._known = {} if fresh else self._read_record()
        # Files that this run or an earlier one wrote, and may replace.
        self._ours = {entry["target"] for entry in self._read_record().values()}
        self._lock = Lock()
        self._codec = CodecProcess(settings.compress_timeout)

    def results(self, photos: list[Photo]) -> Iterator[Done]:
        """Yield the result of each image, in the order in which they end.

        Each core has one image in memory.
        """
        number = self._settings.worker_processes or cores()
        waiting: set[Future[Done]] = set()
        with ThreadPoolExecutor(number) as pool:
            try:
                for photo in photos:
                    if known := self._done_before(photo):
                        self.skipped += 1
                        yield known
                        continue
                    waiting.add(pool.submit(self._compress, photo))
                    if len(waiting) > 2 * number:
                        yield from _ended(waiting)
                while waiting:
                    yield from _ended(waiting)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _written_options(self) -> str:
        return repr(self._options)

    def _read_record(self) -> dict[str, dict[str, Any]]:
        """Return the last entry of each source."""
        if not self._record.exists():
            return {}
        entries = {}
        for line in self._record.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):  # A power cut may have truncated the last one.
                entry = json.loads(line)
                entries[entry["source"]] = entry
        return entries

    def _done_before(self, photo: Photo) -> Done | None:
        """Return an earlier run's result for an image, if neither has changed since."""
        entry = self._known.get(str(photo.source.absolute()))
        if entry is None or entry["options"] != self._written_options():
            return None
        status = photo.source.stat()
        target = Path(entry["target"])
        path = self._folder / target
        if (entry["size"], entry["modified"]) != (status.st_size, status.st_mtime_ns):
            return None
        if not path.exists() or path.stat().st_size != entry["output_bytes"]:
            return None
        return Done(photo, entry["size"], entry["output_bytes"], target)

    def _compress(self, photo: Photo) -> Done:
        try:
            size = photo.source.stat().st_size
            if size > self._settings.max_image_bytes:
                return Done(photo, error="too_large", found=f"The file has {size:,} bytes")
            data = photo.source.read_bytes()
            made = self._codec.compress(data, self._options)
            target = Path(self._single.name) if self._single else photo.target(made.format)
            return self._write(photo, target, len(data), made.data)
        except ImageError as error:
            return Done(photo, error=error.code, found=error.found)
        except OSError as error:
            return Done(photo, error="file", found=error.strerror or str(error))

    def _write(self, photo: Photo, target: Path, before: int, data: bytes) -> Done:
        """Write an output atomically; files of other programs stay."""
        path = self._folder / target
        if path.exists() and str(target) not in self._ours:
            return Done(
                photo, error="file", found=f"{path} exists, and was not written by an earlier run"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{uuid4().hex[:12]}.part")
        try:
            part.write_bytes(data)
            shutil.copystat(photo.source, part)
            # First, so that a file that exists after a power cut is known to be ours.
            self._note(photo, target, len(data))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return Done(photo, before, len(data), target)

    def _note(self, photo: Photo, target: Path, size: int) -> None:
        """Add an image to the record, in one write, because threads share it."""
        status = photo.source.stat()
        entry = {
            "source": str(photo.source.absolute()),
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "options": self._written_options(),
            "target": str(target),
            "output_bytes": size,
        }
        with self._lock, self._record.open("a", encoding="utf-8") as record:
            record.write(json.dumps(entry) + "\n")


def _ended(waiting: set[Future[Done]]) -> Iterator[Done]:
    """Wait for at least one image, and yield those that have ended."""
    ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
    waiting -= ended
    yield from (future.result() for future in ended)


def _show_failures(failures: list[Done]) -> None:
    """Show the failures by reason, each with some of its files and advice."""
    groups: dict[str, list[Done]] = {}
    for done in failures:
        groups.setdefault(done.error, []).append(done)
    for code, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        click.echo(f"  {len(group):,} × {code}", err=True)
        if code in IMAGE_ERRORS:
            click.echo(f"      {in_local_words(IMAGE_ERRORS[code].advice)}", err=True)
        for done in group[:SHOWN_PATHS]:
            found = f": {done.found}" if done.found else ""
            click.echo(f"      {done.photo.source}{found}", err=True)
        if len(group) > SHOWN_PATHS:
            click.echo(f"      … and {len(group) - SHOWN_PATHS:,} more", err=True)
