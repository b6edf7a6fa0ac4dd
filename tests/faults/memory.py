"""A worker that the kernel kills since its cgroup has no more memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from .installation import Installation, installation
from .verdict import Verdict, watched_job
from tests.support.service import wait_until

CGROUPS = Path("/sys/fs/cgroup")
# What a worker with two pool processes needs, and some images.
LIMIT = 768 << 20
# One of this many images takes all the memory there is.
APART = 60
FAILED = (
    "SELECT error_code, count(*) AS images FROM compressed_images"
    " WHERE request_id = :id AND status = 'FAILED' GROUP BY error_code"
)
CODES = {"worker_crashed", "out_of_memory"}


class MemoryGroup:
    """A cgroup with a limit, of version 2 or 1, whichever has the memory controller."""

    def __init__(self, limit: int) -> None:
        """Make it. Raise PermissionError where that is not allowed."""
        second = "memory" in _words(CGROUPS / "cgroup.controllers")
        self._folder = (CGROUPS if second else CGROUPS / "memory") / f"chaos-{uuid4().hex[:8]}"
        try:
            self._folder.mkdir()
        except OSError as error:
            raise PermissionError(f"no cgroup can be made: {error}") from error
        names = ("memory.max", "memory.swap.max") if second else ("memory.limit_in_bytes",)
        for name, value in zip(names, (limit, 0), strict=False):
            (self._folder / name).write_text(str(value))
        self._events = self._folder / ("memory.events" if second else "memory.oom_control")

    def add(self, process: int) -> None:
        """Put a process into it, and so all that it will start."""
        (self._folder / "cgroup.procs").write_text(str(process))

    def kills(self) -> int:
        """Return how many processes the kernel has killed for memory."""
        words = _words(self._events)
        return int(words[words.index("oom_kill") + 1])

    def close(self) -> None:
        """Remove it, once its processes have ended."""
        wait_until(lambda: not _words(self._folder / "cgroup.procs"), 60)
        self._folder.rmdir()


def killed_for_memory(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have some images use up the memory of the worker's cgroup; each is to fail alone."""
    with _memory_group(LIMIT) as group, installation("embedded", folder, **settings) as service:
        main = service.worker()
        for process in (main, *service.worker_children()):
            group.add(process)
        return _run(service, group, images, seconds)


def _run(service: Installation, group: MemoryGroup, images: int, seconds: float) -> Verdict:
    harmful = range(APART // 2, images, APART)
    with watched_job(
        service,
        images,
        changed={place: b"\xff\xd8\xff\xe0HARM:GROW".ljust(1000, b".") for place in harmful},
    ) as job:
        verdict = job.verdict(seconds + 240)
        failed = {row.error_code: int(row.images) for row in service.of_job(FAILED, job.request_id)}
        job.expect(
            sum(failed.values()) == len(harmful) and failed.keys() <= CODES,
            f"the {len(harmful)} images fail that take all memory (found {failed})",
        )
        job.expect(group.kills() > 0, "the kernel kills a process")
        return replace(verdict, lost=verdict.lost - len(harmful), broken=tuple(job.broken))


@contextmanager
def _memory_group(limit: int) -> Iterator[MemoryGroup]:
    group = MemoryGroup(limit)
    try:
        yield group
    finally:
        group.close()


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []
