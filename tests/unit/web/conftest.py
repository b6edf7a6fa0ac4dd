"""The pages, on the application that the tests of the interface use."""

from ..api.conftest import (
    app,
    client,
    database_url,  # noqa: F401
    dead_broker,  # noqa: F401
    request_id,
    settings,
    upload,
)
