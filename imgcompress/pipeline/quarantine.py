"""Compress suspects in a process of their own, whose death condemns one image and nothing else.

A slice whose worker died is suspect as a whole: one of its images may have killed it, by memory or
by a fault of a decoder, or it was an operator. So its next worker gives each image to this process.
Messages are a line of JSON and the bytes that it announces; nothing is unpickled, since a decoder
that was taken over may write anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from threading import Event, Timer
from typing import Any, BinaryIO, cast

from ..errors import ImageError
from ..lifeline import die_with_parent
from .compress import Compressed, CompressOptions, compress


class Quarantine:
    """A process that compresses one image at a time, started anew when an image ends it."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def compress(self, data: bytes, options: CompressOptions) -> Compressed:
        """Compress an image as compress() does; the image that ends the process fails.

        Raise ImageError: `worker_crashed` when the process died, `compress_timeout` when it had to
        be ended after `timeout` seconds, else what compress() raised in it.
        """
        process = self._running()
        with _ended_after(self.timeout, process) as overdue:
            try:
                send(cast(BinaryIO, process.stdin), {"options": asdict(options)}, data)
                answer, made = receive(cast(BinaryIO, process.stdout))
            except (OSError, EOFError, ValueError) as error:
                self.close()
                code = "compress_timeout" if overdue.is_set() else "worker_crashed"
                raise ImageError(code, detail=repr(error)) from error
        if "error" in answer:
            raise ImageError(answer["error"], answer["found"], detail="in quarantine")
        return Compressed(data=made, **answer["compressed"])

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            _close(cast(BinaryIO, pipe))
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen([sys.executable, "-m", __name__],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process


@contextmanager
def _ended_after(seconds: float, process: subprocess.Popen[bytes]) -> Iterator[Event]:
    """End the process when the block takes longer; the event tells whether that happened."""
    overdue = Event()

    def end() -> None:
        overdue.set()
        process.kill()

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield overdue
    finally:
        timer.cancel()


def _close(pipe: BinaryIO) -> None:
    try:
        pipe.close()
    except OSError:
        pass  # What was still buffered for a dead process is of no use to anyone.


def send(stream: BinaryIO, header: dict[str, Any], data: bytes = b"") -> None:
    """Write a message: its header with the number of bytes that follow, and the bytes."""
    stream.write(json.dumps(header | {"bytes": len(data)}).encode() + b"\n")
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """Read a message. Raise EOFError when the other side is gone."""
    line = stream.readline()
    if not line:
        raise EOFError("the other side is gone")
    header: dict[str, Any] = json.loads(line)
    size = header.pop("bytes")
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other side broke off")
    return header, data


def _answer(header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        made = compress(data, CompressOptions(**header["options"]))
    except ImageError as error:
        return {"error": error.code, "found": error.found}, b""
    told = asdict(replace(made, data=b""))
    del told["data"]
    return {"compressed": told}, made.data


def main() -> None:
    """Compress what comes by standard input until it ends."""
    die_with_parent(os.getppid())
    while True:
        try:
            header, data = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(sys.stdout.buffer, *_answer(header, data))


if __name__ == "__main__":
    main()
