"""Image origins for tests: real servers on loopback, each on a free port and ended by its test."""

from .hostile import HostileOrigin, SilentOrigin
from .plain import PlainOrigin
from .server import OriginServer, Request

__all__ = ["HostileOrigin", "OriginServer", "PlainOrigin", "Request", "SilentOrigin"]
