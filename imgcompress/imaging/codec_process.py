"""Compress suspect images in a subprocess, so that a crash fails one image and nothing else.

When a worker dies, all images of its slice are suspect: one of them may have used up the memory or
met a bug in a decoder, unless an operator killed the worker. The next worker therefore passes each
of them to this process. A message is a line of JSON and the bytes that it announces; nothing is
unpickled, since a decoder that an image has taken over may write anything.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, BinaryIO, cast

from ..errors import ImageError
from ..process import die_with_parent
from . import Compressed, CompressOptions, compress


class _Process(subprocess.Popen[bytes]):
    """A process that compresses images; it is killed when nothing refers to it any more."""

    def __init__(self) -> None:
        super().__init__(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def end(self) -> None:
        """End the process, and wait until it is gone."""
        self.kill()
        for pipe in (self.stdin, self.stdout):
            _close(cast(BinaryIO, pipe))
        self.wait()

    def __del__(self) -> None:
        if self.pid:  # Otherwise it could not be started.
            self.end()


class CodecProcess(threading.local):
    """A process that compresses one image at a time, restarted when an image ends it.

    Each thread has one of its own: an abandoned thread may still wait for its image, and Linux
    ends a process together with the thread that started it (see prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._process: _Process | None = None

    def compress(self, data: bytes, options: CompressOptions) -> Compressed:
        """Compress an image as compress() does; the image that ends the process fails.

        Raise ImageError: `worker_crashed` when the process died, `compress_timeout` when it had to
        be ended after `timeout` seconds, `internal_error` when it did not start, else what
        compress() raised in it. The time that the process takes to start does not count.
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
            raise ImageError(answer["error"], answer["found"], detail="in the codec process")
        return Compressed(data=made, **answer["compressed"])

    def close(self) -> None:
        """End the process of this thread, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _running(self) -> _Process:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = self._started()
        return self._process

    def _started(self) -> _Process:
        try:
            process = _Process()
            receive(cast(BinaryIO, process.stdout))
            return process
        except (OSError, EOFError, ValueError) as error:
            raise ImageError("internal_error", detail="the codec process did not start") from error


@contextmanager
def _ended_after(seconds: float, process: _Process) -> Iterator[threading.Event]:
    """End the process when the block takes longer; the event is set if that happened."""
    overdue = threading.Event()

    def end() -> None:
        overdue.set()
        process.kill()

    timer = threading.Timer(seconds, end)
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
        pass  # What was still buffered for a dead process cannot be written.


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
    except MemoryError:
        return {"error": "out_of_memory", "found": ""}, b""
    fields = asdict(replace(made, data=b""))
    del fields["data"]
    return {"compressed": fields}, made.data


def main() -> None:
    """Compress images from standard input until it ends."""
    die_with_parent(os.getppid())
    # Ctrl-C in a terminal ends the parent process, and this one when its pipe is closed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    send(sys.stdout.buffer, {})
    while True:
        try:
            header, data = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(sys.stdout.buffer, *_answer(header, data))


if __name__ == "__main__":
    main()
