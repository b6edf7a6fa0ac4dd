"""What `flask serve` shows: text for people, or nothing but JSON."""

from __future__ import annotations

import logging

import pytest

from imgcompress.cli.console import Console


def test_people_see_who_says_what(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say("Starting", fg="yellow")
    console.pass_on("web", "Listening", "cyan")

    assert capsys.readouterr().out == "Starting\nweb     | Listening\n"


def test_objects_are_passed_on_and_all_else_becomes_one(
        capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    console = Console(json=True)
    console.say("Starting", bold=True)
    console.pass_on("web", '{"event": "Listening"}', "cyan")
    console.pass_on("beat", "Segmentation fault", "yellow")

    assert capsys.readouterr().out == '{"event": "Listening"}\n'
    told = [(record.getMessage(), vars(record).get("program")) for record in caplog.records]
    assert told == [("Starting", None), ("Segmentation fault", "beat")]
