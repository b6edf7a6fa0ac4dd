"""The entry point of a checkout: `gunicorn wsgi:app`, `celery -A wsgi:celery_app`, `flask`.

An installed package has the same under `imgcompress.wsgi`.
"""

from typing import Any

from imgcompress import wsgi


def __getattr__(name: str) -> Any:
    """Return `app` or `celery_app`, made when it is asked for."""
    return getattr(wsgi, name)
