"""Measure how compressed images look at a target of bytes, beside other encoders in the same run.

    python -m benchmarks.quality [FOLDER] [--formats png,gif,…] [--only NAME,…] [--percentage P]
                                 [--effort low,medium,high] [--to FORMAT] [--each] [--keep FOLDER]

Without a folder the samples are used. A file counts for its own format; where the folder has none
of a format, its JPEGs and PNGs are saved in it at a high quality first. Looks are SSIMULACRA2
(PyPI's `ssimulacra2`: 90 looks lossless, 70 is high and 50 medium quality) against the decoded
source; with alpha the lower one of two grounds, a dark and a light one. Times are CPU seconds of
this process and of the programs that it starts. pyvips, oxipng and cwebp take part where they are
installed.
"""

from __future__ import annotations

import argparse
import io
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image, UnidentifiedImageError

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
FORMATS = ("png", "gif", "jpeg", "webp", "avif")
# How photos are saved in a format that the folder has no files of.
SAVED_AS: dict[str, dict[str, Any]] = {
    "webp": {"quality": 90},
    "avif": {"quality": 80, "speed": 8},
    "gif": {},
}
GROUNDS = (26, 230)
# SSIMULACRA2 takes this long for more pixels that they are left out.
MOST_PIXELS = 6_000_000


@dataclass(frozen=True)
class Original:
    """One file to compress."""

    name: str
    format: str
    data: bytes
    pixels: int


@dataclass(frozen=True)
class Run:
    """What one contestant made of one original."""

    original: Original
    data: bytes
    seconds: float
    outcome: str
    budget: int
    score: float

    @property
    def met(self) -> bool:
        return len(self.data) <= self.budget


Contestant = Callable[[Original], tuple[bytes, str]]


def installed(name: str) -> Any:
    """Return a module that is not required, or None."""
    try:
        return import_module(name)
    except (ImportError, OSError):
        return None


def originals(folder: Path, formats: list[str]) -> Iterator[Original]:
    """Yield the files of the folder, and photos saved in formats that it has no files of."""
    found: dict[str, list[Original]] = {format: [] for format in FORMATS}
    for path in sorted(folder.iterdir()):
        try:
            with Image.open(path) as image:
                format = (image.format or "").lower()
                if format in found and image.width * image.height <= MOST_PIXELS:
                    pixels = image.width * image.height
                    found[format].append(Original(path.name, format, path.read_bytes(), pixels))
        except (UnidentifiedImageError, IsADirectoryError):
            continue
    for format in formats:
        yield from found[format]
        if not found[format] and format in SAVED_AS:
            for photo in found["jpeg"] + found["png"]:
                with Image.open(io.BytesIO(photo.data)) as image:
                    image.load()
                    plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
                data = encoded(plain, format, **SAVED_AS[format])
                yield Original(photo.name, format, data, photo.pixels)


