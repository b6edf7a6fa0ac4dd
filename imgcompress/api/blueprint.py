"""A flask-smorest blueprint that tells faults, in answers and in the document, as problems."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from http import HTTPStatus
from typing import Any, NoReturn

import flask_smorest
from flask import Request
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser

from .auth import PUBLIC
from .errors import PROBLEM_TYPE, InvalidRequest
from .faults import faults_of_fields
from .problem_examples import example_of
from .schemas.problem import ProblemSchema

View = Callable[..., Any]
Decorator = Callable[[View], View]

JOB_ID = {"in": "path", "name": "request_id", "schema": {"type": "string", "format": "uuid"},
          "description": "The id of the job, as the answer to the upload told it."}


class _Parser(FlaskParser):
    DEFAULT_VALIDATION_STATUS = 400

    def handle_error(self, error: ValidationError, req: Request, schema: Schema,
                     **_: Any) -> NoReturn:
        """Raise InvalidRequest with every fault of the query."""
        messages = error.messages_dict["query"]
        raise InvalidRequest(faults_of_fields(messages, schema, req.args))


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose views answer errors as problems."""

    ARGUMENTS_PARSER = _Parser()

    # flask-smorest has no types: these tell mypy what its decorators are.
    route: Callable[..., Decorator]
    doc: Callable[..., Decorator]
    arguments: Callable[..., Decorator]
    response: Callable[..., Decorator]
    alt_response: Callable[..., Decorator]

    def problems(self, *statuses: int) -> Decorator:
        """Document that a view may answer with a problem of these statuses, or of the common ones.

        What everybody may call asks for no key, and is not counted.
        """
        common = {500} if self.name in PUBLIC else {401, 429, 500}

        def document(view: View) -> View:
            return reduce(self._document_problem, sorted({*statuses, *common}), view)

        return document

    def _document_problem(self, view: View, status: int) -> View:
        describe = self.alt_response(status, schema=ProblemSchema, content_type=PROBLEM_TYPE,
                                     description=HTTPStatus(status).phrase,
                                     example=example_of(status))
        return describe(view)
