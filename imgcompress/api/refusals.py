"""Why a caller is refused who asked in the right words: who it is, how often, and when."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ImgcompressError
from ..ledger.idempotency import KeyInUse, KeyReused
from ..ledger.quotas import TooManyJobs


class MalformedHost(ImgcompressError):
    """The call names no host, more than one, or what cannot be a host."""

    code = "malformed_host"
    message = ("The Host header of the call is not a host name or an IP address, with or without a"
               " port. Most clients write it by themselves from the address that they call.")


class UnknownHost(ImgcompressError):
    """The call was sent to a host that this installation is not known by."""

    code = "unknown_host"
    message = ("This service is not known by the host name of the call, so nothing was done. If the"
               " name is right, the operator adds it to ALLOWED_HOSTS, or sets PUBLIC_BASE_URL; by"
               " its IP address the service is always reached.")

    def __init__(self, name: str) -> None:
        super().__init__(self.message.replace("the host name of the call", f"the name “{name}”"))


class ApiKeyRequired(ImgcompressError):
    """The call has no API key."""

    code = "api_key_required"
    message = ("This call needs an API key. Send it as “Authorization: Bearer …” or as “X-API-Key:"
               " …”; the operator makes keys.")


class InvalidApiKey(ImgcompressError):
    """The key of the call is unknown or was revoked."""

    code = "invalid_api_key"
    message = ("This API key is not valid, or no longer. Check it, or ask the operator for a new"
               " one.")


class OperatorKeyRequired(ImgcompressError):
    """The call tells about the whole installation, and does not come from its operator."""

    code = "operator_key_required"
    message = ("This is for the operator of the installation. Send the key that METRICS_KEY sets as"
               " “Authorization: Bearer …”; API keys do not open it, and where METRICS_KEY is unset"
               " nothing does.")


class NotMultipart(ImgcompressError):
    """The body of an upload is not a multipart form."""

    code = "unsupported_media_type"
    message = ("An upload has to be multipart/form-data, with the CSV in its field “file”. With"
               " curl: -F file=@products.csv")


class TooManyRequests(ImgcompressError):
    """The caller calls too often."""

    code = "too_many_requests"
    message = "You call too often. Wait for the seconds that Retry-After tells, and try again."
    retryable = True

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__()


class NotAllConfirmed(ImgcompressError):
    """All jobs would be deleted, and the call does not say that this is meant."""

    code = "all_not_confirmed"
    message = ("Nothing was deleted. To delete one job, put its id into the path: DELETE"
               " /job/<request_id>. To delete every job, send DELETE /job?all=true.")


class NothingToRetry(ImgcompressError):
    """The job has no failed image, or none with the codes that were asked for."""

    code = "nothing_to_retry"
    message = ("No image of the job failed, or none with these codes; the job's status lists the"
               " codes that it has.")


class NoImages(ImgcompressError):
    """None of the job's images is compressed."""

    code = "no_images"
    message = ("None of the job's images is compressed, so there is nothing to put into an archive;"
               " the job's status tells why.")


class TooManyFetches(ImgcompressError):
    """As many tables are being fetched as there are places for."""

    code = "too_many_fetches"
    message = ("Too many tables are being fetched at the moment. Send the upload again in a few"
               " seconds, or send the file itself.")
    retryable = True


class InvalidImageLink(ImgcompressError):
    """The signature of an image's address is missing or wrong."""

    code = "invalid_image_link"
    message = ("The address of the image is not signed, or was changed. Take it anew from the"
               " details of the job, and leave it as it is.")


class ImageLinkExpired(ImgcompressError):
    """The address of an image was told too long ago."""

    code = "image_link_expired"
    message = "The address of the image has expired. Take a new one from the details of the job."


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
