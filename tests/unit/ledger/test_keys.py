"""API keys: shown once, kept as hashes, one for each name."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from imgcompress.ledger.api_keys import create_key, list_keys, owner_of, revoke_key
from imgcompress.ledger.session import reading

pytestmark = pytest.mark.usefixtures("app")


def _create(name: str) -> str:
    token = create_key(name)
    assert token is not None
    return token


def test_a_token_leads_to_its_name() -> None:
    shop, agency = _create("shop"), _create("agency")
    assert (owner_of(shop), owner_of(agency)) == ("shop", "agency")


@pytest.mark.parametrize("token", ["", "imgc_", "imgc_" + "A" * 43, "shop", "é\0"])
def test_other_tokens_lead_nowhere(token: str) -> None:
    _create("shop")
    assert owner_of(token) is None


def test_the_ledger_holds_no_token(app: Flask) -> None:
    token = _create("shop")
    with reading() as session:
        row = " ".join(map(str, session.execute(text("SELECT * FROM api_key")).one()))
    assert token not in row and token[12:] not in row
    (key,) = list_keys()
    assert token.startswith(key.prefix) and len(key.prefix) == 12


def test_a_name_has_one_key() -> None:
    token = _create("shop")
    assert create_key("shop") is None
    assert owner_of(token) == "shop"


def test_a_revoked_key_ends_at_once_and_can_be_replaced() -> None:
    old = _create("shop")
    assert revoke_key("shop") is True
    assert owner_of(old) is None
    assert revoke_key("shop") is False
    assert list_keys()[0].revoked_at is not None
    new = _create("shop")
    assert (owner_of(old), owner_of(new)) == (None, "shop")
    assert list_keys()[0].revoked_at is None


def test_keys_are_listed_by_name() -> None:
    for name in ("shop", "agency"):
        _create(name)
    assert [key.name for key in list_keys()] == ["agency", "shop"]
