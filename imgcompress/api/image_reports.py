"""An image as callers see it: the shapes of its calls, and how they are filled from the ledger."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ..catalogue import RATINGS, rating_of
from ..ledger.models import Change, CompressedImage, ImageStatus, JobRequest
from ..ledger.queries import ImageFilter, count_failures
from ..links import signed_url
from .job_reports import FailureGroupQuery
from .paging import PageQuery, PageSchema, page_number

OUTCOMES = ("target_met", "floor_reached", "already_small", "larger")


MAX_ORDINAL = 2**31 - 1


def _number(description: str, example: int) -> fields.Integer:
    return fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": f"{description}; null until the image is COMPLETED.",
            "example": example,
        },
    )


class ImageErrorSchema(Schema):
    """Why an image failed."""

    code = fields.String(required=True, metadata={"example": "source_status"})
    message = fields.String(
        required=True,
        metadata={
            "example": "HTTP 404. The server refused to send the image; open the URL in a browser to"
            " see why."
        },
    )


# A removed image no longer belongs to the job.
REMOVED = "removed"


CHANGES = (*Change, REMOVED)


class AdviceSchema(Schema):
    """Another format that would take fewer bytes; estimated from a part of the image."""

    format = fields.String(required=True, metadata={"example": "webp"})
    output_bytes = fields.Integer(
        required=True, metadata={"description": "Its approximate size in bytes.", "example": 81_000}
    )
    saved_percentage = fields.Integer(
        required=True,
        metadata={
            "description": "The share of the original that it would save, in per cent.",
            "example": 61,
        },
    )
    message = fields.String(
        required=True,
        metadata={
            "example": "As WebP, this image would be about 61 % smaller than its original, at the"
            " same visual quality. Upload it with format=webp, or with format=auto."
        },
    )


class ImageSchema(Schema):
    """One image of a job."""

    image_id = fields.UUID(required=True)
    row_number = fields.Integer(
        required=True,
        metadata={"description": "The row number, counted as in a spreadsheet.", "example": 2},
    )
    serial_number = fields.String(required=True, metadata={"example": "1"})
    product_name = fields.String(required=True, metadata={"example": "SKU1"})
    position = fields.Integer(
        required=True,
        metadata={"description": "The position among the URLs of the row, from 0.", "example": 0},
    )
    input_url = fields.String(required=True, metadata={"example": "https://shop.example.com/1.jpg"})
    output_url = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The compressed image; null until it is COMPLETED."},
    )
    status = fields.String(required=True, validate=validate.OneOf(list(ImageStatus)))
    outcome = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "target_met, floor_reached, already_small or larger.",
            "example": "target_met",
        },
    )
    change = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(CHANGES),
        metadata={
            "description": "new, changed or unchanged since the earlier job, or removed; null"
            " without `since`, and until the image is COMPLETED.",
            "example": None,
        },
    )
    error = fields.Nested(ImageErrorSchema, required=True, allow_none=True)
    input_bytes = _number("Size of the original in bytes", 401_408)
    output_bytes = _number("Size of the compressed image in bytes", 196_704)
    width = _number("Width in pixels", 1600)
    height = _number("Height in pixels", 1200)
    output_format = fields.String(required=True, allow_none=True, metadata={"example": "jpeg"})
    quality = _number("The encoder's quality, if the format has one", 71)
    score = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "How good the image looks, compared with the original, 0 to 100, on the"
            " scale of SSIMULACRA2; null until the image is COMPLETED.",
            "example": 78.4,
        },
    )
    rating = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(list(RATINGS)),
        metadata={
            "description": "The score in a word: visually lossless (from 90), high (from 70), medium"
            " (from 50) or low.",
            "example": "high",
        },
    )
    advice = fields.Nested(
        AdviceSchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "What another format would save of an image that keeps its format"
            " (`format=keep`) and ended with `floor_reached` or `already_small`; null if that is"
            " little, and for other images."
        },
    )
    similarity = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "deprecated": True,
            "description": "The score divided by 100; use `score` instead. For images of earlier"
            " versions, which have no score, an SSIM from 0 to 1.",
            "example": 0.784,
        },
    )


class DetailsSchema(PageSchema):
    """A page of a job's images."""

    request_id = fields.UUID(required=True)
    total = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Number of images on all pages at present; null with `outcome`, by which"
            " images are not counted.",
            "example": 6,
        },
    )
    images = fields.List(fields.Nested(ImageSchema), required=True)


SORTS = ("size", "saved")


# To find a page of a sorted list by number, the database reads all pages before it.
MOST_SKIPPED = 100_000


