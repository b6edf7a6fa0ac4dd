"""A realistic sample of each export that is known: its real header, and three products in it."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import openpyxl

URL = Callable[[str], str]


@dataclass(frozen=True)
class Export:
    """An export: its bytes, what is sent with it, and what is to be found in it."""

    file_name: str
    content: bytes
    layout: str
    urls: list[str]
    images: int
    rows: int
    fields: dict[str, str] = field(default_factory=dict)
    delimiter: str = ","


def _csv(
    header: str,
    *rows: dict[str, str],
    delimiter: str = ",",
    encoding: str = "utf-8",
    above: str = "",
) -> bytes:
    titles = next(csv.reader([header], delimiter=delimiter))
    text = io.StringIO(newline="")
    text.write(above)
    writer = csv.DictWriter(text, titles, delimiter=delimiter, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def exports(url: URL) -> list[Export]:
    """Return the exports; `url` makes the address of an image from its file name."""
    a, b, c = url("a.jpg"), url("b.jpg"), url("c.jpg")
    base = url("")
    google = "id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\tavailability\tprice"
    three = [["S. No.", "Product Name", "Input Image Urls"], [1, "Mug", a], [2, "Cup", f"{b},{c}"]]
    return [
        Export(
            "shopify.csv",
            _csv(
                "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
                "Option1 Value,Option1 Linked To,Variant SKU,Variant Grams,Variant Inventory Tracker,"
                "Variant Price,Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,"
                "Variant Image,Variant Weight Unit,Cost per item,Status",
                {
                    "Handle": "mug",
                    "Title": "Mug",
                    "Body (HTML)": '<p>Big,\n"blue"</p>',
                    "Image Src": f"{a}?v=17",
                    "Image Position": "1",
                    "Variant Image": f"{a}?v=17",
                },
                {"Handle": "mug", "Image Src": b, "Image Position": "2", "Option1 Value": "red"},
                {"Handle": "cup", "Title": "Cup", "Published": "false"},
            ),
            "shopify",
            ["Image Src", "Variant Image"],
            3,
            3,
        ),
        Export(
            "woocommerce.csv",
            _csv(
                "ID,Type,SKU,Name,Published,Is featured?,Visibility in catalog,Short description,"
                "Description,Tax status,In stock?,Stock,Regular price,Categories,Images,Parent",
                {"ID": "1", "Type": "variable", "SKU": "m", "Name": "Mug", "Images": f"{a}, {b}"},
                {"ID": "2", "Type": "variation", "SKU": "m-1", "Name": "Mug - red", "Parent": "m"},
                {"ID": "3", "Type": "simple", "SKU": "c", "Name": "Cup", "Images": c},
                encoding="utf-8-sig",
            ),
            "woocommerce",
            ["Images"],
            3,
            3,
        ),
        Export(
            "magento.csv",
            _csv(
                "sku,store_view_code,attribute_set_code,product_type,categories,name,price,base_image,"
                "base_image_label,small_image,thumbnail_image,swatch_image,additional_images,qty",
                {
                    "sku": "m",
                    "name": "Mug",
                    "base_image": "/a.jpg",
                    "small_image": "/a.jpg",
                    "thumbnail_image": "no_selection",
                    "additional_images": "/b.jpg,/c.jpg",
                },
                {"sku": "n", "name": "No picture yet"},
            ),
            "magento",
            ["base_image", "small_image", "thumbnail_image", "additional_images"],
            4,
            2,
            {"base_url": base},
        ),
        Export(
            "bigcommerce.csv",
            _csv(
                "Item Type,Product ID,Product Name,Product Type,Product Code/SKU,Brand Name,Price,"
                "Product Image ID - 1,Product Image File - 1,Product Image Description - 1,"
                "Product Image Is Thumbnail - 1,Product Image Sort - 1,Product Image ID - 2,"
                "Product Image File - 2",
                {
                    "Item Type": "Product",
                    "Product Name": "Mug",
                    "Product Image File - 1": a,
                    "Product Image File - 2": b,
                },
            ),
            "bigcommerce",
            ["Product Image File - 1", "Product Image File - 2"],
            2,
            1,
        ),
        Export(
            "prestashop.csv",
            _csv(
                "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Reference #;"
                "Summary;Image URLs (x,y,z...);Image alt texts (x,y,z...);Condition",
                {
                    "Product ID": "1",
                    "Name *": "Mug",
                    "Summary": "<p>New; design</p>",
                    "Image URLs (x,y,z...)": f"{a},{b}",
                },
                {"Product ID": "2", "Name *": "Cup"},
                delimiter=";",
            ),
            "prestashop",
            ["Image URLs (x,y,z...)"],
            2,
            2,
            delimiter=";",
        ),
        Export(
            "google.tsv",
            _csv(
                f"{google}\tbrand\tgtin",
                {
                    "id": "1",
                    "title": "Mug",
                    "link": base,
                    "image_link": f"{a}?w=1&amp;h=2",
                    "additional_image_link": f"{b},{c}",
                },
                {"id": "2", "title": "Cup", "image_link": c},
                delimiter="\t",
            ),
            "google_merchant",
            ["image_link", "additional_image_link"],
            4,
            2,
            delimiter="\t",
        ),
        Export(
            "facebook.csv",
            _csv(
                "id,title,description,availability,condition,price,link,image_link,brand,"
                "fb_product_category,additional_image_link",
                {"id": "1", "title": "Mug", "image_link": a, "additional_image_link": b},
            ),
            "facebook",
            ["image_link", "additional_image_link"],
            2,
            1,
        ),
        Export(
            "etsy.csv",
            _csv(
                "TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,TAGS,IMAGE1,IMAGE2,IMAGE3,SKU",
                {
                    "TITLE": "Mug",
                    "DESCRIPTION": "- blue\n- big",
                    "IMAGE1": a,
                    "IMAGE2": b,
                    "SKU": "m",
                },
            ),
            "etsy",
            ["IMAGE1", "IMAGE2", "IMAGE3"],
            2,
            1,
        ),
        Export(
            "squarespace.csv",
            _csv(
                "Product ID [Non Editable],Variant ID [Non Editable],Product Type [Non Editable],"
                "Product Page,Product URL,Title,Description,SKU,Option Name 1,Option Value 1,Price,"
                "Stock,Visible,Hosted Image URLs",
                {"Title": "Mug", "SKU": "m", "Hosted Image URLs": f"{a} {b}"},
            ),
            "squarespace",
            ["Hosted Image URLs"],
            2,
            1,
        ),
        Export(
            "wix.csv",
            _csv(
                "handleId,fieldType,name,description,productImageUrl,collection,sku,price,visible",
                {
                    "handleId": "p1",
                    "fieldType": "Product",
                    "name": "Mug",
                    "productImageUrl": "a.jpg;b.jpg",
                },
                {"handleId": "p1", "fieldType": "Variant"},
            ),
            "wix",
            ["productImageUrl"],
            2,
            2,
            {"base_url": base},
        ),
        Export(
            "wix-catalog.csv",
            _csv(
                "handle,fieldType,name,visible,plainDescription,media,mediaAltText,ribbon,brand,price,sku",
                {"handle": "mug", "fieldType": "PRODUCT", "name": "Mug", "media": a},
                {"handle": "mug", "fieldType": "MEDIA", "media": b},
                {"handle": "mug", "fieldType": "VARIANT", "sku": "m-1"},
            ),
            "wix",
            ["media"],
            2,
            3,
        ),
        Export(
            "amazon.txt",
            _csv(
                "feed_product_type\titem_sku\tbrand_name\titem_name\tstandard_price\tmain_image_url\t"
                "other_image_url1\tother_image_url2\tswatch_image_url",
                {"item_sku": "m", "item_name": "Mug", "main_image_url": a, "other_image_url1": b},
                delimiter="\t",
                above="TemplateType=home\tVersion=2026.1129\t\t\n"
                "Product Type\tSeller SKU\tBrand\tItem Name\tPrice\tMain Image URL\tOther Image\n",
            ),
            "amazon",
            ["main_image_url", "other_image_url1", "other_image_url2", "swatch_image_url"],
            2,
            1,
            delimiter="\t",
        ),
        Export(
            "akeneo.csv",
            _csv(
                "uuid;sku;categories;enabled;family;groups;name-en_US;an_image;an_image_alt-en_US;"
                "picture_2",
                {
                    "sku": "m",
                    "name-en_US": "Mug",
                    "an_image": "a.jpg",
                    "an_image_alt-en_US": "Front view",
                    "picture_2": "b.jpg",
                },
                delimiter=";",
            ),
            "akeneo",
            ["an_image", "picture_2"],
            2,
            1,
            {"base_url": base},
            delimiter=";",
        ),
        Export(
            "opencart.csv",
            _csv(
                "product_id,name(en-gb),categories,sku,upc,quantity,model,image_name,price",
                {"product_id": "1", "name(en-gb)": "Mug", "model": "m", "image_name": "a.jpg"},
            ),
            "opencart",
            ["image_name"],
            1,
            1,
            {"base_url": base},
        ),
        Export(
            "shopware.csv",
            _csv(
                "id;parent_id;product_number;active;stock;name;description;price_net;price_gross;"
                "cover_media_id;cover_media_url;cover_media_title;manufacturer_name;media",
                {"product_number": "m", "name": "Mug", "cover_media_url": a, "media": f"{b}|{c}"},
                delimiter=";",
            ),
            "shopware",
            ["cover_media_url", "media"],
            3,
            1,
            delimiter=";",
        ),
        Export(
            "airtable.csv",
            _csv(
                "Name,Notes,Attachments,Price",
                {"Name": "Mug", "Attachments": f"mug (1).jpg ({a}?ts=1&s=x),mug 2.jpg ({b})"},
                encoding="utf-8-sig",
            ),
            "airtable",
            ["Attachments"],
            2,
            1,
        ),
        Export(
            "notion.csv",
            _csv("Name,Files & media,Tags", {"Name": "Mug", "Files & media": f"mug.jpg ({a})"}),
            "notion",
            ["Files & media"],
            1,
            1,
        ),
        Export(
            "excel.csv",
            _csv(
                "Artikelnummer;Bezeichnung;Preis;Bild-URLs",
                {
                    "Artikelnummer": "4711",
                    "Bezeichnung": "„Große“ Tasse",
                    "Preis": "12,90 €",
                    "Bild-URLs": f"{a}; {b}",
                },
                {"Bezeichnung": "Summe", "Preis": "12,90 €"},
                delimiter=";",
                encoding="cp1252",
                above="Preisliste 2026\r\n\r\n",
            ),
            "detected",
            ["Bild-URLs"],
            2,
            2,
            delimiter=";",
        ),
        Export("products.xlsx", _xlsx(three), "imgcompress", ["Input Image Urls"], 3, 2),
        Export(
            "products.csv.gz",
            gzip.compress(_plain(three), mtime=0),
            "imgcompress",
            ["Input Image Urls"],
            3,
            2,
        ),
        Export("products.zip", _zip(_plain(three)), "imgcompress", ["Input Image Urls"], 3, 2),
    ]


def _plain(rows: list[list[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _xlsx(rows: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _zip(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("export/products.csv", content)
    return target.getvalue()
