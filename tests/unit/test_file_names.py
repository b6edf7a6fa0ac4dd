"""Names of files that others save."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcompress.file_names import STEM_BYTES, ascii_name, name_in_url, output_name, safe_stem

DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$|clock\$) *(\.|$)", re.I)


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("-rf", "_-rf"),
        ("--checkpoint-action=exec=sh x.sh", "_--checkpoint-action=exec=sh x.sh"),
        ("－rf", "_－rf"),
        ("~root", "_~root"),
        ("@list", "_@list"),
        ("=1+1", "_=1+1"),
        ("+1", "_+1"),
        (" -x", "_-x"),
        ("./-x", "_-x"),
        (".ssh", "ssh"),
        ("a.", "a"),
        ("a. .", "a"),
        ("CON", "_CON"),
        ("nul", "_nul"),
        ("Com1.x", "_Com1.x"),
        ("lpt¹", "_lpt¹"),
        ("aux .b", "_aux .b"),
        ("console", "console"),
        ("com10", "com10"),
        ("a-b", "a-b"),
        ("\u200b-x", "_-x"),
        ("...", ""),
        ("", ""),
        ("Größe 42 – 商品", "Größe 42 – 商品"),
        ("(2024) Lamp", "(2024) Lamp"),
    ],
)
def test_a_stem_is_no_option_home_device_or_hidden_file(text: str, stem: str) -> None:
    assert safe_stem(text) == stem


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("products.csv", "products-compressed.csv"),
        ("-rf.csv", "_-rf-compressed.csv"),
        (".csv", "csv-compressed.csv"),
        ("...", "upload-compressed.csv"),
        ("con.a.csv", "_con.a-compressed.csv"),
    ],
)
def test_output_files_are_named_after_their_input(source: str, name: str) -> None:
    assert output_name(source, "-compressed.csv") == name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("products.zip", "products.zip"),
        ("Größe.zip", "Groe.zip"),
        ("商-x.zip", "_-x.zip"),
        ("商.zip", "upload.zip"),
        ("ＣＯＮ.zip", "_CON.zip"),
        ("a／..／b＂.zip", "a..b.zip"),
        ("⑽" * 60 + ".zip", "(10)" * 45 + ".zip"),
    ],
)
def test_a_name_in_ascii_is_as_safe(name: str, plain: str) -> None:
    assert ascii_name(name) == plain


@given(
    st.lists(
        st.one_of(
            st.characters(exclude_categories=["Cs"]),
            st.sampled_from(
                ["-", "~", ".", " ", "/", "\\", "con", "NUL", "com1", "－", "\u00ad", "商" * 90]
            ),
        ),
        max_size=8,
    ).map("".join)
)
def test_a_file_name_is_plain_for_any_input(text: str) -> None:
    stem = safe_stem(text)
    assert stem.isprintable() and len(stem.encode()) <= STEM_BYTES + 1
    assert not set(stem) & set('/\\:*?"<>|') and stem == stem.strip(" .")
    assert not unicodedata.normalize("NFKC", stem).startswith(("-", "~", "@", "+", "="))
    assert not DEVICE.match(stem)
    name = ascii_name(output_name(text, ".zip"))
    assert name.isascii() and name.endswith(".zip")
    assert safe_stem(name.removesuffix(".zip")) == name.removesuffix(".zip")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/a/front.jpg", "front"),
        ("/a/front.side.JPEG", "front.side"),
        ("front", "front"),
        ("/a/b%20c%2Fd.png", "b-c-d"),
        ("/Größe 42.jpg", "Groe-42"),
        ("/café.jpg", "cafe"),
        ("/商品.jpg", "image"),
        ("/", "image"),
        ("", "image"),
        ("/...", "image"),
        ("/.jpg", "jpg"),
        ("/a/photo-2.5", "photo-2.5"),
        ("/view.php", "view"),
        ("/-rf.jpg", "rf"),
        ("/%00%0d%0aSet-Cookie:a.jpg", "Set-Cookie-a"),
        ("/" + "a" * 300 + ".jpg", "a" * 100),
        ("/%252e%252e.jpg", "2e-2e"),
        ("/front/", "front"),
        ("Lamp, red", "Lamp-red"),
    ],
)
def test_the_name_in_an_address_is_plain(source: str, name: str) -> None:
    assert name_in_url(source) == name


@given(st.text())
def test_a_name_in_an_address_needs_no_quotation(source: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", name_in_url(source))