class DetailsQuery(PageQuery, FailureGroupQuery):
    """The requested images."""

    outcome = fields.String(
        validate=validate.OneOf(OUTCOMES, error=f"outcome must be one of {', '.join(OUTCOMES)}."),
        metadata={"description": "Only compressed images with this outcome."},
    )
    change = fields.String(
        validate=validate.OneOf(CHANGES, error=f"change must be one of {', '.join(CHANGES)}."),
        metadata={
            "description": "Only compressed images with this change since the earlier job; `removed`"
            " lists images of the earlier job that this one no longer has, as long as that job is"
            " kept."
        },
    )
    sort = fields.String(
        validate=validate.OneOf(SORTS, error=f"sort must be one of {', '.join(SORTS)}."),
        metadata={
            "description": "Only compressed images, in another order: those with the most bytes before"
            " compression first (`size`), or those that saved the most bytes (`saved`)."
        },
    )
    status = fields.String(
        validate=validate.OneOf(
            list(ImageStatus), error=f"status must be one of {', '.join(ImageStatus)}."
        ),
        metadata={"description": "Only images in this status."},
    )
    after = page_number(
        "after",
        0,
        MAX_ORDINAL,
        description="Only images after this one, as in the links of `next`. With a filter, the"
        " pages of a running job shift; the links of `next` neither skip nor repeat an"
        " image.",
    )

    @validates_schema
    def _one_status(self, data: dict[str, Any], **_: Any) -> None:
        """Reject combinations of properties that no image has."""
        failed = [name for name in FailureGroupQuery._declared_fields if name in data]
        compressed = [name for name in ("outcome", "change", "sort") if name in data]
        if failed and compressed:
            raise ValidationError(
                f"{compressed[0]} is a property of compressed images, and {failed[0]} one of failed"
                " images. Leave one of them out.",
                compressed[0],
            )
        needed = ImageStatus.FAILED if failed else ImageStatus.COMPLETED
        if (failed or compressed) and data.get("status", needed) != needed:
            raise ValidationError(
                f"{(failed or compressed)[0]} needs images with status={needed}. Leave status out.",
                "status",
            )
        if len(compressed) > 1:
            raise ValidationError(
                f"Give {compressed[0]} or {compressed[1]}, not both.", compressed[1]
            )

    @validates_schema
    def _followed(self, data: dict[str, Any], **_: Any) -> None:
        """Reject page numbers if counting would read every image."""
        looked_for = {"code", "host", "found", "outcome", "change"} & data.keys()
        if looked_for and data["page"] > 1 and data.get("after") is None:
            raise ValidationError(
                f"With {' and '.join(sorted(looked_for))}, follow the links of next instead of"
                " giving a page.",
                "page",
            )
        skipped = (data["page"] - 1) * data["per_page"]
        if "sort" in data and data.get("after") is None and skipped > MOST_SKIPPED:
            raise ValidationError(
                f"With sort, a page may begin after {MOST_SKIPPED:,} images at most. Follow the"
                " links of next to read more.",
                "page",
            )


def image_report(image: CompressedImage) -> dict[str, Any]:
    """Return an image for ImageSchema."""
    return {
        "image_id": image.image_id,
        "row_number": image.row_number,
        "serial_number": image.serial_number,
        "product_name": image.product_name,
        "position": image.position,
        "input_url": image.input_url,
        "output_url": signed_url(image.image_url),
        "status": image.status,
        "outcome": image.outcome,
        "change": image.change,
        "error": {"code": image.error_code, "message": image.error_message}
        if image.error_code
        else None,
        "input_bytes": image.input_bytes,
        "output_bytes": image.output_bytes,
        "width": image.width,
        "height": image.height,
        "output_format": image.output_format,
        "quality": image.quality,
        "score": None if image.score is None else round(image.score, 1),
        "rating": None if image.score is None else rating_of(image.score),
        "advice": advice_report(image),
        "similarity": image.similarity if image.score is None else round(image.score / 100, 3),
    }


def advice_report(image: CompressedImage) -> dict[str, Any] | None:
    """Return what another format would save, for AdviceSchema."""
    if not image.advice_format or image.advice_bytes is None or not image.input_bytes:
        return None
    saved = round(100 - 100 * image.advice_bytes / image.input_bytes)
    name = {"webp": "WebP", "avif": "AVIF", "jpeg": "JPEG"}.get(
        image.advice_format, image.advice_format.upper()
    )
    return {
        "format": image.advice_format,
        "output_bytes": image.advice_bytes,
        "saved_percentage": saved,
        "message": f"As {name}, this image would be about {saved} % smaller than its original, at the"
        f" same visual quality. Upload it with format={image.advice_format}, or with format=auto.",
    }


def count_images(job: JobRequest, wanted: ImageFilter) -> int | None:
    """Return the number of matching images from the counters; None if they are not counted."""
    if wanted.outcome:
        return None
    if wanted.change:
        return getattr(job, f"{wanted.change}_images") if job.is_compared else 0
    if wanted.looks_through:
        return count_failures(job.request_id, wanted)
    status = wanted.status
    return {
        None: job.total_images,
        ImageStatus.COMPLETED: job.completed_images,
        ImageStatus.FAILED: job.failed_images,
        ImageStatus.PENDING: job.total_images - job.completed_images - job.failed_images,
    }[status if status is None else ImageStatus(status)]
