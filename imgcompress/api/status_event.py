"""The status webhook in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from flask_smorest import Api

from .schemas.webhooks import StatusEventSchema

JOB = "7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11"
EXAMPLE = {
    "request_id": JOB,
    "status": "COMPLETED",
    "message": "The job is done; see the counts for failed images.",
    "completion_percentage": 100,
    "total_images": 2,
    "completed_images": 1,
    "failed_images": 1,
    "input_bytes": 401408,
    "output_bytes": 196704,
    "images": [
        {"input_url": "https://shop.example.com/front.jpg",
         "output_url":
             "https://images.example.com/image/0c9d2f5e-3a41-4a53-8f57-9d6c2b1e7a10/front.jpg",
         "status": "COMPLETED"},
        {"input_url": "https://shop.example.com/2.jpg", "output_url": None, "status": "FAILED"},
    ],
    "images_truncated": False,
    "details_url": f"https://images.example.com/job/details/{JOB}",
    "download_url": f"https://images.example.com/job/download/{JOB}",
}
HEADERS = {
    "webhook-id": "The event's id, the same in every attempt; ignore an event whose id you have"
                  " already processed.",
    "webhook-timestamp": "The time of this attempt, in seconds since 1970.",
    "webhook-signature": "One or two signatures as defined by Standard Webhooks, `v1,…`.",
}


def document_status_event(api: Api) -> None:
    """Add the webhook to the document of `api`."""
    name = "StatusEvent"
    api.spec.components.schema(name, schema=StatusEventSchema)
    content = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": EXAMPLE}
    api.spec.options["webhooks"] = {"jobStatus": {"post": {
        "operationId": "receiveStatus",
        "summary": "A job's status has changed",
        "description": "Sent to the webhook_url of the upload. Answer with 2xx within 15 s;"
                       " otherwise it is sent again, over about three days. 410 stops that.",
        "parameters": [_header(header, told) for header, told in HEADERS.items()],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"2XX": {"description": "The event was accepted."},
                      "410": {"description": "The event is no longer wanted."}},
    }}}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": True, "description": description,
            "schema": {"type": "string"}}
