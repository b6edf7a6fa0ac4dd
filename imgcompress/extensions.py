"""The database and the settings of an application; `app.py` binds them."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase
from werkzeug.local import LocalProxy

from .config import Settings
from .shipped import MIGRATIONS

# Named constraints, so that a later migration can drop or change any of them on both databases.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The declarative base of every table."""

    metadata = MetaData(naming_convention=NAMING)


db = SQLAlchemy(model_class=Base, disable_autonaming=True)


def add_migrations(app: Flask) -> None:
    """Bind Flask-Migrate on first use.

    The servers do not need it; with Alembic, which it loads, it takes a tenth of their start.
    """

    def bind() -> Any:
        from flask_migrate import Migrate

        # This replaces the proxy.
        Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True)
        return app.extensions["migrate"]

    app.extensions["migrate"] = LocalProxy(bind)


def current_extension(name: str) -> Any:
    """Return the object registered with the running application under this name."""
    return current_app.extensions[name]


def current_settings() -> Settings:
    """Return the settings of the running application."""
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def base_url() -> str:
    """Return the address of this service as its caller sees it, without a trailing slash."""
    return current_settings().public_base_url or request.root_url.rstrip("/")
