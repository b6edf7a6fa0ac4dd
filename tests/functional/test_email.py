"""E-mail at the end of a job, through a real mail server with STARTTLS and a login."""

from __future__ import annotations

import csv
import io
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from ..origin import PlainOrigin
from tests.support.mail_server import PASSWORD, USER, MailServer
from tests.support.photos import sample
from tests.support.service import Service, wait_until

SECONDS = 60


@pytest.fixture(scope="module")
def mail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MailServer, Path]]:
    """Return a mail server and the file of the authority that vouches for it."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    with MailServer("starttls", tls, login=True) as server:
        yield server, path


@pytest.fixture(scope="module")
def service(
    mail_server: tuple[MailServer, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service that sends mail."""
    server, authority = mail_server
    login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    with Service(
        tmp_path_factory.mktemp("email") / "var",
        SMTP_URL=f"smtp+starttls://{login}@127.0.0.1:{server.port}",
        MAIL_FROM="Images <images@service.test>",
        SSL_CERT_FILE=str(authority),
        WEBHOOK_RETRY_PAUSES="0.1,0.1,0.1",
    ) as service:
        yield service


def test_the_end_of_a_job_is_reported_by_mail_with_the_csv(
    service: Service, mail_server: tuple[MailServer, Path]
) -> None:
    server, _ = mail_server
    server.answers = ["451 4.7.1 Greylisted, try again later"]
    with PlainOrigin({"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}) as origin:
        content = (
            f"S. No.,Product Name,Input Image Urls\n1,Rocket,{origin.url('/rocket.jpg')}\n"
            f"2,Lost,{origin.url('/missing.jpg')}\n"
        )
        request_id = service.submit(content.encode(), email="team@shop.test")
        assert service.finished(request_id)["status"] == "COMPLETED"
        wait_until(lambda: server.mails, SECONDS, lambda: service.log)
    (mail,) = server.mails
    assert (server.recipients, server.logged_in) == (["team@shop.test"], [True])
    assert mail["Subject"] == "products.csv: 1 of 2 images compressed"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None and "1 failed" in plain.get_content()
    assert html is not None and "1 failed" in html.get_content()
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename() == "products-compressed.csv"
    sent = attachment.get_payload(decode=True)
    assert sent == service.get(f"/job/download/{request_id}").content
    rows = list(csv.DictReader(io.StringIO(sent.decode())))
    assert rows[0]["Output Image Urls"].startswith(service.url)
    assert "source_status" in rows[1]["Image Errors"]
    wait_until(lambda: service.status(request_id)["last_delivery"]["state"] == "DELIVERED", SECONDS)
    (log,) = service.get(f"/job/webhooks/{request_id}").json()["deliveries"]
    assert [attempt["response_status"] for attempt in log["attempts"]] == [451, 250]


def test_the_password_is_in_no_log(service: Service) -> None:
    assert PASSWORD not in service.log and quote(PASSWORD, safe="") not in service.log
