"""What is wrong with a request: its fields, and the rows and columns of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema

from ..catalogue import Fault

# However many faults a request has, so many are told.
FAULTS_TOLD = 100
VALUE_CHARS = 200
CODES = {"file": "missing_file"}
# What these fields hold is not repeated.
SECRETS = {"webhook_secret"}


@dataclass(frozen=True)
class RequestFault:
    """One fault: the field of the request, and where in the file if the field is the file."""

    field: str
    row: int | None
    column: str | None
    code: str
    message: str
    value: str | None


def faults_of_file(faults: Sequence[Fault]) -> list[RequestFault]:
    """Return the faults of an uploaded catalogue as faults of the field `file`."""
    return [RequestFault("file", fault.row, fault.column, fault.code, fault.message, fault.value)
            for fault in faults]


def faults_of_fields(messages: Mapping[str, Sequence[str]], schema: Schema,
                     values: Mapping[str, Any]) -> list[RequestFault]:
    """Return what `schema` found in a flat set of values, one fault for each field."""
    return [_fault_of_field(field, told, schema, values.get(field))
            for field, told in messages.items()]


def faults_of_unknown_parameters(names: Iterable[str], known: Iterable[str],
                                 values: Mapping[str, str]) -> list[RequestFault]:
    """Return one fault for each query parameter that a call does not know."""
    listed = ", ".join(known)
    advice = f"The parameters are {listed}." if listed else "This call takes no parameters."
    return [RequestFault(name[:VALUE_CHARS], None, None, "unknown_parameter",
                         f"There is no parameter called “{name[:VALUE_CHARS]}”. {advice}",
                         values[name][:VALUE_CHARS]) for name in names]


def _fault_of_field(field: str, messages: Sequence[str], schema: Schema,
                    value: Any) -> RequestFault:
    known = field in schema.fields
    code = CODES.get(field, f"invalid_{field}") if known else "unknown_field"
    message = messages[0] if known else _advice_on_unknown(field, schema)
    shown = value[:VALUE_CHARS] if isinstance(value, str) and field not in SECRETS else None
    return RequestFault(field[:VALUE_CHARS], None, None, code, message, shown)


def _advice_on_unknown(field: str, schema: Schema) -> str:
    return (f"There is no field called “{field[:VALUE_CHARS]}”. The fields are"
            f" {', '.join(schema.fields)}.")
