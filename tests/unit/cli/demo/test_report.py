from __future__ import annotations

from typing import Any

import pytest

from imgcompress.cli.demo import saved, show_images, show_totals, size

DONE = {
    "product_name": "Framed Portrait: Eileen Collins, with a very long subtitle",
    "input_url": "http://127.0.0.1:4711/folder/astronaut.png",
    "status": "COMPLETED",
    "outcome": "floor_reached",
    "error": None,
    "input_bytes": 1_000_000,
    "output_bytes": 250_000,
}
FAILED = DONE | {
    "status": "FAILED",
    "outcome": None,
    "error": {"code": "source_status"},
    "input_bytes": None,
    "output_bytes": None,
}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0.0 kB"), (1_500, "1.5 kB"), (999_949, "999.9 kB"), (1_234_567, "1.23 MB")],
)
def test_sizes_are_written_for_people(count: int, expected: str) -> None:
    assert size(count) == expected


def test_the_saved_share_is_that_of_the_input() -> None:
    assert saved(200, 50) == "75.0 %"
    assert saved(0, 0) == "-"


def test_an_image_is_one_line_of_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_images([DONE, FAILED])
    header, done, failed = capsys.readouterr().out.splitlines()

    assert done.split()[-7:] == ["1.00", "MB", "250.0", "kB", "75.0", "%", "floor_reached"]
    assert "astronaut.png" in done and "folder" not in done
    assert failed.split()[-4:] == ["-", "-", "-", "source_status"]
    assert max(map(len, (header, done, failed))) <= 100


@pytest.mark.parametrize(("failures", "end"), [(0, "75.0 % saved"), (2, "75.0 % saved; 2 failed")])
def test_the_totals_show_of_failures(
    failures: int, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status: dict[str, Any] = {
        "total_images": 8,
        "failed_images": failures,
        "input_bytes": 3_000_000,
        "output_bytes": 750_000,
    }
    show_totals(status)

    answer = capsys.readouterr().out.strip()
    assert answer == f"8 images: 3.00 MB before, 750.0 kB after, {end}"
