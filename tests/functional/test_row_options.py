"""Rows with options of their own: the workers heed them, image by image."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import urlopen

from imgcompress.imaging import EXTENSIONS

from ..origin import PlainOrigin
from tests.support.photos import sample
from tests.support.service import Service


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


def test_extension_and_content_type_follow_the_format_that_auto_chooses(
    embedded_service: Service,
) -> None:
    with PlainOrigin({"/cat.png": (200, "image/png", sample("chelsea.png"))}) as origin:
        url = origin.url("/cat.png")
        table = (
            "S. No.,Product Name,Input Image Urls,imgcompress formats\n"
            f'1,Cat,{url},"jpeg,webp"\n2,Cat,{url},avif\n'
        )
        request_id = embedded_service.submit(table.encode(), format="auto", max_height="200")
        embedded_service.finished(request_id)
        images = embedded_service.details(request_id)
        assert images[0]["output_format"] in ("jpeg", "webp")
        assert images[1]["output_format"] == "avif"
        for image in images:
            extension = EXTENSIONS[image["output_format"]]
            assert urlsplit(image["output_url"]).path.endswith(f".{extension}")
            with urlopen(image["output_url"]) as answer:
                assert answer.headers["Content-Type"] == f"image/{image['output_format']}"
