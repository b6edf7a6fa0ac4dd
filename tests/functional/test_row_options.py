"""Rows with options of their own: the workers heed them, image by image."""

from __future__ import annotations

from ..origin import PlainOrigin
from .photos import sample
from .service import Service


def test_a_row_takes_its_own_options_and_else_those_of_the_upload(
    embedded_service: Service,
) -> None:
    with PlainOrigin({"/cat.png": (200, "image/png", sample("chelsea.png"))}) as origin:
        url = origin.url("/cat.png")
        table = (
            "S. No.,Product Name,Input Image Urls,imgcompress format,imgcompress max width\n"
            f"1,Cat,{url},,\n2,Cat,{url},jpeg,\n3,Cat,{url},webp,100\n4,Cat,{url},jpeg,\n"
        )
        request_id = embedded_service.submit(table.encode(), format="webp", max_height="200")
        embedded_service.finished(request_id)
        images = embedded_service.details(request_id)
        assert [(image["status"], image["output_format"], image["width"]) for image in images] == [
            ("COMPLETED", "webp", 301),
            ("COMPLETED", "jpeg", 301),
            ("COMPLETED", "webp", 100),
            ("COMPLETED", "jpeg", 301),
        ]
        assert origin.hits["/cat.png"] == 3
