"""JSON-RPC 2.0 objects and their bytes.

One AMQP message carries one object, so batches (section 6 of the specification) are refused: the bus itself
carries calls side by side. Errors are ``CommandError`` with a code of this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from clacks.common.errors import CommandError, CommandRefused

__all__ = [
    "FORBIDDEN",
    "INTERNAL_ERROR",
    "INVALID_EVENT",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "OUTCOME_UNKNOWN",
    "PARSE_ERROR",
    "TIMED_OUT",
    "UNAVAILABLE",
    "Failure",
    "Id",
    "Request",
    "Success",
    "decode",
    "encode",
]

PARSE_ERROR = -32700
"""The bytes are no JSON text."""
INVALID_REQUEST = -32600
"""The JSON text is no JSON-RPC 2.0 object."""
METHOD_NOT_FOUND = -32601
"""Nobody here serves this method."""
INVALID_PARAMS = -32602
"""The method does not take these arguments."""
INTERNAL_ERROR = -32603
"""The method failed, or its result is no JSON value."""

# -32000 to -32099 are for the implementation (section 5.1).
FORBIDDEN = -32001
"""The caller's rights do not cover the method, or what it would do."""
INVALID_EVENT = -32002
"""The event given to the method is refused; ``data`` has kind, path, reason and line."""
TIMED_OUT = -32003
"""No agent took the call before its deadline: it was not carried out."""
OUTCOME_UNKNOWN = -32004
"""An agent took the call and its answer is lost: it may have been carried out."""
UNAVAILABLE = -32005
"""The method exists and cannot work here and now; the message says what is missing."""

Id: TypeAlias = str | int | float | None


@dataclass(frozen=True, slots=True)
class Request:
    """A call. A notification is one that wants no answer and has no id.

    ``deadline`` is no part of the object: when its caller stops waiting, on the monotonic clock of who
    received it, as far as the message said; None if it did not.
    """

    method: str
    params: Sequence[Any] | Mapping[str, Any] = ()
    id: Id = None
    notification: bool = False
    deadline: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Success:
    """The answer of a call that went well; ``result`` is any JSON value."""

    result: Any
    id: Id = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer of a call that did not go well.

    ``id`` is None where the request was too broken to have one (section 5).
    """

    code: int
    message: str
    data: Any = field(default=None)
    id: Id = None

    def error(self) -> CommandRefused:
        """Return this answer as the exception that the caller gets."""
        return CommandRefused(self.code, self.message, self.data)


def encode(item: Request | Success | Failure) -> bytes:
    """Write one object as UTF-8 JSON.

    Raises:
        CommandError: With ``INVALID_PARAMS`` or ``INTERNAL_ERROR`` if the arguments or the result hold
            something that JSON has no value for (bytes, NaN, a cycle).
    """
    body: dict[str, Any] = {"jsonrpc": "2.0"}
    match item:
        case Request():
            body["method"] = item.method
            if item.params:
                body["params"] = dict(item.params) if isinstance(item.params, Mapping) else list(item.params)
            if not item.notification:
                body["id"] = item.id
        case Success():
            body["result"] = item.result
            body["id"] = item.id
        case Failure():
            error: dict[str, Any] = {"code": item.code, "message": item.message}
            if item.data is not None:
                error["data"] = item.data
            body["error"] = error
            body["id"] = item.id
    try:
        # ASCII, because a str may hold lone surrogates, which UTF-8 cannot and \u escapes can.
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error_found:
        code, what = (
            (INVALID_PARAMS, "the arguments") if isinstance(item, Request) else (INTERNAL_ERROR, "the result")
        )
        raise CommandError(code, f"{what} cannot be written as JSON: {error_found}") from error_found


def decode(data: bytes | bytearray | memoryview | str) -> Request | Success | Failure:
    """Read one object.

    Unknown members are passed over. ``NaN`` and ``Infinity`` are no JSON and refused.

    Raises:
        CommandError: With ``PARSE_ERROR`` if it is no JSON text, with ``INVALID_REQUEST`` if it is no
            JSON-RPC 2.0 object (a batch is none here). ``data`` is then the id if there is a good one.
    """
    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8")
        body = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # ValueError covers bad UTF-8, bad JSON and integers of more digits than Python converts.
        raise CommandError(PARSE_ERROR, f"not a JSON text: {error}") from error
    if isinstance(body, list):
        raise CommandError(INVALID_REQUEST, "batches are not served: one message carries one call")
    if not isinstance(body, dict):
        raise CommandError(INVALID_REQUEST, "not an object")
    id_ = body.get("id")
    if isinstance(id_, bool) or not isinstance(id_, str | int | float | None):
        raise CommandError(INVALID_REQUEST, "the id must be a string, a number or null")
    if isinstance(id_, float) and not math.isfinite(id_):  # 1e999: JSON can write what a double cannot hold
        raise CommandError(INVALID_REQUEST, "the id is out of range")
    if body.get("jsonrpc") != "2.0":
        raise CommandError(INVALID_REQUEST, 'the member "jsonrpc" must be "2.0"', id_)
    if "method" in body:
        return _request(body, id_)
    if "error" in body and "result" not in body:
        return _failure(body["error"], id_)
    if "result" in body and "error" not in body:
        return Success(body["result"], id_)
    raise CommandError(INVALID_REQUEST, "neither a call nor an answer", id_)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _request(body: dict[str, Any], id_: Id) -> Request:
    method = body["method"]
    if not isinstance(method, str) or not method:
        raise CommandError(INVALID_REQUEST, "the method must be a string", id_)
    params = body.get("params", ())
    if isinstance(params, list):
        params = tuple(params)
    elif not isinstance(params, dict | tuple):
        raise CommandError(INVALID_REQUEST, "the params must be an array or an object", id_)
    return Request(method, params, id_, notification="id" not in body)


def _failure(error: Any, id_: Id) -> Failure:
    if not isinstance(error, dict):
        raise CommandError(INVALID_REQUEST, "the error must be an object", id_)
    code, message = error.get("code"), error.get("message")
    if isinstance(code, bool) or not isinstance(code, int) or not isinstance(message, str):
        raise CommandError(INVALID_REQUEST, "an error has a code and a message", id_)
    return Failure(code, message, error.get("data"), id_)
