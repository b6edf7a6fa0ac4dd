from __future__ import annotations

import csv
from pathlib import Path

import requests

from imgcompress.cli.demo import PRODUCTS, SAMPLES, sample_origin, write_products


def test_every_image_of_the_catalogue_is_served(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    with sample_origin() as (origin, port):
        write_products(path, origin)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            for url in row["Input Image Urls"].split(","):
                served = requests.get(url, timeout=10)
                assert served.content == (SAMPLES / url.rpartition("/")[2]).read_bytes()

    assert origin.endswith(f":{port}")
    assert [row["Product Name"] for row in rows] == [name for name, _ in PRODUCTS]
    assert [row["S. No."] for row in rows] == ["1", "2", "3", "4", "5", "6"]


def test_two_products_have_several_images() -> None:
    assert sum(len(images) > 1 for _, images in PRODUCTS) == 2
