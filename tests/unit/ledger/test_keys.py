"""API keys: shown once, kept as hashes, two at most for each name."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from imgcompress.ledger.api_keys import TooManyKeys, create_key, list_keys, owner_of, revoke_key
from imgcompress.ledger.session import reading

pytestmark = pytest.mark.usefixtures("app")


def _create(name: str) -> str:
    return create_key(name)


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
    assert token.startswith(key.id) and len(key.id) == 12


def test_two_keys_of_a_name_overlap() -> None:
    old, new = _create("shop"), _create("shop")
    assert (owner_of(old), owner_of(new)) == ("shop", "shop")
    with pytest.raises(TooManyKeys) as rejected:
        create_key("shop")
    assert rejected.value.ids == (old[:12], new[:12])
    assert [key.id for key in list_keys()] == [old[:12], new[:12]]


@pytest.mark.parametrize("revoked, stays", [(0, 1), (1, 0)])
def test_either_of_two_keys_can_be_revoked(revoked: int, stays: int) -> None:
    tokens = _create("shop"), _create("shop")
    assert revoke_key("shop", tokens[revoked][:12]) is True
    assert owner_of(tokens[revoked]) is None and owner_of(tokens[stays]) == "shop"
    assert revoke_key("shop", tokens[revoked][:12]) is False
    third = _create("shop")
    assert (owner_of(third), owner_of(tokens[stays])) == ("shop", "shop")
    assert revoke_key("shop", tokens[stays][:12]) and revoke_key("shop", third[:12])
    assert (owner_of(third), owner_of(tokens[stays])) == (None, None)


def test_all_keys_of_a_name_are_revoked_at_once() -> None:
    tokens = _create("shop"), _create("shop")
    assert revoke_key("shop") is True and revoke_key("shop") is False
    assert [owner_of(token) for token in tokens] == [None, None]


def test_a_revoked_key_ends_at_once_and_can_be_replaced() -> None:
    old = _create("shop")
    assert revoke_key("shop", "imgc_another") is False and revoke_key("none", old[:12]) is False
    assert revoke_key("shop", old[:12]) is True
    assert owner_of(old) is None
    assert revoke_key("shop", old[:12]) is False
    assert list_keys()[0].revoked_at is not None
    new = _create("shop")
    assert (owner_of(old), owner_of(new)) == (None, "shop")
    assert list_keys()[0].revoked_at is None


def test_keys_are_listed_by_name() -> None:
    for name in ("shop", "agency"):
        _create(name)
    assert [key.name for key in list_keys()] == ["agency", "shop"]
