"""The hosts that this service is known by; calls that were sent to any other one are refused.

The owner of a name can point it to this machine while a browser has a page of that name open (DNS
rebinding). For the browser, that page and this service are then the same site, so that its scripts
may read all answers. They cannot change the name in the Host header, and an IP address cannot be
rebound.
"""

from __future__ import annotations

import re
from functools import partial
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from flask import Flask, request

from ..config import Settings
from .errors import MalformedHost, UnknownHost

ANY = "*"
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME_CHARS = 253
HOST = re.compile(
    rf"(?:(?P<name>{LABEL}(?:\.{LABEL})*)\.?|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[1-9][0-9]*))?",
    re.ASCII | re.IGNORECASE,
)
HIGHEST_PORT = 65535


def refuse_unknown_hosts(app: Flask, settings: Settings) -> None:
    """Refuse every call to an unknown host.

    It comes before all code that uses the host, such as in links.
    """
    app.before_request(partial(_check_hosts, known_hosts(settings)))


def known_hosts(settings: Settings) -> frozenset[str]:
    """Return the names that the settings know; `.example.com` stands for all that end so."""
    urls = (settings.public_base_url, settings.image_base_url)
    own = (settings.host, *(urlsplit(url).hostname or "" for url in urls if url))
    return frozenset({".localhost", *(name.lower() for name in own), *settings.allowed_hosts})


def _check_hosts(known: frozenset[str]) -> None:
    """Raise MalformedHost or UnknownHost.

    Behind a trusted proxy both are checked: the host in its X-Forwarded-Host, and its own Host
    header, since a caller that bypasses the proxy can set the first one.
    """
    sent = request.environ.get("HTTP_HOST")
    received = request.environ.get("werkzeug.proxy_fix.orig", {}).get("HTTP_HOST")
    hosts = {host for host in (sent, received) if host is not None}
    if not hosts and request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
        raise MalformedHost
    for host in hosts:
        _check_host(host, known)


def _check_host(host: str, known: frozenset[str]) -> None:
    name = _name_in(host)
    if name is not None and not _is_known(name, known):
        raise UnknownHost(name)


def _name_in(host: str) -> str | None:
    """Return the name in a Host header, or None for an IP address. Raise MalformedHost."""
    match = HOST.fullmatch(host)
    if not match or int(match["port"] or 1) > HIGHEST_PORT:
        raise MalformedHost
    try:
        address = IPv6Address(match["ipv6"]) if match["ipv6"] else ip_address(match["name"])
    except ValueError:
        address = None
    if address is None and (match["ipv6"] or len(match["name"]) > NAME_CHARS):
        raise MalformedHost
    return match["name"].lower() if address is None else None


def _is_known(name: str, known: frozenset[str]) -> bool:
    suffixes = tuple(entry for entry in known if entry.startswith("."))
    return ANY in known or name in known or f".{name}".endswith(suffixes)
