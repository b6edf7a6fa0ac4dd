"""Measure compression on a folder of photos, beside plain Pillow and pyvips in the same run.

    python -m benchmarks.compression [FOLDER] [--repeat N]

Without a folder the sample photos are used. Each photo is saved again in two sizes and at several
qualities, because how hard it is to halve a file depends on how it was saved. Times are CPU time
of this process, the best of N runs; the score is that of imgcompress/imaging/score.py.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.encoders import avif, gif, jpeg, png, webp
from imgcompress.imaging.encoders.common import saved
from imgcompress.imaging.score import score
from imgcompress.imaging.turbo import encoded

try:
    pyvips = import_module("pyvips")
except (ImportError, OSError):
    pyvips = None  # type: ignore[assignment]

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
SCALES = (1.0, 0.5)
SAVED_AS: dict[str, list[dict[str, Any]]] = {
    "jpeg": [{"quality": quality, "subsampling": "4:2:0"} for quality in (75, 80, 85, 90, 95)]
    + [
        {"quality": 85, "subsampling": "4:2:0", "optimize": True, "progressive": True},
        {"quality": 90, "subsampling": "4:4:4"},
        {"quality": 95, "subsampling": "4:4:4"},
    ],
    "png": [{}],
    "webp": [{"quality": 80}, {"quality": 90}],
    "avif": [{"quality": 65, "speed": 8}, {"quality": 80, "speed": 8}],
}


@dataclass(frozen=True)
class Original:
    """One file to compress: its bytes, its format, its pixels."""

    format: str
    data: bytes
    image: Image.Image

    @property
    def megapixels(self) -> float:
        return self.image.width * self.image.height / 1e6


@dataclass(frozen=True)
class Run:
    """What one contestant made of one original."""

    original: Original
    data: bytes
    seconds: float
    outcome: str
    encodes: int
    quality: int | None

    @property
    def met(self) -> bool:
        return len(self.data) <= len(self.original.data) // 2

    @property
    def score(self) -> float:
        return score(self.original.image, self.data)


def originals(folder: Path) -> Iterator[Original]:
    """Yield every photo of the folder in each size, format and quality."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp", ".avif"):
            continue
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        photo.info = {}
        for scale in SCALES:
            size = (round(photo.width * scale), round(photo.height * scale))
            yield from _resaved(photo.resize(size, Image.Resampling.LANCZOS))


def _resaved(photo: Image.Image) -> Iterator[Original]:
    for format, ways in SAVED_AS.items():
        for settings in ways:
            data = saved(photo, format.upper(), **settings)
            with Image.open(io.BytesIO(data)) as image:
                yield Original(format, data, image.convert("RGB"))


def timed(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """Return the least CPU seconds of `repeat` runs, and what the work gave."""
    best, result = float("inf"), None
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def run_ours(original: Original, repeat: int) -> Run:
    encodes = 0

    def counting(encode: Callable[..., bytes]) -> Callable[..., bytes]:
        def counted(*arguments: Any, **settings: Any) -> bytes:
            nonlocal encodes
            encodes += 1
            return encode(*arguments, **settings)

        return counted

    for module in (avif, gif, jpeg, png, webp):
        setattr(module, "saved", counting(saved))
    setattr(jpeg, "encoded", counting(encoded))
    seconds, result = timed(lambda: compress(original.data, CompressOptions()), repeat)
    return Run(original, result.data, seconds, result.outcome, encodes // repeat, result.quality)


def run_pillow(original: Original, repeat: int, quality: int = 50) -> Run:
    def work() -> bytes:
        with Image.open(io.BytesIO(original.data)) as image:
            if original.format == "png":
                return saved(image.convert("RGB").quantize(256), "PNG")
            return saved(image, original.format.upper(), quality=quality)

    seconds, data = timed(work, repeat)
    return Run(original, data, seconds, "", 1, quality)


def run_pyvips(original: Original, repeat: int) -> Run:
    settings = {"palette": True, "Q": 50} if original.format == "png" else {"Q": 50}

    def work() -> bytes:
        image = pyvips.Image.new_from_buffer(original.data, "")
        data: bytes = image.write_to_buffer("." + original.format, **settings)
        return data

    seconds, data = timed(work, repeat)
    return Run(original, data, seconds, "", 1, 50)


def search_cost(own: Run, repeat: int) -> tuple[float, float]:
    """Return the seconds of compress(), and of Pillow's decode and encode at its quality."""
    plain = run_pillow(own.original, repeat, own.quality or CompressOptions.min_quality)
    return own.seconds, plain.seconds


def print_table(name: str, runs: list[Run]) -> None:
    for format in SAVED_AS:
        own = [run for run in runs if run.original.format == format]
        rate = 1000 * sum(run.seconds for run in own) / sum(run.original.megapixels for run in own)
        kept = mean(run.met or run.outcome == "floor_reached" for run in own)
        print(
            f"| {format} | {name} | {len(own)} | {rate:.1f} | {mean(r.encodes for r in own):.2f} "
            f"| {mean(run.met for run in own):.0%} | {kept:.0%} "
            f"| {sum(len(run.data) for run in own) / sum(len(r.original.data) for r in own):.3f} "
            f"| {mean(run.score for run in own):.4f} |"
        )


def print_targets(ours: list[Run], pillow: list[Run], repeat: int) -> None:
    """Print the targets for JPEGs: promises kept, cost of the search, similarity if both met."""
    jpegs = [(own, plain) for own, plain in zip(ours, pillow) if own.original.format == "jpeg"]
    kept = mean(own.met or own.outcome == "floor_reached" for own, _ in jpegs)
    costs = [search_cost(own, repeat) for own, _ in jpegs]
    both = [(own.score, plain.score) for own, plain in jpegs if own.met and plain.met]
    better = sum(own > plain for own, plain in both)
    print(f"\nJPEGs that met 50 % or stopped at the floor: {kept:.1%} of {len(jpegs)}")
    print(
        "compress(), with its score, over one decode and one encode by Pillow at its quality: "
        f"{sum(ours for ours, _ in costs) / sum(plain for _, plain in costs):.2f}, "
        f"of single files at most {max(ours / plain for ours, plain in costs):.2f}"
    )
    print(
        f"SSIM where both met 50 %: above quality=50 in {better} of {len(both)}, mean "
        f"{mean(own for own, _ in both):.4f} against {mean(plain for _, plain in both):.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    contestants: dict[str, Callable[[Original, int], Run]] = {
        "imgcompress": run_ours,
        "Pillow quality=50": run_pillow,
    }
    if pyvips is not None:
        contestants["pyvips Q=50"] = run_pyvips
    results: dict[str, list[Run]] = {name: [] for name in contestants}
    for original in originals(arguments.folder):
        for name, run in contestants.items():
            results[name].append(run(original, arguments.repeat))
    print("| format | by | files | ms/MP | encodes | met 50 % | or floor | out / in | SSIM |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, runs in results.items():
        print_table(name, runs)
    print_targets(results["imgcompress"], results["Pillow quality=50"], arguments.repeat)


if __name__ == "__main__":
    main()
