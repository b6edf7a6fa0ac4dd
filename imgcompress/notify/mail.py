"""Write the mail about the end of a job: plain text, simple HTML, and the output CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape
from typing import Any

from ..errors import IMAGE_FAULTS
from ..file_names import output_name

MEGABYTE, KILOBYTE = 1_000_000, 1_000

OPENINGS = {
    "COMPLETED": "The images of {name} are ready.",
    "FAILED": "None of the images of {name} could be compressed.",
    "CANCELLED": "The job for {name} was cancelled.",
}


@dataclass(frozen=True)
class Letter:
    """The words of a mail: what is said, why images failed, and the links with their labels."""

    subject: str
    paragraphs: tuple[str, ...]
    failures: tuple[str, ...]
    links: Mapping[str, str]


def job_mail(told: Mapping[str, Any], *, event_id: str, sender: str, recipient: str,
             now: datetime, output_csv: bytes | None) -> EmailMessage:
    """Return the mail about a job from the outbox's payload.

    Without `output_csv`, for it is too large to attach, the mail has a link to it. The Message-ID
    is the same in every attempt, so that a mail that came twice can be told.
    """
    letter = _letter(told, attached=output_csv is not None)
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{event_id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    # RFC 3834: no out-of-office answer is wanted.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_as_text(letter))
    message.add_alternative(_as_html(letter), subtype="html")
    if output_csv is not None:
        name = output_name(told["source_filename"], "-compressed.csv")
        message.add_attachment(output_csv, maintype="text", subtype="csv", filename=name,
                               params={"charset": "utf-8"})
    return message


def _letter(told: Mapping[str, Any], *, attached: bool) -> Letter:
    name, done, total = told["source_filename"], told["completed_images"], told["total_images"]
    subject = {
        "COMPLETED": f"{name}: {done:,} of {total:,} images compressed",
        "FAILED": f"{name}: no image could be compressed",
        "CANCELLED": f"{name}: cancelled after {done:,} of {total:,} images",
    }[told["status"]]
    links = {"All images, with the reasons for failures": told["details_url"]}
    if not attached:
        links = {"The output CSV, which is too large to attach": told["download_url"]} | links
    closing = ("The output CSV is attached: your file with the new URLs.",) if attached else ()
    return Letter(subject, (*_summary(told), *closing), _failures(told), links)


def _summary(told: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = told["input_bytes"], told["output_bytes"]
    lines = [OPENINGS[told["status"]].format(name=told["source_filename"]),
             f"{told['completed_images']:,} of {told['total_images']:,} images were compressed,"
             f" {told['failed_images']:,} failed."]
    if before:
        saved = 100 * (before - after) / before
        lines.append(f"Their size went from {_size(before)} to {_size(after)}: {saved:.0f} % less.")
    return tuple(lines)


def _failures(told: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{failure['count']:,} from {failure['host'] or 'no host'} (row {failure['example_row']}):"
        f" {_told(failure['found'])}{_advice(failure['code'])}" for failure in told["failures"])


def _told(found: str) -> str:
    return f"{found}. " if found else ""


def _advice(code: str) -> str:
    fault = IMAGE_FAULTS.get(code)
    return fault.advice if fault else code


def _size(count: int) -> str:
    if count >= MEGABYTE:
        return f"{count / MEGABYTE:,.1f} MB"
    return f"{count / KILOBYTE:,.1f} kB" if count >= KILOBYTE else f"{count} bytes"


def _as_text(letter: Letter) -> str:
    parts = ["\n".join(letter.paragraphs)]
    if letter.failures:
        parts.append("Images that failed:\n" + "\n".join(f"- {line}" for line in letter.failures))
    parts.append("\n".join(f"{label}:\n{url}" for label, url in letter.links.items()))
    return "\n\n".join(parts) + "\n"


def _as_html(letter: Letter) -> str:
    paragraphs = "".join(f"<p>{escape(line)}</p>\n" for line in letter.paragraphs)
    failures = "".join(f"<li>{escape(line)}</li>\n" for line in letter.failures)
    listed = f"<p>Images that failed:</p>\n<ul>\n{failures}</ul>\n" if failures else ""
    links = "".join(f'<p><a href="{escape(url)}">{escape(label)}</a></p>\n'
                    for label, url in letter.links.items())
    return f"<!doctype html>\n<html><body>\n{paragraphs}{listed}{links}</body></html>\n"
