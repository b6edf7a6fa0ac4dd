"""The pages, on the application that the tests of the interface use."""

from ..api.conftest import (  # noqa: F401
    app,
    client,
    database_url,
    request_id,
    settings,
    upload,
)
