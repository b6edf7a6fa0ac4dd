"""Addresses: what is public, what an allowed network opens, and what it never opens."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from imgcompress.net import DialPolicy
from imgcompress.net.addresses import METADATA, embedded_ipv4, reason_to_block


def allowing(*networks: str) -> DialPolicy:
    return DialPolicy(tuple(map(ip_network, networks)))


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "100.63.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
    ],
)
def test_public_addresses_pass(address):
    assert reason_to_block(ip_address(address), DialPolicy()) is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.255.255.255",
        "127.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "198.19.255.255",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001:10::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
    ],
)
def test_special_addresses_are_rejected(address):
    assert reason_to_block(ip_address(address), DialPolicy())


@pytest.mark.parametrize(
    "address",
    [
        "::8.8.8.8",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:0:808:808::",
        "2a00:1450:4001::5efe:808:808",
        "2a00:1450:4001::200:5efe:808:808",
        "64:ff9b:1:808:8:800::",
        "64:ff9b:1::8.8.8.8",
    ],
)
def test_every_form_that_embeds_ipv4_is_recognised_and_rejected(address):
    assert ip_address("8.8.8.8") in set(embedded_ipv4(IPv6Address(address)))
    assert reason_to_block(ip_address(address), DialPolicy())


def test_teredo_embeds_its_client_inverted():
    assert ip_address("10.0.0.1") in set(embedded_ipv4(IPv6Address("2001:0:808:808::f5ff:fffe")))


def test_an_allowed_network_allows_no_other():
    policy = allowing("10.1.0.0/16", "fd12::/16")
    assert reason_to_block(ip_address("10.1.2.3"), policy) is None
    assert reason_to_block(ip_address("fd12::1"), policy) is None
    assert reason_to_block(ip_address("10.2.0.1"), policy)
    assert reason_to_block(ip_address("fd13::1"), policy)


def test_an_allowed_gateway_forwards_only_to_public_addresses():
    policy = allowing("64:ff9b::/96")
    assert reason_to_block(ip_address("64:ff9b::8.8.8.8"), policy) is None
    assert reason_to_block(ip_address("64:ff9b::10.0.0.1"), policy)
    assert reason_to_block(ip_address("64:ff9b::169.254.169.254"), policy)


@pytest.mark.parametrize("address", sorted(METADATA, key=str), ids=str)
def test_metadata_addresses_are_rejected_unless_listed_exactly(address):
    everything = ("0.0.0.0/0", "::/0")
    assert reason_to_block(address, allowing(*everything))
    assert reason_to_block(address, allowing(str(address))) is None


def test_an_address_with_a_zone_is_rejected():
    assert reason_to_block(ip_address("2a00:1450:4001::1%eth0"), DialPolicy())
    assert reason_to_block(ip_address("fe80::1%eth0"), allowing("fe80::/10"))
