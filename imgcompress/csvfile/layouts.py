"""The exports of shops and tools, as data: how to know each, and which of its columns matter.

Names are compared with case, blanks and punctuation folded; in a name with a `*`, which stands for
any text, only case is folded. A layout is known by all of its `marks` and, where it has some, by
one of its `hints`. The first that is known counts, so that a special one stands before a general
one.

Above each stands where the names of its columns were read, as of 2026: the maker's documentation,
source code or tests, or else samples. docs/catalogues.md says which have no document of the maker.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownLayout:
    """One export: its name, how it is known, and its columns of images, names and identifiers.

    Of `names` and `ids` the first that is there is taken. Columns of `perhaps` may mean something
    else: one is read only if its cells hold URLs or names of image files.
    """

    name: str
    marks: tuple[str, ...]
    urls: tuple[str, ...]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    hints: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()


KNOWN_LAYOUTS = (
    # help.shopify.com/en/manual/products/import-export/using-csv, and the exports of earlier years.
    KnownLayout(
        "shopify",
        ("Handle", "Title", "Image Src"),
        ("Image Src", "Variant Image"),
        ("Title",),
        ("Handle",),
    ),
    # The sample file of that page, product_template.csv.
    KnownLayout(
        "shopify",
        ("URL handle", "Title", "Product image URL"),
        ("Product image URL", "Variant image URL"),
        ("Title",),
        ("URL handle",),
    ),
    # github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/sample-data/
    # sample_products.csv
    KnownLayout(
        "woocommerce", ("Type", "SKU", "Name", "Images"), ("Images",), ("Name",), ("SKU", "ID")
    ),
    # experienceleague.adobe.com/docs/commerce-admin/systems/data-transfer/
    # data-attributes-product.html
    KnownLayout(
        "magento",
        ("sku", "base_image"),
        ("base_image", "small_image", "thumbnail_image", "additional_images"),
        ("name",),
        ("sku",),
    ),
    # support.bigcommerce.com, “Importing and Exporting Products (v2)”.
    KnownLayout(
        "bigcommerce",
        ("Product Name",),
        ("Product Image URL - *", "Product Image File - *"),
        ("Product Name",),
        ("Product Code/SKU", "Product ID"),
        hints=("Product Image File - *", "Product Image URL - *"),
    ),
    # support.bigcommerce.com, “Importing Complex Attributes”.
    KnownLayout(
        "bigcommerce",
        ("Item", "Name", "SKU"),
        ("Internal Image URL (Export)", "Image URL (Import)", "Variant Image URL"),
        ("Name",),
        ("SKU", "ID"),
        hints=("Internal Image URL (Export)", "Image URL (Import)"),
    ),
    # github.com/PrestaShop/PrestaShop, controllers/admin/AdminImportController.php: the labels of the
    # import page, which its sample files have as a header.
    KnownLayout(
        "prestashop",
        ("Image URLs (x,y,z...)",),
        ("Image URLs (x,y,z...)",),
        ("Name", "Name *"),
        ("Product ID", "ID", "Reference", "Reference #"),
    ),
    # developers.facebook.com/docs/marketing-api/catalog/reference
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
    # The template there, which has a row of descriptions above the header.
    KnownLayout(
        "facebook",
        ("id", "title", "image[0].url"),
        ("image[*].url", "image_link", "additional_image_link"),
        ("title",),
        ("id",),
    ),
    # support.google.com/merchants/answer/6324370
    KnownLayout(
        "google_merchant",
        ("id", "title", "image_link"),
        ("image_link", "additional_image_link", "lifestyle_image_link"),
        ("title",),
        ("id",),
    ),
    # Samples of EtsyListingsDownload.csv; Etsy has no document of its columns.
    KnownLayout("etsy", ("TITLE", "CURRENCY_CODE", "IMAGE1"), ("IMAGE*",), ("TITLE",), ("SKU",)),
    # support.squarespace.com/hc/en-us/articles/115000378108
    KnownLayout(
        "squarespace",
        ("Title", "Hosted Image URLs"),
        ("Hosted Image URLs",),
        ("Title",),
        ("SKU", "Product ID [Non Editable]"),
    ),
    # support.wix.com, “Importing Products from Another eCommerce Platform”.
    KnownLayout(
        "wix",
        ("handleId", "fieldType", "productImageUrl"),
        ("productImageUrl",),
        ("name",),
        ("handleId",),
    ),
    # The template of the newer catalogue.
    KnownLayout("wix", ("handle", "fieldType", "media"), ("media",), ("name",), ("handle",)),
    # sellercentral.amazon.co.jp/gp/help/external/1641
    KnownLayout(
        "amazon",
        ("item_sku", "main_image_url"),
        ("main_image_url", "other_image_url*", "swatch_image_url"),
        ("item_name",),
        ("item_sku",),
    ),
    # Samples of the newer templates.
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
    # github.com/akeneo/pim-community-dev, the tests of exports: sku;categories;enabled;family;groups,
    # then a column for each attribute, of which an installation chooses the codes. A code may be
    # followed by a locale and a channel. With media, cells hold paths such as
    # files/sku1/an_image/akeneo.png, within the ZIP of the export.
    KnownLayout(
        "akeneo",
        ("family", "categories", "enabled"),
        (),
        ("name*", "label*"),
        ("sku", "identifier", "uuid"),
        perhaps=("*image*", "*picture*", "*photo*"),
    ),
    # github.com/ruOpenCart/export-import-tool and others: the sheets “Products” and
    # “AdditionalImages” of the tool Export/Import; `additional image names` until OpenCart 1.5.
    KnownLayout(
        "opencart",
        ("product_id", "model", "image_name"),
        ("image_name", "additional image names"),
        ("name(*", "name"),
        ("sku", "product_id"),
    ),
    KnownLayout("opencart", ("product_id", "image", "sort_order"), ("image",), (), ("product_id",)),
    # github.com/shopware/shopware, the migrations of import_export_profile: “Default product”. In
    # `media` some versions write URLs, others the identifiers of media.
    KnownLayout(
        "shopware",
        ("product_number", "cover_media_url"),
        ("cover_media_url",),
        ("name",),
        ("product_number",),
        perhaps=("media",),
    ),
    # The profile “Default media” there.
    KnownLayout("shopware", ("folder_id", "url", "private"), ("url",), ("title",), ("id",)),
    # Samples of Shopware 5.
    KnownLayout(
        "shopware", ("ordernumber", "imageUrl"), ("imageUrl",), ("name",), ("ordernumber",)
    ),
    # The columns are named by the user; these are the names of a new table. Samples, for the form
    # of the cells: `name (URL)`.
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
