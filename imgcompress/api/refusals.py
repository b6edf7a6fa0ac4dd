"""Why a caller is refused who asked in the right words: who it is, how often, and when."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from ..errors import ImgcompressError
from ..ledger.idempotency import KeyInUse, KeyReused
from ..ledger.quotas import TooManyJobs


class MalformedHost(ImgcompressError):
    """The call names no host, more than one, or what cannot be a host."""

    code = "malformed_host"
    message = ("The Host header is not a host name or an IP address, with or without a port. Most"
               " clients set it themselves from the URL.")


class UnknownHost(ImgcompressError):
    """The call was sent to a host that this installation is not known by."""

    code = "unknown_host"
    message = ("This service is not configured for the host name of the request, so nothing was"
               " done. If the name is right, the operator can add it to ALLOWED_HOSTS or set"
               " PUBLIC_BASE_URL; the IP address of the service always works.")

    def __init__(self, name: str) -> None:
        super().__init__(self.message.replace("the host name of the request", f"the name “{name}”"))


class ApiKeyRequired(ImgcompressError):
    """The call has no API key."""

    code = "api_key_required"
    message = ("This request needs an API key. Send it as “Authorization: Bearer …” or as"
               " “X-API-Key: …”; the operator creates keys.")


class InvalidApiKey(ImgcompressError):
    """The key of the call is unknown or was revoked."""

    code = "invalid_api_key"
    message = ("This API key is invalid or was revoked. Check it, or ask the operator for a new"
               " one.")


class OperatorKeyRequired(ImgcompressError):
    """The call tells about the whole installation, and does not come from its operator."""

    code = "operator_key_required"
    message = ("Only the operator of this installation has access. Send the key set by METRICS_KEY"
               " as “Authorization: Bearer …”; API keys give no access, and without METRICS_KEY"
               " there is none.")


class NotMultipart(ImgcompressError):
    """The body of an upload is not a multipart form."""

    code = "unsupported_media_type"
    message = ("An upload must be multipart/form-data, with the CSV in the field “file”. With curl:"
               " -F file=@products.csv")


class TooManyRequests(ImgcompressError):
    """The caller calls too often."""

    code = "too_many_requests"
    message = "Too many requests; try again in 60 seconds."
    retryable = True

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        seconds = ceil(retry_after)
        unit = "second" if seconds == 1 else "seconds"
        super().__init__(f"Too many requests; try again in {seconds} {unit}.")


class NotAllConfirmed(ImgcompressError):
    """All jobs would be deleted, and the call does not say that this is meant."""

    code = "all_not_confirmed"
    message = ("Nothing was deleted. To delete one job, put its id into the path: DELETE"
               " /job/<request_id>. To delete all jobs, send DELETE /job?all=true.")


class NothingToRetry(ImgcompressError):
    """The job has no failed image, or none with the codes that were asked for."""

    code = "nothing_to_retry"
    message = ("No image of this job failed, or none with these codes; the job's status lists its"
               " codes.")


class NoImages(ImgcompressError):
    """None of the job's images is compressed."""

    code = "no_images"
    message = ("None of the job's images was compressed, so there is nothing to download; see the"
               " job's status for the reasons.")


class TooManyFetches(ImgcompressError):
    """As many tables are being fetched as there are places for."""

    code = "too_many_fetches"
    message = ("Too many tables are being fetched at the moment. Send the upload again in a few"
               " seconds, or send the file itself.")
    retryable = True


class InvalidImageLink(ImgcompressError):
    """The signature of an image's address is missing or wrong."""

    code = "invalid_image_link"
    message = ("The image URL is not signed, or was changed. Get it again from the details of the"
               " job, and use it unchanged.")


class ImageLinkExpired(ImgcompressError):
    """The address of an image was told too long ago."""

    code = "image_link_expired"
    message = "The image URL has expired. Get a new one from the details of the job."


REFUSALS: Mapping[type, int] = {
    NotAllConfirmed: 400,
    MalformedHost: 400,
    ApiKeyRequired: 401,
    InvalidApiKey: 401,
    OperatorKeyRequired: 401,
    InvalidImageLink: 403,
    ImageLinkExpired: 403,
    NothingToRetry: 409,
    NoImages: 409,
    KeyInUse: 409,
    NotMultipart: 415,
    UnknownHost: 421,
    KeyReused: 422,
    TooManyRequests: 429,
    TooManyJobs: 429,
    TooManyFetches: 429,
}
