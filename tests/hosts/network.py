"""A small network: hosts in namespaces of their own behind a bridge, whose links can go down."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from uuid import uuid4

import pytest

# A part of the private networks that few others choose.
NETWORK = "10.213"


class Network:
    """A bridge with an address of this machine's, and hosts that reach nothing else.

    Raise OSError where the system does not let it be built.
    """

    def __init__(self, *hosts: str) -> None:
        self._tag = uuid4().hex[:8]
        self._bridge = f"icb{self._tag}"
        self._third = random.randrange(1, 255)
        self._hosts = hosts
        self.address = self._address(0)
        self.addresses = {host: self._address(place) for place, host in enumerate(hosts, start=1)}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def command(self, host: str) -> list[str]:
        """Return what is put before a command so that it runs on a host."""
        return [_tool(), "netns", "exec", self._namespace(host)]

    def cut(self, host: str) -> None:
        """Take a host's link down: nothing arrives any more, and no error is sent."""
        _ip("link", "set", self._link(host), "down")

    def restore(self, host: str) -> None:
        """Take a host's link up again."""
        _ip("link", "set", self._link(host), "up")

    def close(self) -> None:
        """Take everything down; the links go with their namespaces."""
        for host in self._hosts:
            _ip("netns", "del", self._namespace(host), check=False)
        _ip("link", "del", self._bridge, check=False)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for host, address in self.addresses.items():
            self._add(host, address)

    def _add(self, host: str, address: str) -> None:
        namespace, link = self._namespace(host), self._link(host)
        _ip("netns", "add", namespace)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("link", "set", link, "master", self._bridge, "up")
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", namespace, "link", "set", device, "up")

    def _address(self, place: int) -> str:
        return f"{NETWORK}.{self._third}.{place + 1}"

    def _namespace(self, host: str) -> str:
        return f"ic{self._tag}{host}"

    def _link(self, host: str) -> str:
        """Return the name of the host's link on this side; 15 characters are the most."""
        return f"icl{self._tag}{host}"


def network_or_skip(*hosts: str) -> Network:
    """Return a network of these hosts, or skip where none can be built; with CI set it must."""
    try:
        return Network(*hosts)
    except OSError as error:
        message = f"NOT TESTED: hosts of their own; it takes `ip` and the right to use it: {error}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def _ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run([_tool(), *arguments], capture_output=True, text=True)
    if check and done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _tool() -> str:
    """Return the path of `ip`, which is not on everybody's PATH."""
    found = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError("there is no command called ip; Debian has it in iproute2")
    return found
