"""Measure the JPEG engine beside the way by pixels, on a folder of photos.

    python -m benchmarks.jpeg_engine [FOLDER] [--rounds N] [--quick]

Each photo is saved again as catalogues and cameras do, at 75 to 95 with 4:2:0 and 4:4:4, in one of
these ways in turn, and compressed both ways; at a fixed quality by the engine with effort=low too.
CPU time is that of this process, which keeps freed memory as the service's workers do, medians of N
rounds in turn. Look is compared with the source: PSNR and SSIM (Gaussian window, luma), MS-SSIM
(Wang, Simoncelli and Bovik, 2003), and SSIMULACRA2 where PyPI's `ssimulacra2` is installed. --quick
leaves the look out.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgcompress.imaging import Compressed, CompressOptions, compress, missing_engine
from imgcompress.worker.process import tune_malloc

try:
    ssimulacra2 = import_module("ssimulacra2")
except ImportError:
    ssimulacra2 = None  # type: ignore[assignment]

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
KINDS = {"catalogue": (700, 700), "camera": (1680, 1250)}
SAVED_AS: list[dict[str, Any]] = [
    {"quality": 85, "subsampling": "4:2:0"},
    {"quality": 90, "subsampling": "4:4:4"},
    {"quality": 75, "subsampling": "4:2:0"},
    {"quality": 95, "subsampling": "4:2:0"},
    {"quality": 95, "subsampling": "4:4:4"},
    {"quality": 90, "subsampling": "4:2:0", "progressive": True},
]
ASKED = {
    "50 %": CompressOptions(),
    "quality 50": CompressOptions(quality=50),
    "quality 75": CompressOptions(quality=75),
}
PIXELS, ENGINE, LOW = "pixels", "engine", "engine, low effort"
# MS-SSIM's weights of the scales, and the constants of SSIM.
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
Plane = NDArray[np.float64]


@dataclass
class Source:
    """One file to be compressed."""

    kind: str
    name: str
    saved: dict[str, Any]
    data: bytes


@dataclass
class Outcome:
    """What one way made of one source, and in how many seconds each time."""

    result: Compressed
    look: tuple[float, ...] = ()
    seconds: list[float] = field(default_factory=list)


def sources(folder: Path) -> Iterator[Source]:
    """Yield each photo once as catalogue photo and, where it is large enough, as camera photo."""
    number = 0
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
            continue
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        photo.info = {}
        for kind, size in KINDS.items():
            if kind == "camera" and photo.width * photo.height < 800_000:
                continue
            saved = SAVED_AS[number % len(SAVED_AS)]
            number += 1
            file = io.BytesIO()
            fitted(photo, size).save(file, "JPEG", **saved)
            yield Source(kind, path.name, saved, file.getvalue())


def fitted(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the photo within a box of this size, never enlarged."""
    small = photo.copy()
    small.thumbnail(size, Image.Resampling.LANCZOS)
    return small


def luma(data: bytes) -> Plane:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"), dtype=np.float64)


def blurred(plane: Plane) -> Plane:
    """Return the plane under a Gaussian of 11 x 11 with sigma 1.5, where it is whole."""
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(plane, 11, axis=axis)
        plane = windows @ kernel
    return plane


def ssim_parts(one: Plane, other: Plane) -> tuple[float, float]:
    """Return the mean SSIM, and that of its factors for contrast and structure alone."""
    x, y = blurred(one), blurred(other)
    xx, yy = blurred(one * one) - x * x, blurred(other * other) - y * y
    structure = (2 * (blurred(one * other) - x * y) + C2) / (xx + yy + C2)
    light = (2 * x * y + C1) / (x * x + y * y + C1)
    return float((light * structure).mean()), float(structure.mean())


