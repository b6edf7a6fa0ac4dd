"""Compress every file of public test images: each ends in a state, and none becomes larger.

    python -m benchmarks.corpora FOLDER...

Such as the sources of Pillow (Tests/images), libpng (contrib/pngsuite, contrib/testpngs) and libwebp.
Each file is compressed in a process that an image may end, with the default options. The table has a row
for each folder and format; below it are the files that need a look: those that crashed, took too
long, met an internal error, or became larger without having to change their format.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

from imgcompress.config import load_settings
from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions
from imgcompress.imaging.codec_process import CodecProcess
from imgcompress.imaging.probe import identify

STATES = ("target_met", "floor_reached", "already_small", "larger")
DEFECTS = ("worker_crashed", "compress_timeout", "internal_error", "out_of_memory")
# These have to become another format, which may be larger.
CONVERTED = ("tiff", "bmp", "heif")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="Public test images")
    parser.add_argument("folders", nargs="+", type=Path)
    folders = parser.parse_args().folders
    codec = CodecProcess(load_settings(None).compress_timeout)
    ends: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    defects: list[str] = []
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            format, end = ended(path.read_bytes(), codec)
            ends["/".join(folder.parts[-2:]), format][end] += 1
            if end in DEFECTS or end == "larger" and format not in CONVERTED:
                defects.append(f"{path.relative_to(folder)}: {end}")
    codec.close()
    print(f"| folder | format | files | {' | '.join(STATES)} | errors |")
    print("|---|---|--:|" + "--:|" * len(STATES) + "---|")
    for (name, format), counted in sorted(ends.items()):
        numbers = " | ".join(str(counted[state]) for state in STATES)
        errors = ", ".join(
            f"{count} `{code}`" for code, count in counted.most_common() if code not in STATES
        )
        print(f"| {name} | {format} | {counted.total()} | {numbers} | {errors} |")
    print(*([""] + defects if defects else ["\nNo file needs a look."]), sep="\n")


def ended(data: bytes, codec: CodecProcess) -> tuple[str, str]:
    """Return the format of a file, and the outcome or the code of the error that it ends in."""
    try:
        format = identify(data)
    except ImageError as error:
        return "other", error.code
    try:
        return format, codec.compress(data, CompressOptions()).outcome
    except ImageError as error:
        return format, error.code


if __name__ == "__main__":
    main()
