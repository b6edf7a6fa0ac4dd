"""Measure the cost of invalid rows, compared with valid ones of the same shape.

    python -m benchmarks.faulty [--rows N] [--rounds N]

The CPU time of the validation of an upload, for each kind of issue. Valid and invalid files take
turns, and a ratio is the median of the rounds.
"""

from __future__ import annotations

import argparse
import io
import time
from statistics import median
from typing import NamedTuple

from imgcompress.csvfile import CatalogueLimits, validate_file
from imgcompress.errors import ImageError
from imgcompress.net import DialPolicy, check_url

from .verdicts import Verdict, print_verdicts

URL = "https://cdn.shop.example.com/images/2026/product-{0:08d}.jpg"
PLAIN = "S. No.,Product Name,Input Image Urls"
MIDDLE = "S. No.,Input Image Urls,Product Name"
OPTIONS = f"{PLAIN},format,quality,compression_percentage,max_width,max_height,output name"
TIMES_GOOD = 3


class Kind(NamedTuple):
    """A header, a valid row below it, and an invalid one."""

    header: str
    good: str
    invalid: str


KINDS = {
    "no URL but a name": Kind(PLAIN, f"{{0}},Lamp {{0}},{URL}", "{0},Lamp {0},photo-{0:08d}.jpg"),
    "no URL at all": Kind(PLAIN, f"{{0}},Lamp {{0}},{URL}", "{0},Lamp number {0} in walnut,"),
    "a row that ends early": Kind(PLAIN, f"{{0}},Lamp {{0}},{URL}", "{0},Lamp number {0}"),
    "a blank in the URL": Kind(
        PLAIN, f"{{0}},Lamp {{0}},{URL}", f"{{0}},Lamp,{URL.replace('product-', 'my photo ')}"
    ),
    "a private address": Kind(
        PLAIN,
        f"{{0}},Lamp {{0}},{URL}",
        "{0},Lamp {0},http://10.0.0.1/images/2026/product-{0:08d}.jpg",
    ),
    "two URLs, both with blanks": Kind(
        PLAIN, f'{{0}},Lamp {{0}},"{URL},{URL}"', f'{{0}},Lamp {{0}},"{URL} x,{URL} x"'
    ),
    "cells without a column": Kind(
        MIDDLE, f"{{0}},{URL},Lamp {{0}},{URL}", f"{{0}},{URL},Lamp {{0}},red,blue"
    ),
    "a stray quotation mark": Kind(
        PLAIN, f'{{0}},"Lamp, {{0}}",{URL}', f'{{0}},"Lamp" {{0}},{URL}'
    ),
    "seven options, all bad": Kind(
        OPTIONS,
        f"{{0}},Lamp {{0}},{URL},webp,80,,{{0}},{{0}},lamp {{0}}",
        f"{{0}},Lamp {{0}},{URL} x,f{{0}},q{{0}},c{{0}},w{{0}},h{{0}},a/{{0}}",
    ),
}


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description="Invalid rows beside valid ones")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    verdicts = []
    for name, kind in KINDS.items():
        good, invalid = (written(kind.header, row, options.rows) for row in kind[1:])
        rounds = [(cost(good), cost(invalid)) for _ in range(options.rounds)]
        ratio = median(bad / fine for fine, bad in rounds)
        most = median(bad for _, bad in rounds) / options.rows * 1e6
        verdicts += [
            Verdict(f"{name}, beside good rows", ratio, TIMES_GOOD, "times"),
            Verdict(f"{name}, a row", most, unit="µs"),
        ]
    print_verdicts(f"{options.rows:,} invalid rows", verdicts)


def written(header: str, row: str, rows: int) -> bytes:
    """Return a file with some rows."""
    lines = (row.format(number) for number in range(1, rows + 1))
    return "\r\n".join([header, *lines, ""]).encode()


def cost(content: bytes) -> float:
    """Return the CPU seconds of one survey."""
    began = time.process_time()
    validate_file(io.BytesIO(content), CatalogueLimits(), url_error)
    return time.process_time() - began


def url_error(url: str) -> str | None:
    """Judge an address as an upload does."""
    try:
        check_url(url, DialPolicy())
    except ImageError as error:
        return error.message
    return None


if __name__ == "__main__":
    main()