def encoded(image: Image.Image, format: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def ours(options: CompressOptions) -> Contestant:
    def run(original: Original) -> tuple[bytes, str]:
        made = compress(original.data, options)
        return made.data, made.outcome

    return run


def by_pillow(original: Original) -> tuple[bytes, str]:
    """Save at quality 50 or with 256 colours, as a program does that does not search."""
    with Image.open(io.BytesIO(original.data)) as image:
        image.load()
        if original.format not in ("png", "gif"):
            return encoded(image, original.format, quality=50), ""
        alpha = image.has_transparency_data
        plain = image.convert("RGBA" if alpha else "RGB")
        method = Image.Quantize.FASTOCTREE if alpha else Image.Quantize.MEDIANCUT
        return encoded(plain.quantize(256, method), original.format, optimize=True), ""


def by_pyvips(original: Original) -> tuple[bytes, str]:
    pyvips = import_module("pyvips")
    settings: dict[str, dict[str, Any]] = {
        "png": {"palette": True, "Q": 100, "dither": 1.0, "effort": 4},
        "gif": {"dither": 1.0, "effort": 4},
    }
    suffix = {"jpeg": ".jpg"}.get(original.format, f".{original.format}")
    image = pyvips.Image.new_from_buffer(original.data, "")
    return image.write_to_buffer(suffix, **settings.get(original.format, {"Q": 50})), ""


def by_oxipng(original: Original) -> tuple[bytes, str]:
    data: bytes = import_module("oxipng").optimize_from_memory(original.data, level=2)
    return data, "lossless"


def by_cwebp(original: Original) -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.webp"), Path(folder, "out.webp")
        source.write_bytes(original.data)
        subprocess.run(["cwebp", "-quiet", "-q", "50", source, "-o", target], check=True)
        return target.read_bytes(), ""


def others(format: str) -> dict[str, Contestant]:
    """Return the other programs that save this format, as far as they are installed."""
    found: dict[str, Contestant] = {
        "Pillow, 256 colours" if format in ("png", "gif") else "Pillow, quality 50": by_pillow
    }
    if installed("pyvips"):
        found["pyvips, 256 colours" if format in ("png", "gif") else "pyvips, Q 50"] = by_pyvips
    if format == "png" and installed("oxipng"):
        found["oxipng -o2, lossless"] = by_oxipng
    if format == "webp" and shutil.which("cwebp"):
        found["cwebp -q 50"] = by_cwebp
    return found


def cpu() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def looks(source: bytes, output: bytes) -> float:
    """Return the SSIMULACRA2 of the first frame, on the less favourable of two grounds."""
    metric = import_module("ssimulacra2")
    pair = [Image.open(io.BytesIO(data)).convert("RGBA") for data in (source, output)]
    solid = all(image.getchannel("A").getextrema() == (255, 255) for image in pair)
    scores = []
    for ground in GROUNDS[:1] if solid else GROUNDS:
        files = []
        for image in pair:
            under = Image.new("RGBA", image.size, (ground, ground, ground, 255))
            shown = Image.alpha_composite(under, image).convert("RGB")
            files.append(io.BytesIO(encoded(shown, "BMP")))
        scores.append(float(metric.compute_ssimulacra2(*files)))
    return min(scores)


def measured(original: Original, contestant: Contestant, percentage: int) -> Run:
    began = cpu()
    try:
        data, outcome = contestant(original)
    except ImageError as error:
        data, outcome = original.data, error.code
    seconds = cpu() - began
    budget = len(original.data) * (100 - percentage) // 100
    return Run(original, data, seconds, outcome, budget, looks(original.data, data))


def print_row(format: str, name: str, runs: list[Run]) -> None:
    rate = 1000 * sum(run.seconds for run in runs) / (sum(r.original.pixels for r in runs) / 1e6)
    scores = sorted(run.score for run in runs)
    lossy = [run.score for run in runs if run.score < 99.9]
    print(
        f"| {format} | {name} | {len(runs)} | {mean(scores):.1f} | {scores[len(scores) // 10]:.1f} "
        f"| {mean(lossy or [100]):.1f} | {sum(run.met for run in runs)} "
        f"| {mean(len(run.data) / len(run.original.data) for run in runs):.3f} | {rate:.0f} |",
        flush=True,
    )


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--percentage", type=int, default=50)
    parser.add_argument("--effort", default="medium", help="efforts of imgcompress, by commas")
    parser.add_argument("--to", default="keep", help="the format that imgcompress makes")
    parser.add_argument("--only", default="", help="contestants whose names begin so, by commas")
    parser.add_argument("--each", action="store_true", help="print a line for each file, too")
    parser.add_argument("--keep", type=Path, help="keep the outputs in this folder")
    arguments = parser.parse_args()
    if not installed("ssimulacra2"):
        parser.error("The benchmark needs: pip install ssimulacra2")
    formats = arguments.formats.split(",")
    files = list(originals(arguments.folder, formats))
    print(
        "| format | by | files | SSIMULACRA2 | worst tenth | of lossy ones | met "
        f"{arguments.percentage} % | out / in | CPU ms/MP |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for format in formats:
        own = {
            f"imgcompress, {effort}": ours(
                CompressOptions(
                    compression_percentage=arguments.percentage,
                    effort=effort,
                    format=arguments.to,
                )
            )
            for effort in arguments.effort.split(",")
        }
        for name, contestant in (own | others(format)).items():
            if not name.startswith(tuple(arguments.only.split(","))):
                continue
            runs = []
            for original in files:
                if original.format != format:
                    continue
                run = measured(original, contestant, arguments.percentage)
                runs.append(run)
                if arguments.each:
                    print(
                        f"  {original.name}: {run.score:.1f} {run.outcome}"
                        f" {len(run.data) / len(original.data):.3f}"
                        f" {1e9 * run.seconds / original.pixels:.0f} ms/MP",
                        flush=True,
                    )
                if arguments.keep:
                    kept = arguments.keep / f"{original.name}.{name.split(' ')[-1]}.{format}"
                    kept.write_bytes(run.data)
            if runs:
                print_row(format, name, runs)


if __name__ == "__main__":
    main()
