"""What an installation allows beyond the public Internet."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import IPNetwork, PortRanges

DEFAULT_PORTS: PortRanges = ((80, 80), (443, 443))


@dataclass(frozen=True)
class DialPolicy:
    """The private networks and the ports that may be dialled (see `.env.example`)."""

    allowed_networks: tuple[IPNetwork, ...] = ()
    allowed_ports: PortRanges = DEFAULT_PORTS

    def allows_port(self, port: int) -> bool:
        """Tell whether this port may be dialled."""
        return any(low <= port <= high for low, high in self.allowed_ports)
