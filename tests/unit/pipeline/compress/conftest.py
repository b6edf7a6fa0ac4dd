from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from imgcompress.errors import ImageError

Raises = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def raises() -> Raises:
    """Expect an ImageError with this code, and this text in its message."""
    @contextmanager
    def expect(code: str, found: str = "") -> Iterator[None]:
        with pytest.raises(ImageError) as caught:
            yield
        assert caught.value.code == code
        assert found in caught.value.message
    return expect
