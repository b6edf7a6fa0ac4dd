"""Encodings from before UTF-8, stray bytes, and quotation marks as other programs write them."""

from __future__ import annotations

import pytest

from imgcompress.csvfile import known_encoding

from .files import HEADER, only_issue, rows_of, surveyed, written

A = "https://a.test/1.jpg"
NAMES = {
    "cp1252": ["Kaffeebecher Müller groß", "Crème brûlée – “torch”", "Señor Año 5 €"],
    "cp1250": ["Žluťoučký kůň", "Łyżka do żurku", "Świeca źródło"],
    "cp1251": ["Кофейная чашка", "Кружка синяя", "Тарелка"],
    "cp1253": ["Κούπα καφέ", "Πιάτο"],
    "cp1254": ["Şişe ığdır", "Çay bardağı"],
    "koi8-r": ["Кофейная чашка", "Кружка"],
    "mac-roman": ["Café crème", "Große Tüte"],
    "cp932": ["コーヒーカップ", "赤いお皿 大", "陶器のポット"],
    "big5": ["咖啡杯 紅色", "陶瓷盤子", "玻璃花瓶"],
    "cp949": ["커피 잔", "빨간 컵", "도자기 접시", "유리 꽃병"],
    "gb18030": ["咖啡杯", "红色陶瓷盘子", "玻璃花瓶"],
}


def table(names: list[str]) -> str:
    return HEADER + "".join(f"{number},{name},{A}\n" for number, name in enumerate(names, 1))


@pytest.mark.parametrize("encoding", list(NAMES))
@pytest.mark.parametrize("rows", [1, 100])
def test_an_old_encoding_is_detected(encoding: str, rows: int) -> None:
    names = NAMES[encoding] * rows
    content = table(names).encode(encoding)
    found = surveyed(content[:4_000].rpartition(b"\n")[0])
    assert found.layout is not None and found.layout.format.encoding.name == encoding
    assert NAMES[encoding][0] in written(content[:4_000].rpartition(b"\n")[0]).decode()


@pytest.mark.parametrize("encoding", list(NAMES))
@pytest.mark.parametrize("name", [0, 1])
def test_an_encoding_that_the_caller_names_is_taken(encoding: str, name: int) -> None:
    found = known_encoding(encoding.upper().replace("-", "_"))
    (row,) = rows_of(table([NAMES[encoding][name]]).encode(encoding), encoding=found)
    assert row.product_name == NAMES[encoding][name]


def test_an_encoding_that_does_not_fit_is_reported() -> None:
    issue = only_issue(table(["Müller"]).encode("cp1252"), encoding="utf-8")
    assert (issue.code, issue.row) == ("wrong_encoding", None)
    assert "not in the encoding utf-8" in issue.message


@pytest.mark.parametrize(
    "name, known",
    [
        ("Windows-1251", "cp1251"),
        ("GBK", "gbk"),
        ("shift-jis", "shift_jis"),
        ("utf8", "utf-8"),
        ("utf-16", "utf-16"),
        ("latin1", "iso8859-1"),
        ("rot13", None),
        ("base64", None),
        ("unicode_escape", None),
        ("idna", None),
        ("no such", None),
        ("a\0b", None),
        ("", None),
    ],
)
def test_the_name_of_an_encoding_is_known_or_not(name: str, known: str | None) -> None:
    assert known_encoding(name) == known


def test_a_stray_byte_garbles_no_other_row_and_gives_a_warning() -> None:
    text = table(["Tasse à café", "Thé", "XX"]).encode().replace(b"XX", b"caf\xe9")
    assert [row.product_name for row in rows_of(text)] == ["Tasse à café", "Thé", "café"]
    (warning,) = surveyed(text).warnings
    assert (warning.code, warning.row, warning.column, warning.value) == (
        "stray_bytes",
        4,
        "Product Name",
        "café",
    )


@pytest.mark.parametrize(
    "line, name",
    [
        (r'1,"size \"XL\" fits",', 'size "XL" fits'),
        (r'1,"say \"a, b\", ok",', 'say "a, b", ok'),
        ('1,"two \\"lines\\"\nhere",', 'two "lines"\nhere'),
        ('1,"C:\\",', "C:\\"),
        (r'1,"5\" wide",', '5" wide'),
    ],
)
def test_quotation_marks_as_php_writes_them(line: str, name: str) -> None:
    rows = rows_of(f"{HEADER}{line}{A}\n2,b,{A}\n")
    assert [(row.product_name, row.urls) for row in rows] == [(name, (A,)), ("b", (A,))]


def test_a_blank_between_separator_and_quotation_mark() -> None:
    text = f'"S. No.", "Product Name", "Input Image Urls"\n"1", "big, red", "{A}"\n'
    (row,) = rows_of(text)
    assert (row.product_name, row.urls, row.cells) == ("big, red", (A,), ("1", "big, red", A))
    assert rows_of(f"{HEADER}1, a ,{A}\n")[0].cells == ("1", " a ", A)


def test_two_byte_order_marks_are_ignored() -> None:
    assert rows_of(f"\ufeff\ufeff{HEADER}1,a,{A}\n")[0].serial_number == "1"
