"""Which URLs may be fetched, judged by their text alone."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

from ..errors import NetworkError
from ..shipped import SAMPLE_HOST
from ..urls import DEFAULT_PORTS, MAX_URL_CHARS
from .addresses import Address, DialPolicy, refusal

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
    """Raise NetworkError `url_not_allowed` if this URL is refused by its text; no DNS is asked."""
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
    """Return the address that `host` is written as, or None if it is a name for DNS.

    Kept, because one image asks about its host several times, and the next image about the same.
    Raise NetworkError `url_not_allowed` for a port, a name or an address that is refused.
    """
    if not policy.allows_port(port):
        raise not_allowed(f"port {port}")
    address = _address(host)
    reason = refusal(address, policy) if address else _refusal_of_name(host, policy)
    if reason:
        raise not_allowed(reason)
    return address


def not_allowed(reason: str) -> NetworkError:
    """Return the error for a refused URL; the reason is for the log."""
    return NetworkError("url_not_allowed", detail=reason)


def _address(host: str) -> Address | None:
    """Read an IPv6 address, or an IPv4 address in its canonical form of four decimal numbers."""
    try:
        if ":" in host:
            return IPv6Address(host)
        if _ends_in_number(host):
            return IPv4Address(host)
    except AddressValueError:
        raise not_allowed(f"{host!r} is no canonical IP address") from None
    return None


def _ends_in_number(host: str) -> bool:
    """Return whether some program might read this host as an IPv4 address."""
    plain = unicodedata.normalize("NFKC", host.translate(_IDEOGRAPHIC_DOTS)).removesuffix(".")
    return _NUMBER.fullmatch(plain.rpartition(".")[2]) is not None


def _refusal_of_name(host: str, policy: DialPolicy) -> str | None:
    name = host.translate(_IDEOGRAPHIC_DOTS).removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARS or not all(map(_is_label, labels)):
        return f"{host!r} is no host name"
    if labels[-1].lower() == "localhost":
        # RFC 6761: it is this machine, whatever the resolver answers.
        return refusal(ip_address("127.0.0.1"), policy)
    return None


def _is_label(label: str) -> bool:
    if label.isascii():
        return _LABEL.fullmatch(label) is not None
    return all(char in _JOINERS or unicodedata.category(char)[0] in "LMN" for char in label)
