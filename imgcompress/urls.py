"""What every reader of URLs agrees on."""

from __future__ import annotations

# What browsers and proxies agree to take.
MAX_URL_CHARS = 8_192
DEFAULT_PORTS = {"http": 80, "https": 443}
