"""Build the fuzzer's target with the engine in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[4]
CORE = ROOT / "imgcompress" / "imaging" / "jpeg_engine" / "core"
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WITH_LIBJPEG = ("-DWITH_LIBJPEG", "-ljpeg")


def has_sanitizers(folder: Path) -> bool:
    """Return whether the compiler builds any program with sanitizers."""
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    command = ["cc", *SANITIZED, "-o", str(folder / "empty"), str(source)]
    return subprocess.run(command, capture_output=True).returncode == 0


def compiled(target: Path, *options: str) -> str:
    """Build it as a program; return the compiler's errors, empty if there are none."""
    sources = [str(ROOT / "tests" / "fuzz" / "engine.c"), *map(str, sorted(CORE.glob("*.c")))]
    command = ["cc", "-std=c11", "-DSTANDALONE", "-o", str(target), *sources, *options, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr if done.returncode else ""
