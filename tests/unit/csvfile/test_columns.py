"""Which columns are read: those that the caller named, ours, a shop's, or the one with images."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imgcompress.csvfile import read_preview
from imgcompress.csvfile.layouts import KNOWN_LAYOUTS
from imgcompress.csvfile.model import MESSAGES

from .files import Outcome, only_issue, rows_of, stream_of, surveyed, urls_of, written

ROOT = Path(__file__).parents[3]
A, B, C, D = (f"https://a.test/{number}.jpg" for number in range(4))


def table(*rows: Sequence[str], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def chosen(content: str | bytes, **wishes: Any) -> tuple[str, list[str], str | None, str | None]:
    """Return the layout, and the columns of URLs, of the name and of the identifier."""
    layout = surveyed(content, **wishes).layout
    assert layout is not None and layout.chosen is not None
    titles = layout.titles()
    return layout.chosen.layout, titles["urls"], titles["name"], titles["id"]


SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
    "Option1 Value,Variant SKU,Variant Price,Image Src,Image Position,Image Alt Text,"
    "Gift Card,Variant Image,Status"
)
WOOCOMMERCE = (
    "ID,Type,SKU,Name,Published,Is featured?,Visibility in catalog,Short description,"
    "Description,In stock?,Regular price,Categories,Images,Parent,Position"
)
MAGENTO = (
    "sku,store_view_code,attribute_set_code,product_type,categories,name,price,base_image,"
    "base_image_label,small_image,thumbnail_image,swatch_image,additional_images,"
    "additional_image_labels"
)
BIGCOMMERCE = (
    "Item Type,Product ID,Product Name,Product Type,Product Code/SKU,Price,"
    "Product Image ID - 1,Product Image File - 1,Product Image Description - 1,"
    "Product Image Is Thumbnail - 1,Product Image ID - 2,Product Image File - 2"
)
PRESTASHOP = (
    "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Reference #;"
    "Image URLs (x,y,z...);Image alt texts (x,y,z...);Condition"
)
GOOGLE = (
    "id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\tavailability\tprice\t"
    "brand\tgtin"
)
FACEBOOK = (
    "id,title,description,availability,condition,price,link,image_link,brand,"
    "google_product_category,fb_product_category,additional_image_link"
)
ETSY = "TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,TAGS,MATERIALS,IMAGE1,IMAGE2,IMAGE10,SKU"
SQUARESPACE = (
    "Product ID [Non Editable],Variant ID [Non Editable],Product Type [Non Editable],"
    "Product Page,Product URL,Title,Description,SKU,Option Name 1,Option Value 1,Price,"
    "Stock,Categories,Visible,Hosted Image URLs"
)
WIX = (
    "handleId,fieldType,name,description,productImageUrl,collection,sku,ribbon,price,surcharge,"
    "visible"
)
AMAZON = (
    "feed_product_type,item_sku,brand_name,item_name,standard_price,quantity,main_image_url,"
    "other_image_url1,other_image_url2,swatch_image_url"
)
AKENEO = "sku;categories;enabled;family;groups;name-en_US;description-en_US-print;image;picture_2"
OPENCART = (
    "product_id,name(en-gb),categories,sku,upc,quantity,model,manufacturer,image_name,"
    "shipping,price"
)
SHOPWARE = (
    "id;parent_id;product_number;active;stock;name;description;price_net;price_gross;"
    "cover_media_id;cover_media_url;cover_media_title;manufacturer_name;media"
)
AIRTABLE = "Name,Notes,Attachments,Price"
NOTION = "Name,Files & media,Tags"
SAMPLES: list[tuple[str, str, list[str], str | None, str | None]] = [
    (SHOPIFY, "shopify", ["Image Src", "Variant Image"], "Title", "Handle"),
    (
        "Title,URL handle,Description,Product image URL,Image position,Variant image URL,Status",
        "shopify",
        ["Product image URL", "Variant image URL"],
        "Title",
        "URL handle",
    ),
    (WOOCOMMERCE, "woocommerce", ["Images"], "Name", "SKU"),
    (
        MAGENTO,
        "magento",
        ["base_image", "small_image", "thumbnail_image", "additional_images"],
        "name",
        "sku",
    ),
    (
        BIGCOMMERCE,
        "bigcommerce",
        ["Product Image File - 1", "Product Image File - 2"],
        "Product Name",
        "Product Code/SKU",
    ),
    (PRESTASHOP, "prestashop", ["Image URLs (x,y,z...)"], "Name *", "Product ID"),
    (GOOGLE, "google_merchant", ["image_link", "additional_image_link"], "title", "id"),
    (FACEBOOK, "facebook", ["image_link", "additional_image_link"], "title", "id"),
    (ETSY, "etsy", ["IMAGE1", "IMAGE2", "IMAGE10"], "TITLE", "SKU"),
    (SQUARESPACE, "squarespace", ["Hosted Image URLs"], "Title", "SKU"),
    (WIX, "wix", ["productImageUrl"], "name", "handleId"),
    (
        AMAZON,
        "amazon",
        ["main_image_url", "other_image_url1", "other_image_url2", "swatch_image_url"],
        "item_name",
        "item_sku",
    ),
    (AKENEO, "akeneo", ["image", "picture_2"], "name-en_US", "sku"),
    (OPENCART, "opencart", ["image_name"], "name(en-gb)", "sku"),
    (SHOPWARE, "shopware", ["cover_media_url", "media"], "name", "product_number"),
    ("id;folder_id;url;private;type;alt;title", "shopware", ["url"], "title", "id"),
    (
        "product_id,name,categories,sku,model,image_name,requires shipping,additional image names",
        "opencart",
        ["image_name", "additional image names"],
        "name",
        "sku",
    ),
    ("product_id,image,sort_order", "opencart", ["image"], None, "product_id"),
    (AIRTABLE, "airtable", ["Attachments"], "Name", None),
    (NOTION, "notion", ["Files & media"], "Name", None),
]


@pytest.mark.parametrize("header, layout, urls, name, id_", SAMPLES)
def test_the_export_of_a_shop_is_known_by_its_header(
    header: str, layout: str, urls: list[str], name: str | None, id_: str | None
) -> None:
    delimiter = next(mark for mark in "\t;," if mark in header)
    titles = header.split(delimiter)
    row = [A if title in urls else "x" for title in titles]
    text = table(titles, row, delimiter=delimiter)
    assert chosen(text) == (layout, urls, name, id_)
    assert urls_of(text) == [(A,) * len(urls)]


@pytest.mark.parametrize(
    "header, row, urls",
    [
        (
            "uuid;sku;categories;enabled;family;groups;an_image;an_image_alt-en_US;photo_credits",
            ["u", "m", "", "1", "cups", "", A, "Front view", "Ann Lee"],
            ["an_image"],
        ),
        (SHOPWARE, [*["x"] * 10, A, "Mug", "Acme", "018e5f0c|018e5f0d"], ["cover_media_url"]),
        (SHOPWARE, [*["x"] * 10, A, "Mug", "Acme", ""], ["cover_media_url", "media"]),
    ],
)
def test_a_column_of_a_layout_that_holds_other_texts_is_not_read(
    header: str, row: list[str], urls: list[str]
) -> None:
    text = table(header.split(";"), row, row, delimiter=";")
    assert chosen(text)[1] == urls
    assert urls_of(text) == [(A,)] * 2


def test_the_texts_are_reported_where_no_column_of_a_layout_holds_images() -> None:
    text = table("sku;categories;enabled;family;photo".split(";"), ["m", "", "1", "", "none yet"])
    assert only_issue(text).code == "invalid_url"


def test_the_columns_of_this_service_go_before_those_of_a_shop() -> None:
    text = table(["Handle", "Title", "Image Src", "Input Image Urls"], ["h", "t", A, B])
    assert chosen(text) == ("imgcompress", ["Input Image Urls"], None, None)
    assert urls_of(text) == [(B,)]


@pytest.mark.parametrize(
    "named, urls",
    [
        ("Front", ["Front"]),
        ("front , BACK", ["Front", "Back"]),
        ("Back,Front", ["Back", "Front"]),
        ("Image*", ["Image - 1", "Image - 2"]),
        ("Sizes (x,y), Front", ["Sizes (x,y)", "Front"]),
        ("*", ["Front", "Back", "Image - 1", "Image - 2", "Sizes (x,y)"]),
        ("Front,", ["Front"]),
    ],
)
def test_a_caller_names_the_columns(named: str, urls: list[str]) -> None:
    text = table(["Front", "Back", "Image - 1", "Image - 2", "Sizes (x,y)"], [A, B, C, D, A])
    assert chosen(text, url_columns=(named,))[:2] == ("named", urls)


def test_a_caller_names_the_columns_of_name_and_identifier_too() -> None:
    text = table(["Foto", "Was", "Wieviel", "Name"], [A, "Lampe", "3", "x"])
    assert chosen(text, url_columns=("Foto",), name_column="was", id_column="Wieviel") == (
        "named",
        ["Foto"],
        "Was",
        "Wieviel",
    )
    assert chosen(text, name_column="Was") == ("detected", ["Foto"], "Was", None)
    (row,) = rows_of(text, name_column="Was")
    assert (row.product_name, row.serial_number) == ("Lampe", "")


@pytest.mark.parametrize(
    "wish, value",
    [
        ("url_columns", ("Front,Side",)),
        ("name_column", "Side"),
        ("id_column", "Side"),
        ("url_columns", ("Sid*",)),
    ],
)
def test_a_named_column_that_is_not_there_is_reported_with_those_that_are(
    wish: str, value: Any
) -> None:
    text = table(["Front", "Item"], [A, "x"])
    issue = next(
        found for found in surveyed(text, **{wish: value}).issues if found.code == "unknown_column"
    )
    assert issue.message.startswith(f"{wish} names columns that do not exist: “Sid")
    assert "“Front”, “Item”" in issue.message


def test_the_one_column_that_holds_images_is_found() -> None:
    text = table(
        ["SKU", "Item", "Link", "Shots"],
        ["1", "Mug", "https://a.test/mug.html", A],
        ["2", "Cup", "https://a.test/cup.html", ""],
    )
    assert chosen(text) == ("detected", ["Shots"], "Item", "SKU")
    assert urls_of(text) == [(A,), ()]


def test_columns_with_one_name_are_one() -> None:
    text = table(["SKU", "Photo", "Photo", "Photo"], ["1", A, B, ""], ["2", C, "", ""])
    assert chosen(text)[:2] == ("detected", ["Photo", "Photo", "Photo"])
    assert urls_of(text) == [(A, B), (C,)]


def test_a_column_counts_if_most_of_its_cells_are_images() -> None:
    rows = [
        [str(number), A if number % 3 else "none yet", "text " + A if number > 97 else "text"]
        for number in range(100)
    ]
    text = table(["SKU", "Shots", "Text"], *rows)
    layout = surveyed(text, skip_bad_rows=True).layout
    assert layout is not None and layout.titles()["urls"] == ["Shots"]


def test_several_columns_with_images_are_reported_with_the_field_to_send() -> None:
    issue = only_issue(table(["SKU", "Front", "Back", "Colour"], ["1", A, B, "red"]))
    assert (issue.code, issue.row) == ("unclear_columns", 1)
    assert "hold image URLs: “Front”, “Back”. Send url_columns" in issue.message
    assert "“Colour”" in issue.message


def test_unread_columns_with_images_are_reported_as_warnings() -> None:
    found = surveyed(
        table(
            ["S. No.", "Input Image Urls", "Image 2", "Image 3", "Page"],
            ["1", A, B, C, "https://a.test/1.html"],
        )
    )
    (warning,) = found.warnings
    assert (warning.code, found.issue_count, found.total_images) == ("unread_columns", 0, 1)
    assert "“Image 2”, “Image 3”. To have them" in warning.message


def test_the_output_of_an_earlier_run_gives_no_warning() -> None:
    text = table(["Input Image Urls", "Output Image Urls", "Image Errors"], [A, B, ""])
    assert surveyed(text).warnings == ()


def test_a_product_over_several_rows_has_the_name_of_the_row_that_has_it() -> None:
    text = table(
        ["Handle", "Title", "Image Src", "Variant Image"],
        ["mug", "Mug", A, ""],
        ["mug", "", B, C],
        ["mug", "", "", ""],
        ["cup", "", D, ""],
        ["", "", A, ""],
    )
    assert [(row.product_name, row.urls) for row in rows_of(text)] == [
        ("Mug", (A,)),
        ("Mug", (B, C)),
        ("Mug", ()),
        ("", (D,)),
        ("", (A,)),
    ]


def test_a_row_without_an_image_is_carried_through() -> None:
    text = table(
        ["S. No.", "Product Name", "Input Image Urls"],
        ["1", "A", A],
        ["2", "B", ""],
        ["Total", "", ""],
    )
    assert [row.urls for row in rows_of(text)] == [(A,), (), ()]
    assert list(csv.reader(io.StringIO(written(text, Outcome(2, 0, "x", None)).decode()))) == [
        ["S. No.", "Product Name", "Input Image Urls", "Output Image Urls", "Image Errors"],
        ["1", "A", A, "x", ""],
        ["2", "B", "", "", ""],
        ["Total", "", "", "", ""],
    ]


def test_the_new_urls_of_several_columns_stand_in_their_order() -> None:
    text = table(["Handle", "Title", "Image Src", "Variant Image"], ["mug", "Mug", f"{A},{B}", C])
    row = list(
        csv.reader(
            io.StringIO(
                written(
                    text,
                    Outcome(2, 0, "x", None),
                    Outcome(2, 1, None, "no"),
                    Outcome(2, 2, "z", None),
                ).decode()
            )
        )
    )[1]
    assert row == ["mug", "Mug", f"{A},{B}", C, "x,,z", "2: no"]


@pytest.mark.parametrize(
    "above",
    [
        [["Stock list of Example Ltd"], ["Printed on 2026-11-29"], []],
        [["Products", "", "", ""], ["", "", "", ""]],
        [["TemplateType=home", "Version=2026", "", ""]],
    ],
)
@pytest.mark.parametrize(
    "header",
    [
        ["SKU", "Item", "Shots", "Price"],
        ["S. No.", "Product Name", "Input Image Urls", "Price"],
        ["Handle", "Title", "Image Src", "Price"],
    ],
)
def test_the_header_may_stand_below_titles(above: list[list[str]], header: list[str]) -> None:
    text = table(*above, header, ["1", "Mug", A, "5"], ["2", "Cup", "", "6"], ["", "Sum", "", "11"])
    assert chosen(text)[1] == [header[2]]
    rows = rows_of(text)
    assert [row.urls for row in rows] == [(A,), (), ()]
    assert rows[0].number == len(above) + 2
    lines = written(text, Outcome(rows[0].number, 0, "x", None)).decode().splitlines()
    assert lines[0] == table(above[0]).strip()
    assert lines[len(above) + 1] == f"1,Mug,{A},5,x,"


def test_commas_in_texts_do_not_hide_the_semicolons() -> None:
    text = "Artikelnummer;Bezeichnung;Preis;Bild-URLs;Text\n" + "".join(
        f"{number};Becher;12,90;{A};rot, blau, grün, gelb, {'weiß, ' * number}\n"
        for number in range(5)
    )
    assert chosen(text) == ("detected", ["Bild-URLs"], "Bezeichnung", "Artikelnummer")


def test_columns_that_are_not_needed_may_have_one_name() -> None:
    text = table(
        ["S. No.", "Product Name", "Input Image Urls", "Note", "Note"], ["1", "a", A, "b", "c"]
    )
    assert urls_of(text) == [(A,)]


def test_the_file_is_read_later_as_it_was_read_first() -> None:
    text = table(["Front", "Back"], [A, B])
    output = written(text, Outcome(2, 0, "x", None), url_columns=("Back",)).decode()
    assert output.splitlines()[1] == f"{A},{B},x,"


def test_the_documentation_has_each_layout_and_each_field() -> None:
    page = (ROOT / "docs" / "catalogues.md").read_text(encoding="utf-8")
    assert [known.name for known in KNOWN_LAYOUTS if f"| `{known.name}` |" not in page] == []
    assert [
        code
        for code in (
            "missing_column",
            "unclear_columns",
            "unknown_column",
            "encrypted_file",
            "damaged_file",
            "several_tables",
            "no_table",
            "unknown_sheet",
            "unpacked_too_large",
            "wrong_encoding",
            "no_images",
        )
        if f"`{code}`" not in page or code not in MESSAGES
    ] == []


def test_patterns_and_wide_rows_are_fast() -> None:
    """What is quadratic in what a caller sends would take minutes here."""
    wide = ",".join(f"{'a' * 200}{number}" for number in range(2_000))
    found = surveyed(f"{wide}\n" * 30, url_columns=(",".join(["*a*a*a*a*b"] * 900),))
    assert {issue.code for issue in found.issues} >= {"unknown_column"}


@pytest.mark.parametrize(
    "pattern, meant",
    [
        ("*", True),
        ("I*", True),
        ("*1", True),
        ("Image*-*1", True),
        ("Im*ge - 1", True),
        ("Image - 1*", True),
        ("*Image", False),
        ("*1*1", False),
        ("Image - 1*1", False),
        ("*mage*gema*", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, meant: bool) -> None:
    found = surveyed(table(["Image - 1", "Y"], [A, "x"]), url_columns=(pattern,))
    assert (found.issue_count == 0) is meant or pattern == "*"


IMAGE = "https://a.test/1.jpg"


@pytest.mark.parametrize(
    "described",
    [
        "SKU,URL,text,EUR",
        "Pflicht,Pflicht,,Pflicht",
        "SKU,Image URL (required),Name,Price",
        ",Produktbild,Bezeichnung,netto",
    ],
)
@pytest.mark.parametrize("above", ["", "Price list\n\n"])
def test_a_row_that_describes_the_columns_is_no_product(described: str, above: str) -> None:
    text = f"{above}item_sku,main_image_url,item_name,price\n\n{described}\n1,{IMAGE},Mug,5.00\n2,,Cup,7\n"
    row = 3 + above.count("\n")
    found = surveyed(text)
    assert [(warning.code, warning.row) for warning in found.warnings] == [("description_row", row)]
    assert [row.product_name for row in rows_of(text)] == ["Mug", "Cup"]
    lines = written(text, Outcome(row + 1, 0, "https://out.test/x.jpg", None)).decode().splitlines()
    assert lines[row - 1] == described and lines[row].startswith(f"1,{IMAGE},Mug,5.00,https://out")
    (preview, *_) = read_preview(stream_of(text), found.layout).rows
    assert preview.row == row + 1


@pytest.mark.parametrize(
    "first",
    [
        "1,see page 3,Mug,5.00",
        "1,photo follows,Mug,5.00",
        "1,,Mug,EUR",
        "1,-,URL,EUR",
        "1,a.jpg,Mug,EUR",
    ],
)
def test_a_product_with_a_bad_image_or_none_describes_nothing(first: str) -> None:
    found = surveyed(
        f"sku,main_image_url,name,price\n{first}\n2,{IMAGE},Cup,7\n3,{IMAGE},Cup,8\n",
        url_columns=("main_image_url",),
    )
    assert found.layout and not found.layout.description_row and found.total_rows == 3


@pytest.mark.parametrize(
    "header, layout, urls",
    [
        ("handle,fieldType,name,visible,media,mediaAltText,price", "wix", ["media"]),
        (
            "Item,ID,Name,Type,SKU,Variant Image URL,Internal Image URL (Export),Image URL (Import)",
            "bigcommerce",
            ["Internal Image URL (Export)", "Image URL (Import)", "Variant Image URL"],
        ),
        (
            "id,title,description,image[0].url,image[0].tag[0],image[1].url",
            "facebook",
            ["image[0].url", "image[1].url"],
        ),
        (
            "::contribution_sku,item_name[marketplace_id=A1F8]#1.value,"
            "main_product_image_locator[marketplace_id=A1F8]#1.media_location,"
            "other_product_image_locator_1[marketplace_id=A1F8]#1.media_location",
            "amazon",
            [
                "main_product_image_locator[marketplace_id=A1F8]#1.media_location",
                "other_product_image_locator_1[marketplace_id=A1F8]#1.media_location",
            ],
        ),
    ],
)
def test_newer_templates_of_shops_are_known(header: str, layout: str, urls: list[str]) -> None:
    cells = [IMAGE if title in urls else "x" for title in header.split(",")]
    found = surveyed(f"{header}\n{','.join(cells)}\n").layout
    assert found and found.chosen and found.chosen.layout == layout
    assert found.titles()["urls"] == urls
