from __future__ import annotations

import pytest

from imgcompress.imaging.jpeg_engine import library


@pytest.fixture(autouse=True, scope="module")
def way() -> str:
    """Run the tests of this room once, with the engine."""
    if library.missing_engine():
        pytest.skip("the JPEG engine is not built")
    return "engine"
