"""Which errors are final, which are retried, and when."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import uuid4

import pytest

from imgcompress.errors import ImageError
from imgcompress.ledger.results import Failure, Postponement
from imgcompress.ledger.slices import PendingImage
from imgcompress.net.fetcher import HostBusy
from imgcompress.worker.slices import MAX_WAITS, classify_failure


def _image(attempts: int = 0, waits: int = 0) -> PendingImage:
    return PendingImage(uuid4(), 0, 2, "https://images.test/1.jpg", attempts, False, waits)


def _delay(error: ImageError, attempts: int = 0) -> float:
    result = classify_failure(_image(attempts), error)
    assert isinstance(result, Postponement)
    return result.rest / timedelta(seconds=1)


def test_a_final_error_fails_with_its_code_and_advice() -> None:
    error = ImageError("source_status", "The server answered 404", retryable=False)
    result = classify_failure(_image(), error)
    assert isinstance(result, Failure)
    assert result.error_code == "source_status"
    assert result.error_message.startswith("The server answered 404. ")
    assert result.found == "The server answered 404"


def test_a_failed_attempt_is_logged_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "imgcompress.worker.slices")
    image = _image(attempts=2)
    classify_failure(image, ImageError("connect_failed"))
    (line,) = caplog.records
    assert line.levelname == "DEBUG"
    assert line.getMessage().startswith(f"Image {image.image_id} failed in attempt 3: ")


def test_details_that_differ_between_images_do_not_split_a_group() -> None:
    result = classify_failure(
        _image(), ImageError("too_large", "The server announces 26,214,401 bytes")
    )
    assert isinstance(result, Failure) and result.found == ""


def test_a_busy_host_costs_no_attempt() -> None:
    result = classify_failure(_image(attempts=2), HostBusy("images.test", 25))
    assert isinstance(result, Postponement) and not result.tried


def test_nobody_waits_for_a_busy_host_forever() -> None:
    result = classify_failure(_image(waits=MAX_WAITS), HostBusy("images.test", 25))
    assert isinstance(result, Failure) and result.error_code == "host_suspended"


@pytest.mark.parametrize("attempts, shortest, longest", [(0, 0.7, 1.3), (1, 2.9, 5.1)])
def test_a_temporary_error_waits_longer_each_time(
    attempts: int, shortest: float, longest: float
) -> None:
    assert shortest <= _delay(ImageError("connect_failed"), attempts) <= longest


def test_the_third_attempt_is_the_last() -> None:
    assert isinstance(classify_failure(_image(attempts=2), ImageError("connect_failed")), Failure)


@pytest.mark.parametrize("asked, given", [(2, 2), (120, 120), (99999, 300)])
def test_an_origin_can_ask_for_a_pause_of_up_to_five_minutes(asked: float, given: float) -> None:
    error = ImageError("source_status", "The server answered 429", retry_after=asked)
    assert given - 1 <= _delay(error) <= given
