"""Build the fuzzer's target with the engine in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[5]
CORE = ROOT / "imgcompress" / "pipeline" / "compress" / "jpeg_engine" / "core"
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WITH_LIBJPEG = ("-DWITH_LIBJPEG", "-ljpeg")


def compiled(target: Path, *options: str) -> bool:
    """Build it as a programme; return whether the compiler could."""
    sources = [str(ROOT / "tests" / "fuzz" / "engine.c"), *map(str, sorted(CORE.glob("*.c")))]
    command = ["cc", "-std=c11", "-DSTANDALONE", "-o", str(target), *sources, *options, "-lm"]
    return subprocess.run(command, capture_output=True).returncode == 0
