"""Which addresses may be dialled.

The lists are our own because `ipaddress.is_global` and `is_private` miss NAT64, 6to4,
IPv4-mapped and other forms on Python 3.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ..config import IPNetwork, PortRanges
from ..urls import DEFAULT_PORTS

USUAL_PORTS: PortRanges = tuple((port, port) for port in DEFAULT_PORTS.values())


@dataclass(frozen=True)
class DialPolicy:
    """The private networks and the ports that may be dialled (see `.env.example`)."""

    allowed_networks: tuple[IPNetwork, ...] = ()
    allowed_ports: PortRanges = USUAL_PORTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.allowed_networks, self.allowed_ports)))

    def __hash__(self) -> int:
        # Computed once: each URL is looked up by its policy.
        return int(self._hash)  # type: ignore[attr-defined]

    def allows_port(self, port: int) -> bool:
        """Return whether this port may be dialled."""
        return any(low <= port <= high for low, high in self.allowed_ports)


Address = IPv4Address | IPv6Address

# The IANA special-purpose registry (RFC 6890 and its successors), multicast and reserved space.
DENIED_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)

GLOBAL_UNICAST_IPV6 = IPv6Network("2000::/3")
DENIED_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)

# Where clouds hand out credentials to any client inside. Some are in public space, and an
# allowed private network must not open those within it as a side effect.
METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, Oracle, DigitalOcean and others
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure wire server
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS EKS pod identity
        "fd20:ce::254",  # Google
    )
)

# IPv6 networks whose last 32 bits are an IPv4 address.
ENDING_IN_IPV4 = tuple(
    IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible, RFC 4291
        "::ffff:0:0/96",  # IPv4-mapped, RFC 4291
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # NAT64 for local use, RFC 8215, with a prefix of 96 bits
    )
)
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
SIX_TO_FOUR = IPv6Network("2002::/16")
TEREDO = IPv6Network("2001::/32")
# The middle of an ISATAP interface identifier, RFC 5214, the universal bit taken out.
ISATAP_MARK = 0x00005EFE
UNIVERSAL_BIT = 0x02000000
UNSPECIFIED = IPv4Address(0)


def refusal(address: Address, policy: DialPolicy) -> str | None:
    """Return None if this address may be dialled, or the reason (for the log) why not.

    An allowed network opens the address itself; an IPv4 address within it must pass on its own.
    """
    if isinstance(address, IPv4Address):
        return _refusal_of_one(address, policy)
    if address.scope_id:
        return f"{address} has a zone"
    parts: tuple[Address, ...] = (address, *embedded_ipv4(address))
    return next((reason for part in parts if (reason := _refusal_of_one(part, policy))), None)


def embedded_ipv4(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield each IPv4 address to which a gateway might forward packets for this address."""
    bits = int(address)
    candidates = []
    if any(address in network for network in ENDING_IN_IPV4):
        candidates.append(bits)
    if address in NAT64_LOCAL:
        # RFC 6052 puts 16 bits before and 16 bits after the reserved octet of bits 64 to 71.
        candidates.append((bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF)
    if address in SIX_TO_FOUR:
        candidates.append(bits >> 80)
    if address in TEREDO:
        candidates += [bits >> 64, ~bits]
    if (bits >> 32 & 0xFFFFFFFF & ~UNIVERSAL_BIT) == ISATAP_MARK:
        candidates.append(bits)
    for candidate in candidates:
        found = IPv4Address(candidate & 0xFFFFFFFF)
        if found != UNSPECIFIED:
            yield found


def _refusal_of_one(address: Address, policy: DialPolicy) -> str | None:
    if address in METADATA and ip_network(address) not in policy.allowed_networks:
        return f"{address} is a cloud metadata address"
    if any(address in network for network in policy.allowed_networks):
        return None
    return None if _is_public(address) else f"{address} is not public"


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in DENIED_IPV4)
    return (
        address in GLOBAL_UNICAST_IPV6
        and not any(True for _ in embedded_ipv4(address))
        and not any(address in network for network in DENIED_IPV6)
    )
