"""Compare the search for a quality with every quality that it could have taken.

    python -m benchmarks.search [FOLDER] [--formats jpeg,engine,webp,avif] [--side PIXELS]
                                [--percentage P] [--each]

Each photo is reduced to --side pixels at most and saved in the format, at a high quality; `engine` is
a JPEG by the JPEG engine, all others are encoded from pixels. Where compress() met the target, every
higher quality is encoded as well, with the same settings: the best one that fits is what the search
should have found. Of the engine, whose steps are finer than qualities, it is the best result of a
fixed quality that fits. SSIMULACRA2 (PyPI's `ssimulacra2`) is measured where the two differ.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image

from imgcompress.imaging import Compressed, CompressOptions, compress
from imgcompress.imaging.encoders import avif, jpeg, webp
from imgcompress.imaging.search import Attempt

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
SAVED_AS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 90, "subsampling": "4:2:0"},
    "engine": {"format": "JPEG", "quality": 90, "subsampling": "4:2:0"},
    "webp": {"format": "WEBP", "quality": 90},
    "avif": {"format": "AVIF", "quality": 80, "speed": 8},
}
ENCODERS = {"jpeg": jpeg, "webp": webp, "avif": avif}


@dataclass(frozen=True)
class Found:
    """What the search found in a photo, and the best that there is."""

    quality: int
    best: int
    share: float
    encodes: int
    shortfall: float
    seconds: float


class Recorder:
    """A search that remembers its encoder, and how often it was called."""

    def __init__(self, search: Callable[..., Attempt]) -> None:
        self._search = search
        self.encode: Callable[[int], bytes] | None = None
        self.encodes = 0

    def __call__(self, encode: Callable[[int], bytes], *arguments: Any) -> Attempt:
        """Search as always."""
        self.encode, self.encodes = encode, 0

        def counted(quality: int) -> bytes:
            self.encodes += 1
            return encode(quality)

        return self._search(counted, *arguments)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    parser.add_argument("--formats", default=",".join(SAVED_AS))
    parser.add_argument("--side", type=int, default=700)
    parser.add_argument("--percentage", type=int, default=50)
    parser.add_argument("--each", action="store_true", help="print a line for each photo, too")
    arguments = parser.parse_args()
    recorders = {name: Recorder(module.highest_quality) for name, module in ENCODERS.items()}
    for name, module in ENCODERS.items():
        module.highest_quality = recorders[name]  # type: ignore[attr-defined]
    print(
        "| format | photos that met the target | the best quality | missed by 1 | by 2 or more"
        " | most missed | SSIMULACRA2 missed, mean | most | bytes of the budget | encodes"
        " | most | CPU ms |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for format in arguments.formats.split(","):
        runs = []
        for path in sorted(arguments.folder.iterdir()):
            data = source(path, format, arguments.side)
            options = CompressOptions(
                compression_percentage=arguments.percentage, jpeg_engine=format == "engine"
            )
            run = data and compared(data, options, recorders.get(format))
            if run:
                runs.append(run)
                if arguments.each:
                    print(f"  {format} {path.name}: {run}", flush=True)
        if runs:
            print_row(format, runs)


def source(path: Path, format: str, side: int) -> bytes | None:
    """Return a photo of the folder, reduced and saved; None for other files."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        return None
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    photo.info = {}
    photo.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    photo.save(file, **SAVED_AS[format])
    return file.getvalue()


def compared(data: bytes, options: CompressOptions, recorder: Recorder | None) -> Found | None:
    """Compress, and find the best quality that fits; None where the target was not met."""
    began = time.process_time()
    made = compress(data, options)
    seconds = time.process_time() - began
    if made.outcome != "target_met" or made.quality is None:
        return None
    budget = options.budget(len(data))
    if recorder is None:
        best, output = best_of_engine(data, budget, made)
        encodes = 1
    else:
        encodes = recorder.encodes
        assert recorder.encode is not None
        best, output = made.quality, made.data
        for quality in range(made.quality + 1, 96):
            tried = recorder.encode(quality)
            if len(tried) <= budget:
                best, output = quality, tried
    shortfall = 0.0 if best == made.quality else looks(data, output) - looks(data, made.data)
    return Found(made.quality, best, len(made.data) / budget, encodes, shortfall, seconds)


def best_of_engine(data: bytes, budget: int, made: Compressed) -> tuple[int, bytes]:
    """Return the highest fixed quality whose result fits, and that result."""
    assert made.quality is not None
    best = made.quality, made.data
    for quality in range(made.quality + 1, 96):
        tried = compress(data, CompressOptions(quality=quality)).data
        if len(tried) <= budget:
            best = quality, tried
    return best


def looks(source: bytes, output: bytes) -> float:
    """Return SSIMULACRA2."""
    measure = import_module("ssimulacra2").compute_ssimulacra2
    return float(measure(*(io.BytesIO(decoded(data)) for data in (source, output))))


def decoded(data: bytes) -> bytes:
    """Return an image as a PNG."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(file, "PNG", compress_level=1)
    return file.getvalue()


def print_row(format: str, runs: list[Found]) -> None:
    """Print the line of a format."""
    missed = [run.best - run.quality for run in runs]
    print(
        f"| {format} | {len(runs)} | {missed.count(0)} | {missed.count(1)}"
        f" | {sum(number >= 2 for number in missed)} | {max(missed)}"
        f" | {mean(run.shortfall for run in runs):.2f} | {max(run.shortfall for run in runs):.1f}"
        f" | {mean(run.share for run in runs):.3f} | {mean(run.encodes for run in runs):.1f}"
        f" | {max(run.encodes for run in runs)}"
        f" | {1000 * mean(run.seconds for run in runs):.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
