"""The service's messages in the words of a command: options and settings instead of form fields."""

from __future__ import annotations

import re

from ..errors import IMAGE_ERRORS, ImgcompressError

_FIELDS = (
    "compression_percentage|quality|format|formats|max_width|max_height|effort|url_columns"
    "|name_column|id_column|base_url|on_row_error|output_columns"
)
# Those that are words of English as well are fields only where a value or an order says so.
_FIELD = re.compile(
    rf"\b(?:(?P<set>{_FIELDS}|sheet|encoding)=(?=\S)|(?P<named>[a-z]+_[a-z_]+)\b"
    r"|(?P<order>[Ss]end|leave) (?P<asked>sheet|encoding)\b)"
)
_PHRASES = (
    (
        "Fix the issues listed in errors, and upload the file again.",
        "Fix these issues, and run the command again.",
    ),
    (", send row_options=true, or rename them", ", rename them"),
    (" with the upload,", ","),
    ("Send its", "Give its"),
    ("Send --", "Give --"),
    ("send --", "give --"),
)
# Where the command itself fetches and compresses, there is no upload and no operator.
_LOCAL_PHRASES = (
    ("Nothing was stored. Fix", "The catalogue cannot be used as it is. Fix"),
    ("and upload that", "and use that"),
    ("and upload the CSV", "and use the CSV"),
    ("or upload the table", "or use the table"),
    ("Upload an archive", "Use an archive"),
    (", the maximum for one upload. Split", ", the maximum (MAX_IMAGES_PER_JOB). Split"),
)
_LOCAL_ADVICE = {
    "url_not_allowed": "This address may not be fetched from; use a public http or https URL, or"
    " allow its network or port with ALLOWED_PRIVATE_NETWORKS or ALLOWED_PORTS.",
    "too_many_pixels": "The image has more pixels than MAX_IMAGE_PIXELS allows; scale it down, or"
    " raise that setting.",
    "too_many_frames": "The animation has more frames than MAX_FRAMES allows; shorten it, or raise"
    " that setting.",
    "too_large": "The image file is larger than MAX_IMAGE_BYTES allows; scale it down, or raise"
    " that setting.",
    "out_of_memory": "The image needs more memory than a process may use; scale it down, or raise"
    " MAX_PROCESS_MEMORY.",
    "host_suspended": "The host failed too often, so requests to it were suspended; run the same"
    " command again when the host works.",
    "unsupported_format": "Only JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF images, and HEIC if"
    " imgcompress[heif] is installed, can be compressed; convert the image first.",
    "worker_crashed": "The image crashed the process that compresses it twice and was skipped; save"
    " it again as a plain JPEG or PNG.",
    "internal_error": "Internal error; run the same command again.",
}
# The reasons of csvfile.urls that concern a service.
_LOCAL_REASONS = {
    "If it is a path, send base_url with the upload, such as"
    " base_url=https://shop.example.com/media/.": "If it is a path, give --base-url, such as"
    " --base-url https://shop.example.com/media/.",
    "This is a file on a computer, which this service cannot read. Put the image on a server"
    " and enter its URL.": "This is a file on a computer, not a URL. Put the image on a server"
    " and enter its URL, or give the file itself to imgcompress compress.",
}
_LOCAL_ERRORS = _LOCAL_REASONS | {
    IMAGE_ERRORS[code].advice: advice for code, advice in _LOCAL_ADVICE.items()
}
_ERROR = re.compile("|".join(map(re.escape, _LOCAL_ERRORS)))


def in_options(text: str) -> str:
    """Return a message of the service with the options of a command instead of form fields."""
    text = _FIELD.sub(_option, text)
    for theirs, ours in _PHRASES:
        text = text.replace(theirs, ours)
    return text


def in_local_words(text: str) -> str:
    """Return a message as in_options(), for a command that needs no service."""
    text = in_options(_ERROR.sub(lambda found: _LOCAL_ERRORS[found[0]], text))
    for theirs, ours in _LOCAL_PHRASES:
        text = text.replace(theirs, ours)
    return text


def for_the_operator(error: ImgcompressError) -> str:
    """Return the message of an error with its cause, for somebody who can do something about it."""
    cause = error.detail.splitlines()[0] if error.detail else ""
    advice = "imgcompress doctor says what is wrong with the installation."
    if "no such table" in cause or "UndefinedTable" in cause:
        return "The database is empty. Create its tables first: imgcompress db upgrade"
    return "\n".join(filter(None, (error.message, cause, advice)))


def output_in_local_words(part: bytes) -> bytes:
    """Return a part of an output, CSV or XML, with its errors as in_local_words() has them.

    Only whole messages are replaced, since the other texts are those of the catalogue. No new
    message needs quotation marks or escapes where the old one needed none.
    """
    text = part.decode(errors="surrogateescape")
    new = _ERROR.sub(lambda found: _LOCAL_ERRORS[found[0]], text)
    return new.encode(errors="surrogateescape")


def _option(found: re.Match[str]) -> str:
    if found["set"]:
        return f"{_name(found['set'])} "
    if found["asked"]:
        return f"{found['order']} {_name(found['asked'])}"
    named: str = found["named"]
    return _name(named) if re.fullmatch(_FIELDS, named) else named


def _name(field: str) -> str:
    return "--percent" if field == "compression_percentage" else "--" + field.replace("_", "-")
