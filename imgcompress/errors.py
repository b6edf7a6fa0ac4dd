"""The error tree: a stable code, a public message that says what to do, retryable or not.

The public message may reach a caller; `detail` is for the log only.
"""

from __future__ import annotations

from dataclasses import dataclass


class ImgcompressError(Exception):
    """Base of every error that this service raises on purpose."""

    code = "internal_error"
    message = "Something went wrong on our side. Try again; if it stays, tell the operator."
    retryable = False

    def __init__(self, message: str | None = None, *, detail: str = "") -> None:
        self.message = message or self.message
        self.detail = detail
        super().__init__(f"{self.code}: {detail or self.message}")


class SettingsError(ImgcompressError):
    """One or more settings are wrong; the message lists every fault."""

    code = "bad_settings"


class LedgerUnavailable(ImgcompressError):
    """The database cannot be used: it did not answer, or took nothing, for a reason that passes."""

    code = "ledger_unavailable"
    message = "The database cannot be used at the moment. Nothing was changed; try again shortly."
    retryable = True


class StorageUnavailable(ImgcompressError):
    """The storage refused a read or a write."""

    code = "storage_unavailable"
    message = "The storage cannot be used at the moment. Nothing was lost; try again shortly."
    retryable = True


class StorageNotFound(ImgcompressError):
    """Nothing is stored under this key."""

    code = "not_found"
    message = "There is nothing stored under this address. It may have been deleted."


class NetworkError(ImgcompressError):
    """A server may not be dialled, could not be reached, or broke off its answer.

    The code is `url_not_allowed`, `dns_failed`, `connect_failed`, `tls_invalid`, `timeout`,
    `head_too_large` or `connection_broken`. `found` is what was met, in words that callers may see.
    `answered` says that the server had answered something before it failed.
    """

    answered = False
    FINAL = frozenset(("url_not_allowed", "tls_invalid", "head_too_large"))

    def __init__(self, code: str, found: str = "", *, detail: str = "",
                 retryable: bool | None = None) -> None:
        self.code = code
        self.found = found
        self.retryable = code not in self.FINAL if retryable is None else retryable
        super().__init__("The server could not be reached.", detail=detail)


@dataclass(frozen=True)
class ImageFault:
    """One way in which an image can fail: its code, one sentence of advice, and retryable.

    Where what was found is one of a few texts, a job's failures are grouped by it too.
    """

    code: str
    advice: str
    retryable: bool = False
    grouped_by_found: bool = False


IMAGE_FAULTS: dict[str, ImageFault] = {
    fault.code: fault
    for fault in (
        ImageFault("url_not_allowed", "This address may not be fetched; use a public http or https"
                   " URL, or ask the operator to allow the network or the port."),
        ImageFault("dns_failed", "The host name could not be found; check its spelling.", True),
        ImageFault("connect_failed", "The server could not be reached; check that it is up.", True),
        ImageFault("tls_invalid", "The server's certificate is not valid for this host; have it"
                   " renewed, or use another host name."),
        ImageFault("source_timeout", "The server answered too slowly; try again later.", True),
        ImageFault("source_status", "The server did not give the image; open the URL in a browser"
                   " to see why.", True, grouped_by_found=True),
        ImageFault("source_broken", "The server broke off its answer; try again later.", True),
        ImageFault("head_too_large", "The server sends too many headers, or too long ones, with the"
                   " image; have it send fewer, such as fewer cookies."),
        ImageFault("bad_encoding", "The server packed the image in a content encoding that is not"
                   " supported; serve it unpacked, or with gzip, br or zstd."),
        ImageFault("too_many_redirects", "The URL redirects too often; use the final address."),
        ImageFault("host_suspended", "The host failed too often and was left alone; retry the job"
                   " when it is well again.", True, grouped_by_found=True),
        ImageFault("not_an_image", "The URL does not give an image; use the address of the image"
                   " itself, not of a page that shows it.", grouped_by_found=True),
        ImageFault("unsupported_format", "Only JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF are"
                   " compressed; convert the image first.", grouped_by_found=True),
        ImageFault("corrupt_image", "The image file is damaged; upload it anew at its source."),
        ImageFault("truncated_image", "The image file ends too early; upload it anew at its"
                   " source."),
        ImageFault("too_many_pixels", "The image has more pixels than this installation accepts;"
                   " scale it down, or ask for a higher limit."),
        ImageFault("too_many_frames", "The animation has more frames than this installation"
                   " accepts; shorten it, or ask for a higher limit."),
        ImageFault("too_large", "The image has more bytes than this installation accepts; scale it"
                   " down, or ask for a higher limit."),
        ImageFault("out_of_memory", "The image needs more memory than a worker has; scale it down,"
                   " or ask for larger workers."),
        ImageFault("compress_timeout", "The image took too long to compress; save it anew in a"
                   " plain JPEG or PNG."),
        ImageFault("worker_crashed", "The image brought the worker down twice and was left out;"
                   " save it anew in a plain JPEG or PNG."),
        ImageFault("internal_error", "Something went wrong on our side; retry the job, and if it"
                   " stays, tell the operator.", True),
    )
}


class ImageError(ImgcompressError):
    """One image failed, for a reason in IMAGE_FAULTS.

    `found` is what was met (a status, a content type) and is shown to the caller before the
    advice; `retry_after` is the number of seconds that the origin asked us to wait. `answered`
    says that the server had answered something before it failed.
    """

    answered = False

    def __init__(self, code: str, found: str = "", *, detail: str = "",
                 retryable: bool | None = None, retry_after: float | None = None) -> None:
        fault = IMAGE_FAULTS[code]
        self.code = code
        self.found = found
        self.retryable = fault.retryable if retryable is None else retryable
        self.retry_after = retry_after
        super().__init__(f"{found}. {fault.advice}" if found else fault.advice, detail=detail)
