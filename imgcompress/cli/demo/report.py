"""What the demo shows at its end: a line for each image, the totals, the status."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import click

JSON = dict[str, Any]

ROW = "  {:<31.31}  {:<21.21}  {:>8}  {:>8}  {:>6}  {}"


def show_images(images: list[JSON]) -> None:
    """Show one line for each image."""
    click.secho(ROW.format("Product", "Image", "Before", "After", "Saved", "Outcome"), bold=True)
    for image in images:
        click.echo(_line(image))


def show_totals(status: JSON) -> None:
    """Show how many images there were, and what was saved."""
    before, after = status["input_bytes"], status["output_bytes"]
    failed = status["failed_images"]
    click.secho(
        f"  {status['total_images']} images: {size(before)} before, {size(after)} after,"
        f" {saved(before, after)} saved" + (f"; {failed} failed" if failed else ""),
        bold=True, fg="red" if failed else "green")


def size(count: int) -> str:
    """Return a number of bytes for people: kB and MB are powers of ten."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def saved(before: int, after: int) -> str:
    """Return the share of the bytes that was saved, in percent."""
    return f"{100 * (before - after) / before:.1f} %" if before else "-"


def _line(image: JSON) -> str:
    name = image["product_name"] or ""
    file = urlsplit(image["input_url"]).path.rpartition("/")[2]
    if image["status"] != "COMPLETED":
        code = (image["error"] or {}).get("code", image["status"])
        return ROW.format(name, file, "-", "-", "-", click.style(code, fg="red"))
    before, after = image["input_bytes"], image["output_bytes"]
    return ROW.format(name, file, size(before), size(after), saved(before, after),
                      image["outcome"])
