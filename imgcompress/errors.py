"""The error tree: a stable code, a public message with advice, retryable or not.

The public message may reach a caller; `detail` is for the log only.
"""

from __future__ import annotations

from dataclasses import dataclass


class ImgcompressError(Exception):
    """Base of every error that this service raises on purpose."""

    code = "internal_error"
    message = "Internal error. Try again; if it persists, contact the operator."
    retryable = False

    def __init__(self, message: str | None = None, *, detail: str = "") -> None:
        self.message = message or self.message
        self.detail = detail
        super().__init__(f"{self.code}: {detail or self.message}")


class SettingsError(ImgcompressError):
    """One or more settings are wrong; the message lists every error."""

    code = "bad_settings"


class LedgerUnavailable(ImgcompressError):
    """The database did not answer, or rejected writes, for a temporary reason."""

    code = "ledger_unavailable"
    message = "The database is unavailable at the moment. Nothing was changed; try again shortly."
    retryable = True


class StorageUnavailable(ImgcompressError):
    """The storage failed to read or write."""

    code = "storage_unavailable"
    message = "The storage is unavailable at the moment. Nothing was lost; try again shortly."
    retryable = True


class StorageNotFound(ImgcompressError):
    """Nothing is stored under this key."""

    code = "not_found"
    message = "Nothing is stored at this address. It may have been deleted."


class NetworkError(ImgcompressError):
    """A server may not be dialled, could not be reached, or broke off its answer.

    The code is `url_not_allowed`, `dns_failed`, `connect_failed`, `tls_invalid`, `timeout`,
    `head_too_large` or `connection_broken`. `found` is the detail that callers may see.
    `answered` is true if the server had answered before it failed.
    """

    answered = False
    FINAL = frozenset(("url_not_allowed", "tls_invalid", "head_too_large"))

    def __init__(
        self, code: str, found: str = "", *, detail: str = "", retryable: bool | None = None
    ) -> None:
        self.code = code
        self.found = found
        self.retryable = code not in self.FINAL if retryable is None else retryable
        super().__init__("The server could not be reached.", detail=detail)


@dataclass(frozen=True)
class ImageErrorKind:
    """One kind of image error: its code, one sentence of advice, and whether a retry can help.

    With `grouped_by_found`, a job's failures are also grouped by `found`, which is one of a few
    texts. With `needs_other_url`, only another URL in the catalogue helps, not a retry.
    """

    code: str
    advice: str
    retryable: bool = False
    grouped_by_found: bool = False
    needs_other_url: bool = False


IMAGE_ERRORS: dict[str, ImageErrorKind] = {
    kind.code: kind
    for kind in (
        ImageErrorKind(
            "url_not_allowed",
            "This service may not fetch from this address; use a public"
            " http or https URL, or ask the operator to allow the network or port.",
            needs_other_url=True,
        ),
        ImageErrorKind(
            "dns_failed", "The host name could not be resolved; check its spelling.", True
        ),
        ImageErrorKind(
            "connect_failed", "Could not connect to the server; check that it is online.", True
        ),
        ImageErrorKind(
            "tls_invalid",
            "The server's certificate is not valid for this host; have it"
            " renewed, or use another host name.",
        ),
        ImageErrorKind(
            "source_timeout", "The server took too long to respond; try again later.", True
        ),
        ImageErrorKind(
            "source_status",
            "The server refused to send the image; open the URL in a browser to see why.",
            True,
            grouped_by_found=True,
        ),
        ImageErrorKind(
            "source_broken",
            "The server's response was incomplete or invalid; try again later.",
            True,
        ),
        ImageErrorKind(
            "head_too_large",
            "The server sends too many or too large headers with the"
            " image; have it send fewer, such as fewer cookies.",
        ),
        ImageErrorKind(
            "bad_encoding",
            "The server sent the image with an unsupported Content-Encoding;"
            " serve it uncompressed, or with gzip, br or zstd.",
        ),
        ImageErrorKind(
            "too_many_redirects",
            "The URL redirects too many times; use the final URL.",
            needs_other_url=True,
        ),
        ImageErrorKind(
            "host_suspended",
            "The host failed too often, so requests to it were suspended;"
            " retry the job when the host works again.",
            True,
            grouped_by_found=True,
        ),
        ImageErrorKind(
            "not_an_image",
            "This is not an image URL; use the address of the image itself,"
            " not of a page that shows it.",
            grouped_by_found=True,
            needs_other_url=True,
        ),
        ImageErrorKind(
            "unsupported_format",
            "Only JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF images, and HEIC if it is installed, can"
            " be compressed; convert the image first.",
            grouped_by_found=True,
            needs_other_url=True,
        ),
        ImageErrorKind(
            "corrupt_image", "The image file is damaged; replace the file at its source."
        ),
        ImageErrorKind(
            "truncated_image", "The image file is incomplete; replace the file at its source."
        ),
        ImageErrorKind(
            "too_many_pixels",
            "The image has more pixels than this installation accepts;"
            " scale it down, or ask the operator for a higher limit.",
        ),
        ImageErrorKind(
            "too_many_frames",
            "The animation has more frames than this installation"
            " accepts; shorten it, or ask the operator for a higher limit.",
        ),
        ImageErrorKind(
            "too_large",
            "The image file is larger than this installation accepts; scale it"
            " down, or ask the operator for a higher limit.",
        ),
        ImageErrorKind(
            "out_of_memory",
            "The image needs more memory than a worker has; scale it down,"
            " or ask the operator for larger workers.",
        ),
        ImageErrorKind(
            "compress_timeout",
            "The image took too long to compress; save it again as a plain JPEG or PNG.",
        ),
        ImageErrorKind(
            "worker_crashed",
            "The image crashed the worker twice and was skipped; save it"
            " again as a plain JPEG or PNG.",
        ),
        ImageErrorKind(
            "internal_error",
            "Internal error; retry the job, and contact the operator if it persists.",
            True,
        ),
    )
}


class ImageError(ImgcompressError):
    """One image failed, for a reason in IMAGE_ERRORS.

    `found` is the detail (a status, a content type), and is shown to the caller before the advice;
    `retry_after` is the number of seconds that the origin asked us to wait. `answered` is true if
    the server had answered before it failed.
    """

    answered = False

    def __init__(
        self,
        code: str,
        found: str = "",
        *,
        detail: str = "",
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        kind = IMAGE_ERRORS[code]
        self.code = code
        self.found = found
        self.retryable = kind.retryable if retryable is None else retryable
        self.retry_after = retry_after
        super().__init__(f"{found}. {kind.advice}" if found else kind.advice, detail=detail)
