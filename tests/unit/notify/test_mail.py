"""What the mail about the end of a job says."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest

from imgcompress.notify.email import Attachment, job_mail

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
FACTS = {
    "request_id": "7f1c",
    "status": "COMPLETED",
    "message": "The job is done; see the counts for failed images.",
    "completion_percentage": 100,
    "total_images": 1200,
    "completed_images": 1197,
    "failed_images": 3,
    "input_bytes": 480_000_000,
    "output_bytes": 210_000_000,
    "source_filename": "Größe & <b>.csv",
    "failures": [
        {
            "code": "source_status",
            "host": "cdn.shop.test",
            "found": "HTTP 403 Forbidden",
            "count": 2,
            "example_row": 7,
        },
        {
            "code": "not_an_image",
            "host": "<i>.shop.test",
            "found": "",
            "count": 1,
            "example_row": 9,
        },
    ],
    "details_url": "https://images.test/job/details/7f1c",
    "download_url": "https://images.test/job/download/7f1c",
}


CSV = Attachment(".csv", "text/csv; charset=utf-8", b"a,b\r\n")


def _mail(attachment: Attachment | None = CSV, **changes: Any) -> EmailMessage:
    """Return the mail as it arrives."""
    message = job_mail(
        FACTS | changes,
        event_id="msg_1",
        sender="Images <images@service.test>",
        recipient="team@shop.test",
        now=NOW,
        attachment=attachment,
    )
    return cast("EmailMessage", message_from_bytes(bytes(message), policy=policy.default))


def _part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content


def test_the_headers_name_sender_subject_and_date() -> None:
    mail = _mail()
    assert mail["Subject"] == "Größe & <b>.csv: 1,197 of 1,200 images compressed"
    assert (mail["From"], mail["To"]) == ("Images <images@service.test>", "team@shop.test")
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"


def test_every_attempt_has_the_same_id() -> None:
    assert _mail()["Message-ID"] == _mail()["Message-ID"] == "<msg_1@service.test>"


def test_the_text_shows_counts_savings_and_reasons() -> None:
    text = _part(_mail(), "plain")
    assert "1,197 of 1,200 images were compressed, 3 failed." in text
    assert "Their size went from 480.0 MB to 210.0 MB: 56 % less." in text
    assert "- 2 from cdn.shop.test (row 7): HTTP 403 Forbidden. The server refused to send" in text
    assert FACTS["details_url"] in text


def test_the_html_part_has_the_same_text_and_no_scripts() -> None:
    page = _part(_mail(), "html")
    assert "1,197 of 1,200" in page and f'href="{FACTS["details_url"]}"' in page
    assert "Größe &amp; &lt;b&gt;.csv" in page and "&lt;i&gt;.shop.test" in page
    assert "<b>" not in page and "<i>" not in page


def test_the_csv_is_attached_under_the_name_of_the_upload() -> None:
    mail = _mail(CSV._replace(content=b"S. No.,\xc3\xbc\r\n"))
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename() == "Größe & b-compressed.csv"
    assert attachment.get_content_type() == "text/csv"
    assert attachment.get_payload(decode=True) == b"S. No.,\xc3\xbc\r\n"
    assert "is attached" in _part(mail, "plain")
    book = Attachment(".xlsx", "application/vnd.test.sheet", b"PK\0\r\n")
    (attachment,) = _mail(book).iter_attachments()
    assert attachment.get_filename() == "Größe & b-compressed.xlsx"
    assert attachment.get_content_type() == "application/vnd.test.sheet"
    assert attachment.get_payload(decode=True) == book.content


def test_without_an_attachment_there_is_a_link() -> None:
    mail = _mail(None)
    assert list(mail.iter_attachments()) == []
    for kind in ("plain", "html"):
        assert FACTS["download_url"] in _part(mail, kind)
        assert "attached" not in _part(mail, kind)


@pytest.mark.parametrize(
    "status, subject",
    [
        ("FAILED", "a.csv: no image could be compressed"),
        ("CANCELLED", "a.csv: cancelled after 1,197 of 1,200 images"),
    ],
)
def test_each_end_has_its_subject(status: str, subject: str) -> None:
    assert _mail(status=status, source_filename="a.csv")["Subject"] == subject


def test_nothing_compressed_saves_nothing() -> None:
    text = _part(_mail(status="FAILED", completed_images=0, input_bytes=0, output_bytes=0), "plain")
    assert "less" not in text


def test_a_line_end_in_a_name_or_address_adds_no_header() -> None:
    with pytest.raises(ValueError):
        _mail(source_filename="a.csv\r\nBcc: all@shop.test")
