"""A flask-smorest blueprint that reports faults, in answers and in the document, as problems."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from http import HTTPStatus
from typing import Any, NoReturn

import flask_smorest
from flask import Request, request
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser

from .auth import PUBLIC
from .errors import PROBLEM_TYPE, InvalidRequest
from .faults import faults_of_fields, faults_of_unknown_parameters
from .problem_examples import example_of
from .schemas.problem import ProblemSchema

View = Callable[..., Any]
Decorator = Callable[[View], View]

JOB_ID = {"in": "path", "name": "request_id", "schema": {"type": "string", "format": "uuid"},
          "description": "The job's id, as returned by the upload."}


class _Parser(FlaskParser):
    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def handle_error(self, error: ValidationError, req: Request, schema: Schema,
                     **_: Any) -> NoReturn:
        """Raise InvalidRequest with every fault of the query."""
        messages = error.messages_dict["query"]
        unknown = [name for name in req.args if name in messages and name not in schema.fields]
        known = {name: told for name, told in messages.items() if name in schema.fields}
        raise InvalidRequest([*faults_of_unknown_parameters(unknown, schema.fields, req.args),
                              *faults_of_fields(known, schema, req.args)])


def without_query(view: View) -> View:
    """Refuse every query parameter of a call that has none."""
    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if request.args:
            raise InvalidRequest(faults_of_unknown_parameters(request.args, (), request.args))
        return view(*args, **kwargs)

    return wrapper


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose views answer errors as problems."""

    ARGUMENTS_PARSER = _Parser()

    # flask-smorest has no types: these tell mypy what its decorators are.
    doc: Callable[..., Decorator]
    arguments: Callable[..., Decorator]
    response: Callable[..., Decorator]
    alt_response: Callable[..., Decorator]

    def route(self, rule: str, *, any_query: bool = False, **options: Any) -> Decorator:
        """Register a view, which takes those query parameters alone that its schema has.

        With `any_query` the view looks at the query by itself.
        """
        register: Decorator = super().route(rule, **options)

        def decorate(view: View) -> View:
            has_schema = "arguments" in getattr(view, "_apidoc", {})
            return register(view if any_query or has_schema else without_query(view))

        return decorate

    def problems(self, *statuses: int) -> Decorator:
        """Document that a view may answer with a problem of these statuses, or of the common ones.

        A call that is open to everybody needs no key, and is not counted.
        """
        common = {400, 421, 500} | (set() if self.name in PUBLIC else {401, 429})

        def document(view: View) -> View:
            return reduce(self._document_problem, sorted({*statuses, *common}), view)

        return document

    def _document_problem(self, view: View, status: int) -> View:
        describe = self.alt_response(status, schema=ProblemSchema, content_type=PROBLEM_TYPE,
                                     description=HTTPStatus(status).phrase,
                                     example=example_of(status))
        return describe(view)
