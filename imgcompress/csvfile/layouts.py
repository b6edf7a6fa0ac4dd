"""The exports of shops and tools, as data: how to know each, and which of its columns matter.

Names are compared with case, blanks and punctuation folded; in a name with a `*`, which stands for
any text, only case is folded. A layout is known by all of its `marks` and, where it has some, by
one of its `hints`. The first that is known counts, so that a special one stands before a general
one.

The names of columns are those of public documentation, as of 2026:

* Shopify: help.shopify.com/en/manual/products/import-export/using-csv, and its template, which now
  has `URL handle`, `Product image URL` and `Variant image URL`
* WooCommerce: github.com/woocommerce/woocommerce/wiki/Product-CSV-Importer-&-Exporter
* Magento: experienceleague.adobe.com/docs/commerce-admin/systems/data-transfer/import/
  product-import.html
* BigCommerce: support.bigcommerce.com, “Importing Complex Attributes” (`Image URL (Import)`), and
  “Importing and Exporting Products (v2)” (`Product Image File - 1`)
* PrestaShop: the fields of the import page in its source, AdminImportController
* Google: support.google.com/merchants/answer/6324370; Meta: developers.facebook.com/docs/
  marketing-api/catalog/reference, which also has `image[0].url` and a row of descriptions above
* Squarespace: support.squarespace.com/hc/en-us/articles/115000378108
* Wix: support.wix.com, “Importing Products from Another eCommerce Platform”; of the newer catalogue,
  its template (`handle`, `fieldType`, `media`)
* Amazon: sellercentral.amazon.co.jp/gp/help/external/1641, and the newer templates
  (`main_product_image_locator[…]#1.media_location`)

Those of Etsy, Akeneo, OpenCart, Shopware, Airtable and Notion follow from exports of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownLayout:
    """One export: its name, how it is known, and its columns of images, names and identifiers.

    Of `names` and `ids` the first that is there is taken.
    """

    name: str
    marks: tuple[str, ...]
    urls: tuple[str, ...]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    hints: tuple[str, ...] = ()


KNOWN_LAYOUTS = (
    KnownLayout(
        "shopify",
        ("Handle", "Title", "Image Src"),
        ("Image Src", "Variant Image"),
        ("Title",),
        ("Handle",),
    ),
    KnownLayout(
        "shopify",
        ("URL handle", "Title", "Product image URL"),
        ("Product image URL", "Variant image URL"),
        ("Title",),
        ("URL handle",),
    ),
    KnownLayout(
        "woocommerce", ("Type", "SKU", "Name", "Images"), ("Images",), ("Name",), ("SKU", "ID")
    ),
    KnownLayout(
        "magento",
        ("sku", "base_image"),
        ("base_image", "small_image", "thumbnail_image", "additional_images"),
        ("name",),
        ("sku",),
    ),
    KnownLayout(
        "bigcommerce",
        ("Product Name",),
        ("Product Image URL - *", "Product Image File - *"),
        ("Product Name",),
        ("Product Code/SKU", "Product ID"),
        hints=("Product Image File - *", "Product Image URL - *"),
    ),
    KnownLayout(
        "bigcommerce",
        ("Item", "Name", "SKU"),
        ("Internal Image URL (Export)", "Image URL (Import)", "Variant Image URL"),
        ("Name",),
        ("SKU", "ID"),
        hints=("Internal Image URL (Export)", "Image URL (Import)"),
    ),
    KnownLayout(
        "prestashop",
        ("Image URLs (x,y,z...)",),
        ("Image URLs (x,y,z...)",),
        ("Name", "Name *"),
        ("Product ID", "ID", "Reference", "Reference #"),
    ),
    KnownLayout(
        "facebook",
        ("id", "title", "image_link"),
        ("image_link", "additional_image_link"),
        ("title",),
        ("id",),
        hints=(
            "fb_product_category",
            "quantity_to_sell_on_facebook",
            "rich_text_description",
            "commerce_tax_category",
            "offer_price",
            "video[*].url",
        ),
    ),
    KnownLayout(
        "facebook",
        ("id", "title", "image[0].url"),
        ("image[*].url", "image_link", "additional_image_link"),
        ("title",),
        ("id",),
    ),
    KnownLayout(
        "google_merchant",
        ("id", "title", "image_link"),
        ("image_link", "additional_image_link", "lifestyle_image_link"),
        ("title",),
        ("id",),
    ),
    KnownLayout("etsy", ("TITLE", "CURRENCY_CODE", "IMAGE1"), ("IMAGE*",), ("TITLE",), ("SKU",)),
    KnownLayout(
        "squarespace",
        ("Title", "Hosted Image URLs"),
        ("Hosted Image URLs",),
        ("Title",),
        ("SKU", "Product ID [Non Editable]"),
    ),
    KnownLayout(
        "wix",
        ("handleId", "fieldType", "productImageUrl"),
        ("productImageUrl",),
        ("name",),
        ("handleId",),
    ),
    KnownLayout("wix", ("handle", "fieldType", "media"), ("media",), ("name",), ("handle",)),
    KnownLayout(
        "amazon",
        ("item_sku", "main_image_url"),
        ("main_image_url", "other_image_url*", "swatch_image_url"),
        ("item_name",),
        ("item_sku",),
    ),
    KnownLayout(
        "amazon",
        ("main_product_image_locator*",),
        (
            "main_product_image_locator*",
            "other_product_image_locator*",
            "swatch_product_image_locator*",
        ),
        ("item_name*",),
        ("contribution_sku*", "::contribution_sku*"),
    ),
    KnownLayout(
        "akeneo",
        ("family", "categories", "enabled"),
        ("image*", "picture*", "photo*", "*_image", "*_picture"),
        ("name*", "label*"),
        ("sku", "identifier", "uuid"),
    ),
    KnownLayout(
        "opencart",
        ("product_id", "model", "image_name"),
        ("image_name",),
        ("name(*",),
        ("sku", "product_id"),
    ),
    KnownLayout("opencart", ("product_id", "image", "sort_order"), ("image",), (), ("product_id",)),
    KnownLayout(
        "shopware",
        ("product_number", "cover_media_url"),
        ("cover_media_url", "media"),
        ("name",),
        ("product_number",),
    ),
    KnownLayout(
        "shopware", ("ordernumber", "imageUrl"), ("imageUrl",), ("name",), ("ordernumber",)
    ),
    KnownLayout("airtable", ("Name", "Attachments"), ("Attachments",), ("Name",), ()),
    KnownLayout("notion", ("Name", "Files & media"), ("Files & media",), ("Name",), ()),
)

# What the names and the identifiers of products are usually called, for tables of no known layout.
USUAL_NAMES = (
    "product name",
    "name",
    "title",
    "product title",
    "item name",
    "item",
    "product",
    "bezeichnung",
    "artikelbezeichnung",
    "artikelname",
    "produktname",
    "titel",
    "nom",
    "nombre",
    "nome",
    "description",
)
USUAL_IDS = (
    "sku",
    "id",
    "product id",
    "item id",
    "article number",
    "item number",
    "product code",
    "handle",
    "ean",
    "gtin",
    "artikelnummer",
    "artikel-nr",
    "artnr",
    "référence",
    "reference",
    "ref",
    "referencia",
    "codice",
    "code",
)
