"""Measure how fast catalogues are checked and read, beside another version of the project.

    python -m benchmarks.catalogues [--rows N] [--rounds N] [--beside PATH]

Rows per second of processor time for the check and the reading of three catalogues: one URL in each
row, three URLs in a cell, and the workbook of the first. PATH is a checkout of another version.
Both take turns, in processes of their own, and the best of their rounds are compared.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
URL = "https://cdn.shop.example.com/images/2026/product-{:08d}-{}.jpg"
HEADER = ["S. No.", "Product Name", "Input Image Urls"]
NAMES = ("one URL in each row", "three URLs in a cell", "workbook, one URL in each row")


def main() -> None:
    """Run the benchmark and print a table, or, for one round, the rates as JSON."""
    parser = argparse.ArgumentParser(description="Rows per second through the reader")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--files", type=Path)
    options = parser.parse_args()
    if options.files:
        print(json.dumps([rate(path, options.rows) for path in sorted(options.files.iterdir())]))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_catalogues(Path(folder), options.rows)
        versions = [ROOT, *([options.beside] if options.beside else [])]
        rounds = [
            [one_round(version, Path(folder), options.rows) for version in versions]
            for _ in range(options.rounds)
        ]
    print(f"| {options.rows:,} rows | rows/s |{' beside | times |' if options.beside else ''}")
    print(f"|---|---|{'---|---|' if options.beside else ''}")
    for at, name in enumerate(NAMES):
        best = [max(turn[version][at] for turn in rounds) for version in range(len(versions))]
        row = [f"{number:,.0f}" for number in best]
        row += [f"{best[0] / best[1]:.2f}"] if options.beside else []
        print(f"| {name} | {' | '.join(row)} |")


def one_round(version: Path, folder: Path, rows: int) -> list[float]:
    """Return the rates of a version, measured in a process that imports it."""
    command = [sys.executable, str(Path(__file__)), "--files", str(folder), "--rows", str(rows)]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(version)},
        cwd=version,
        capture_output=True,
        check=True,
        text=True,
    )
    rates: list[float] = json.loads(done.stdout)
    return rates


def write_catalogues(folder: Path, rows: int) -> None:
    """Write the catalogues that are read."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(HEADER)
    single, triple = io.StringIO(newline=""), io.StringIO(newline="")
    for text in (single, triple):
        csv.writer(text).writerow(HEADER)
    for number in range(rows):
        product = [str(number), f"Product number {number} in walnut"]
        urls = [URL.format(number, place) for place in range(3)]
        csv.writer(single).writerow([*product, urls[0]])
        csv.writer(triple).writerow([*product, ", ".join(urls)])
        sheet.append([*product, urls[0]])
    (folder / "1.csv").write_text(single.getvalue(), newline="")
    (folder / "2.csv").write_text(triple.getvalue(), newline="")
    book.save(folder / "3.xlsx")


def rate(path: Path, rows: int) -> float:
    """Return how many rows per second are checked and read, by the version that is imported."""
    from imgcompress.csvfile import CatalogueLimits, opened_table, read_images, validate_file

    limits = CatalogueLimits()
    with path.open("rb") as file:
        start = time.process_time()
        with opened_table(file, limits, 2**30) as opened:
            # Before workbooks were written back, this was the CSV itself.
            table: Any = getattr(opened, "csv", opened)
            found = validate_file(table, limits, lambda url: None)
            read = sum(len(images[0]) for images in read_images(table, limits, found.layout))
        seconds = time.process_time() - start
    assert read == found.total_images >= rows
    return rows / seconds


if __name__ == "__main__":
    main()
