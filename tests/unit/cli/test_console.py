"""What `imgcompress serve` shows: text for people, or nothing but JSON."""

from __future__ import annotations

import errno
import io
import logging
import sys

import pytest

from imgcompress.cli.supervisor import Console


def test_lines_are_labelled_with_their_program(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say("Starting", fg="yellow")
    console.pass_on("web", "Listening", "cyan")

    assert capsys.readouterr().out == "Starting\nweb     | Listening\n"


def test_objects_are_passed_on_and_all_else_becomes_one(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    console = Console(json=True)
    console.say("Starting", bold=True)
    console.pass_on("web", '{"event": "Listening"}', "cyan")
    console.pass_on("beat", "Segmentation fault", "yellow")

    assert capsys.readouterr().out == '{"event": "Listening"}\n'
    found = [(record.getMessage(), vars(record).get("program")) for record in caplog.records]
    assert found == [("Starting", None), ("Segmentation fault", "beat")]


class _FullDisk(io.StringIO):
    refused = ""

    def write(self, text: str) -> int:
        self.refused += text
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_stops_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _FullDisk()
    monkeypatch.setattr(sys, "stdout", disk)
    Console().say("Starting")
    Console().pass_on("web", "Listening", "cyan")
    Console(json=True).pass_on("web", "{}", "cyan")
    assert [word in disk.refused for word in ("Starting", "Listening", "{}")] == [True] * 3
