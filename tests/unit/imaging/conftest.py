from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from imgcompress.errors import ImageError
from imgcompress.imaging.jpeg_engine import library

Raises = Callable[..., AbstractContextManager[None]]

# The engine makes JPEGs of JPEGs, and its quantiser makes palettes for PNGs and GIFs.
WITHOUT_ENGINE = [pytest.param(format, marks=pytest.mark.one_way) for format in ("webp", "avif")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep one of the two ways for what is marked `one_way`, since the engine has no part in it."""
    items[:] = [
        item
        for item in items
        if not item.get_closest_marker("one_way") or item.callspec.params.get("way") != "engine"  # type: ignore[attr-defined]
    ]


@pytest.fixture(autouse=True, scope="module", params=["engine", "pixels"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run all tests of this room with the JPEG engine, and as if it were not built."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "pixels":
            patch.setattr(library, "library", lambda: "It is switched off.")
        elif library.missing_engine():
            pytest.skip("the JPEG engine is not built")
        yield request.param


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
