"""Compare the score with SSIMULACRA2 on outputs of several formats and qualities.

    python -m benchmarks.score [FOLDER] [--side PIXELS]

Needs PyPI's `ssimulacra2`, which takes about 5 seconds per megapixel. Without a folder the samples are
used. Each image is reduced to --side pixels at most and saved 14 times; where it has alpha,
SSIMULACRA2 compares it on white. Times are CPU time of this process, the best of five, and include
decoding the output.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.encoders.common import saved
from imgcompress.imaging.score import score

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
LOSSY: dict[str, tuple[dict[str, Any], ...]] = {
    "JPEG": tuple({"quality": quality} for quality in (20, 50, 75, 92)),
    "WEBP": tuple({"quality": quality, "method": 3} for quality in (20, 60, 92)),
    "AVIF": tuple({"quality": quality, "speed": 8} for quality in (30, 50, 75)),
}
COLOURS = (24, 96, 256)


def outputs(image: Image.Image) -> Iterator[tuple[str, Image.Image, bytes, float | None]]:
    """Yield a kind, the pixels that were encoded, the output, and the engine's score if any."""
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    opaque = flat.convert("RGB")
    for format, ways in LOSSY.items():
        shown = opaque if format == "JPEG" else image
        for settings in ways:
            yield format, shown, saved(shown, format, **settings), None
    for colours in COLOURS:
        indexed = opaque.quantize(colours, Image.Quantize.MEDIANCUT)
        yield "PNG, palette", opaque, saved(indexed, "PNG"), None
    source = saved(opaque, "JPEG", quality=90)
    made = compress(source, CompressOptions())
    if made.jpeg_engine == "used" and made.quality:
        yield "JPEG engine", Image.open(io.BytesIO(source)).convert("RGB"), made.data, made.score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    parser.add_argument("--side", type=int, default=640)
    arguments = parser.parse_args()
    reference = import_module("ssimulacra2").compute_ssimulacra2
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    spent: list[float] = []
    for path in sorted(arguments.folder.iterdir()):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp", ".avif"):
            continue
        with Image.open(path) as opened:
            image = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
        image.info = {}
        image.thumbnail((arguments.side, arguments.side), Image.Resampling.LANCZOS)
        for kind, shown, data, known in outputs(image):
            times = []
            for _ in range(5):
                start = time.process_time()
                ours = score(shown, data)
                times.append(time.process_time() - start)
            spent.append(1e9 * min(times) / (image.width * image.height))
            truth = reference(_on_white(shown), _on_white(Image.open(io.BytesIO(data))))
            found[kind].append((ours if known is None else known, max(0.0, truth)))
    print("| outputs | number | correlation | mean error | 95 % within |\n|---|--:|--:|--:|--:|")
    for kind, pairs in [
        *found.items(),
        ("all", [pair for some in found.values() for pair in some]),
    ]:
        ours, truths = np.array(pairs).T
        error = np.abs(ours - truths)
        print(
            f"| {kind} | {len(pairs)} | {np.corrcoef(ours, truths)[0, 1]:.3f}"
            f" | {error.mean():.1f} | {np.percentile(error, 95):.1f} |"
        )
    print(f"\nCPU time: {np.median(spent):.0f} ms per megapixel (median)")


def _on_white(image: Image.Image) -> io.BytesIO:
    rgba = image.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return io.BytesIO(saved(flat.convert("RGB"), "PNG", compress_level=1))


if __name__ == "__main__":
    main()
