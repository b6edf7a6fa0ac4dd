"""The web pages: static files and empty pages, which call the API from the browser."""

from .pages import register_web

__all__ = ["register_web"]
