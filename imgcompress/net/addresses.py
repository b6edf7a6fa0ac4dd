"""Which URLs and addresses may be dialled.

The lists are our own because `ipaddress.is_global` and `is_private` miss NAT64, 6to4,
IPv4-mapped and other forms on Python 3.11.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from ..catalogue import DEFAULT_PORTS, MAX_URL_CHARS
from ..errors import NetworkError
from ..setting_parsers import IPNetwork, PortRanges
from ..shipped import SAMPLE_HOST

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

# The metadata services of clouds, which give credentials to any client inside. Some are in public
# space, and an allowed private network must not allow those within it as a side effect.
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
# The middle of an ISATAP interface identifier, RFC 5214, without the universal bit.
ISATAP_MARK = 0x00005EFE
UNIVERSAL_BIT = 0x02000000
UNSPECIFIED = IPv4Address(0)


def reason_to_block(address: Address, policy: DialPolicy) -> str | None:
    """Return None if this address may be dialled, or the reason (for the log) why not.

    An allowed network allows the address itself; an IPv4 address embedded in it must pass
    separately.
    """
    if isinstance(address, IPv4Address):
        return _reason_to_block_itself(address, policy)
    if address.scope_id:
        return f"{address} has a zone"
    parts: tuple[Address, ...] = (address, *embedded_ipv4(address))
    return next(
        (reason for part in parts if (reason := _reason_to_block_itself(part, policy))), None
    )


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


def _reason_to_block_itself(address: Address, policy: DialPolicy) -> str | None:
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


MAX_HOST_CHARS = 253

_ORIGIN = re.compile(r"(https?)://([^/?#]*)", re.I | re.A)
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:@%]+))(?::([0-9]{0,5}))?", re.I | re.A)
_FORBIDDEN = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.I | re.A)
# The other full stops that IDNA reads as a dot (UTS 46, section 2.3).
_IDEOGRAPHIC_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
# What IDNA allows in a label beside letters, marks and numbers (RFC 5892, appendix A).
_JOINERS = "-_\u00b7\u200c\u200d\u30fb"
# A last label that the WHATWG URL standard ("ends in a number checker") reads as a number.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.I | re.A)


@dataclass(frozen=True)
class Origin:
    """The scheme, host and port of a URL that passed; the host in lower case."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return host and port as one text."""
        return f"{self.host}:{self.port}"


def check_url(url: str, policy: DialPolicy) -> None:
    """Raise NetworkError `url_not_allowed` if this URL's text is not allowed; DNS is not used."""
    origin_of(url, policy)


def origin_of(url: str, policy: DialPolicy) -> Origin:
    """Return the origin of a URL. Raise NetworkError `url_not_allowed`, the reason in `detail`."""
    if len(url) > MAX_URL_CHARS:
        raise not_allowed(f"longer than {MAX_URL_CHARS} characters")
    if _FORBIDDEN.search(url):
        raise not_allowed("white space, backslash or control character")
    origin = _ORIGIN.match(url)
    authority = origin and _AUTHORITY.fullmatch(origin[2])
    if not origin or not authority:
        raise not_allowed("not http(s)://host[:port]/")
    scheme = origin[1].lower()
    host = (authority[1] or authority[2]).lower()
    port = int(authority[3] or DEFAULT_PORTS[scheme])
    if host != SAMPLE_HOST:
        literal_address(host, port, policy)
    return Origin(scheme, host, port)


@lru_cache(maxsize=1024)
def literal_address(host: str, port: int, policy: DialPolicy) -> Address | None:
    """Return the address that `host` is a literal of, or None if it is a name for DNS.

    Cached, because each image needs it several times, and the next image often has the same host.
    Raise NetworkError `url_not_allowed` for a port, a name or an address that is not allowed.
    """
    if not policy.allows_port(port):
        raise not_allowed(f"port {port}")
    address = _address(host)
    reason = reason_to_block(address, policy) if address else _reason_to_block_name(host, policy)
    if reason:
        raise not_allowed(reason)
    return address


def not_allowed(reason: str) -> NetworkError:
    """Return the error for a URL that is not allowed; the reason is for the log."""
    return NetworkError("url_not_allowed", detail=reason)


def _address(host: str) -> Address | None:
    """Read an IPv6 address, or an IPv4 address in its canonical form of four decimal numbers."""
    try:
        if ":" in host:
            return IPv6Address(host)
        if _ends_in_number(host):
            return IPv4Address(host)
    except AddressValueError:
        raise not_allowed(f"{host!r} is not a canonical IP address") from None
    return None


def _ends_in_number(host: str) -> bool:
    """Return whether some program might read this host as an IPv4 address."""
    plain = unicodedata.normalize("NFKC", host.translate(_IDEOGRAPHIC_DOTS)).removesuffix(".")
    return _NUMBER.fullmatch(plain.rpartition(".")[2]) is not None


def _reason_to_block_name(host: str, policy: DialPolicy) -> str | None:
    name = host.translate(_IDEOGRAPHIC_DOTS).removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARS or not all(map(_is_label, labels)):
        return f"{host!r} is not a host name"
    if labels[-1].lower() == "localhost":
        # RFC 6761: this is the local machine, whatever the resolver answers.
        return reason_to_block(ip_address("127.0.0.1"), policy)
    return None


def _is_label(label: str) -> bool:
    if label.isascii():
        return _LABEL.fullmatch(label) is not None
    return all(char in _JOINERS or unicodedata.category(char)[0] in "LMN" for char in label)
