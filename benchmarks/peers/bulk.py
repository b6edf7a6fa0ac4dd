"""img2dataset, the fastest of the bulk downloaders, in a virtual environment of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from functools import cache
from pathlib import Path

from .measured import Measured

VERSION = "1.47.0"
PROCESSES, THREADS = 2, 32
# A process takes a shard at a time; with the default of 10,000 images one process would have all.
SHARDS = 8
SHORT = 100


class NotInstalled(Exception):
    """img2dataset cannot be had here; the message says why."""


@cache
def installed() -> Path:
    """Return the Python that has img2dataset, installed on first use. Raise NotInstalled."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "imgcompress-benchmarks" / f"img2dataset-{VERSION}"
    python = folder / "bin" / "python"
    if _has_it(python):
        return python
    print(f"Installing img2dataset {VERSION} into {folder} ...", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", f"img2dataset=={VERSION}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not _has_it(python):
        raise NotInstalled((done.stderr.strip().splitlines() or ["it does not import"])[-1])
    return python


def _has_it(python: Path) -> bool:
    if not python.exists():
        return False
    return (
        subprocess.run(
            [python, "-c", "import img2dataset"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode
        == 0
    )


def steady(urls: list[str], quality: int, place: Path) -> Measured:
    """Return what the images take by which a run over all URLs is longer than a short one."""
    return run(urls, quality, place).beyond(run(urls[: min(SHORT, len(urls) // 2)], quality, place))


def run(urls: list[str], quality: int, place: Path) -> Measured:
    """Fetch, recode and save in a new folder; the start-up, some seconds, is in it."""
    folder = Path(tempfile.mkdtemp(dir=place))
    listed = folder / "urls.txt"
    listed.write_text("\n".join(urls), encoding="utf-8")
    log = folder / "log"
    began, spent = time.monotonic(), _cpu_of_ended_children()
    with log.open("wb") as file:
        done = subprocess.run(
            _command(listed, len(urls), quality),
            cwd=folder,
            stdout=file,
            stderr=file,
            env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"},
        )
    taken, used = time.monotonic() - began, _cpu_of_ended_children() - spent
    made = sum(1 for _ in (folder / "out").rglob("*.jpg"))
    if done.returncode or made < len(urls):
        raise SystemExit(
            f"img2dataset made {made} of {len(urls)} images:\n"
            + log.read_text(errors="replace")[-2000:]
        )
    return Measured(len(urls), taken, used)


def _command(urls: Path, images: int, quality: int) -> list[str]:
    code = "import fire, img2dataset; fire.Fire(img2dataset.download)"
    return [
        str(installed()),
        "-c",
        code,
        f"--url_list={urls}",
        "--input_format=txt",
        "--output_folder=out",
        "--output_format=files",
        "--resize_mode=no",
        f"--encode_quality={quality}",
        f"--processes_count={PROCESSES}",
        f"--thread_count={THREADS}",
        f"--number_sample_per_shard={-(-images // SHARDS)}",
        "--enable_wandb=False",
        "--disallowed_header_directives=[]",
    ]


def _cpu_of_ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
