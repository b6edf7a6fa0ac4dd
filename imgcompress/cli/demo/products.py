"""The catalogue of the demo: a CSV as a shop's team would upload it."""

from __future__ import annotations

import csv
from pathlib import Path

PRODUCTS = (
    ("Framed Portrait: Eileen Collins", ("astronaut.png",)),
    ("Cushion Cover: Chelsea the Cat", ("chelsea.png",)),
    ("Espresso Cup with Saucer", ("coffee.png",)),
    ("Space Poster Set", ("hubble_deep_field.jpg", "rocket.jpg")),
    ("Anatomy Chart: Retina", ("retina.jpg",)),
    ("Gift Box: Cup and Cushion", ("coffee.png", "chelsea.png")),
)


def write_products(path: Path, origin: str) -> None:
    """Write the CSV, with the images at `origin`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["S. No.", "Product Name", "Input Image Urls"])
        for number, (name, images) in enumerate(PRODUCTS, start=1):
            writer.writerow([number, name, ",".join(f"{origin}/{image}" for image in images)])
