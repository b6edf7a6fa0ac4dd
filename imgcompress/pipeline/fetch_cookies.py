"""The cookies of one image: some hosts set one with a redirect, and redirect until it comes back.

They end with the image. So no host sees what another image, or another caller, was given.
"""

from __future__ import annotations

from http.cookiejar import CookieJar
from urllib.request import Request

from urllib3 import BaseHTTPResponse

# Servers take so many bytes of headers in all; longer cookies are not sent.
MAX_COOKIE_CHARS = 8 * 1024


class Cookies:
    """What the redirects of one image have set; each goes to the hosts that it is for."""

    def __init__(self) -> None:
        # Few redirects set cookies, and few images are redirected.
        self._jar: CookieJar | None = None

    def keep(self, url: str, response: BaseHTTPResponse) -> None:
        """Take the cookies that the answer of a URL sets."""
        if "Set-Cookie" in response.headers:
            self._jar = self._jar or CookieJar()
            self._jar.extract_cookies(response, Request(url))  # type: ignore[arg-type]

    def header(self, url: str) -> dict[str, str]:
        """Return the header with the cookies for a URL, if there are any."""
        if self._jar is None:
            return {}
        request = Request(url)
        self._jar.add_cookie_header(request)
        told = request.get_header("Cookie")
        return {"Cookie": told} if told and len(told) <= MAX_COOKIE_CHARS else {}
