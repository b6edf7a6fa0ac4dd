"""Write what the fuzzer of the JPEG engine begins with: python -m tests.fuzz.seeds FOLDER."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.unit.imaging.jpeg_engine.sources import CODINGS, SAMPLINGS, source


def seeds() -> Iterator[bytes]:
    """Yield small images of every sampling and coding."""
    for size in ((7, 9), (17, 33), (40, 24)):
        for sampling in SAMPLINGS:
            for coding in CODINGS:
                yield source(size, sampling, coding, 75)


def write(folder: Path) -> None:
    """Write them, each under a name that its content gives."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