def halved(plane: Plane) -> Plane:
    rows, columns = (side // 2 * 2 for side in plane.shape)
    even: Plane = plane[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return even


def look(source: bytes, output: bytes) -> tuple[float, ...]:
    """Return PSNR, SSIM, MS-SSIM and SSIMULACRA2 of an output."""
    one, other = luma(source), luma(output)
    error = max(float(((one - other) ** 2).mean()), 1e-9)
    first, product = 0.0, 1.0
    for scale, weight in enumerate(SCALES):
        whole, structure = ssim_parts(one, other)
        first = whole if scale == 0 else first
        product *= max(whole if scale == len(SCALES) - 1 else structure, 1e-6) ** weight
        one, other = halved(one), halved(other)
    score = (
        ssimulacra2.compute_ssimulacra2(io.BytesIO(source), io.BytesIO(output))
        if ssimulacra2
        else float("nan")
    )
    return float(10 * np.log10(255**2 / error)), first, product, float(score)


def measured(
    source: Source, options: CompressOptions, rounds: int, with_look: bool
) -> dict[str, Outcome]:
    """Compress a source each way, in turn."""
    outcomes: dict[str, Outcome] = {}
    ways = {PIXELS: replace(options, jpeg_engine=False), ENGINE: options}
    if options.quality:
        ways[LOW] = replace(options, effort="low")
    for _ in range(rounds):
        for way, its_options in ways.items():
            began = time.process_time()
            result = compress(source.data, its_options)
            seconds = time.process_time() - began
            outcomes.setdefault(way, Outcome(result)).seconds.append(seconds)
    for outcome in outcomes.values():
        if with_look:
            outcome.look = look(source.data, outcome.result.data)
    return outcomes


def print_row(name: str, found: list[tuple[Source, dict[str, Outcome]]]) -> None:
    for way in found[0][1]:
        own = [outcomes[way] for _, outcomes in found]
        milliseconds = 1000 * mean(median(outcome.seconds) for outcome in own)
        share = mean(
            len(outcome.result.data) / len(source.data) for (source, _), outcome in zip(found, own)
        )
        means = [mean(values) for values in zip(*(outcome.look for outcome in own))]
        looks = " | ".join(f"{value:.{places}f}" for value, places in zip(means, (2, 4, 4, 1)))
        print(f"| {name} | {way} | {len(own)} | {milliseconds:.2f} | {share:.3f} | {looks} |")


def print_verdict(name: str, way: str, found: list[tuple[Source, dict[str, Outcome]]]) -> None:
    """Print how the engine compares, image by image."""
    cpu = mean(median(o[way].seconds) for _, o in found) / mean(
        median(o[PIXELS].seconds) for _, o in found
    )
    size = sum(len(o[way].result.data) for _, o in found) / sum(
        len(o[PIXELS].result.data) for _, o in found
    )
    line = f"{name}, {way}: CPU x {cpu:.2f}, bytes x {size:.2f}"
    if found[0][1][way].look:
        gains = [tuple(e - p for e, p in zip(o[way].look, o[PIXELS].look)) for _, o in found]
        line += (
            f", SSIMULACRA2 {mean(gain[3] for gain in gains):+.1f} (worse on "
            f"{sum(gain[3] < 0 for gain in gains)} of {len(gains)}), MS-SSIM "
            f"{mean(gain[2] for gain in gains):+.4f} (worse on "
            f"{sum(gain[2] < 0 for gain in gains)})"
        )
    print(line)


def print_budget(found: list[tuple[Source, dict[str, Outcome]]]) -> None:
    """Print how near to the budget the results come that met it."""
    spent = sorted(
        len(o[ENGINE].result.data) / (len(source.data) // 2)
        for source, o in found
        if o[ENGINE].result.outcome == "target_met"
    )
    within = sum(0.985 <= share <= 1 for share in spent)
    print(
        f"budget: {len(spent)} of {len(found)} met it, {within} of these with 0.985 to 1.0 of "
        f"it; least {spent[0]:.3f}, most {spent[-1]:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if missing := missing_engine():
        parser.error(missing)
    tune_malloc()
    files = list(sources(arguments.folder))
    print(
        "| asked, photos | by | files | CPU ms | out / in | PSNR-Y | SSIM | MS-SSIM "
        "| SSIMULACRA2 |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    verdicts = []
    for asked, options in ASKED.items():
        for kind in KINDS:
            found = [
                (source, measured(source, options, arguments.rounds, not arguments.quick))
                for source in files
                if source.kind == kind
            ]
            if found:
                print_row(f"{asked}, {kind}", found)
                verdicts.append((f"{asked}, {kind}", asked, found))
    for name, asked, found in verdicts:
        for way in list(found[0][1])[1:]:
            print_verdict(name, way, found)
        if asked == "50 %":
            print_budget(found)


if __name__ == "__main__":
    main()
