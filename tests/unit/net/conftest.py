"""Policies and origins for the guard's tests."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from imgcompress.net import DialPolicy

from tests.origin import HostileOrigin, PlainOrigin

LOOPBACK = DialPolicy((ip_network("127.0.0.0/8"),), ((1, 65_535),))
# Any port, so that what is rejected is the address.
PUBLIC = DialPolicy((), ((1, 65_535),))


@pytest.fixture
def canary() -> Iterator[PlainOrigin]:
    """A listener on loopback that nobody may reach."""
    with PlainOrigin({"/": (200, "text/plain", b"secret")}) as origin:
        yield origin
    assert origin.connections == 0


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """A well-behaved origin."""
    with PlainOrigin({"/a.jpg": (200, "image/jpeg", b"\xff\xd8 an image")}) as origin:
        yield origin


@pytest.fixture
def hostile() -> Iterator[HostileOrigin]:
    """An origin that misbehaves, dripping quickly."""
    with HostileOrigin(drip_seconds=0.05) as origin:
        yield origin
