"""Eventhub's words: JSON-RPC 2.0 requests from text, answers and messages to text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from clacks.dialects.actions import Encoded
from clacks.dialects.delivered import TOPIC_MESSAGE, Delivered

__all__ = [
    "MESSAGES",
    "STREAM",
    "BadRequest",
    "Id",
    "Message",
    "Request",
    "StreamBlock",
    "error",
    "invalid_params",
    "invalid_request",
    "item",
    "read_request",
    "result",
    "splice",
    "text_of",
    "unknown_method",
]

Id: TypeAlias = int | str | None

_INVALID_REQUEST: Final = -32600
_METHOD_NOT_FOUND: Final = -32601
_INVALID_PARAMS: Final = -32602


class BadRequest(ValueError):
    """What came is no request; nothing of it is known, so the answer has no id."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``method`` in lower case, for case does not count."""

    id: Id
    method: str
    params: Mapping[str, Any] | tuple[Any, ...]

    @property
    def named(self) -> Mapping[str, Any]:
        """The parameters by name; none if they came as an array."""
        return self.params if isinstance(self.params, Mapping) else {}


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_read: Final = json.JSONDecoder(parse_constant=_no_constant).decode
"""``json.loads`` with an option makes a decoder each time."""


def read_request(text: str) -> Request:
    """Read one request.

    Raises:
        BadRequest: If it is no JSON, no object, a batch, a notification, an answer, or a member is wrong.
    """
    try:
        body = _read(text)
    except (ValueError, RecursionError) as problem:
        raise BadRequest(str(problem)) from None
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or "id" not in body:
        raise BadRequest("not a request of JSON-RPC 2.0")
    id_, method, params = body["id"], body.get("method"), body.get("params", {})
    if isinstance(id_, bool) or not isinstance(id_, int | str | None):
        raise BadRequest("the id is neither integer, text nor null")
    if not isinstance(method, str) or not method:
        raise BadRequest("no method")
    if isinstance(params, list):
        return Request(id_, method.lower(), tuple(params))
    if not isinstance(params, dict):
        raise BadRequest("the params are neither object nor array")
    return Request(id_, method.lower(), params)


# ASCII, because a text may hold lone surrogates, which UTF-8 cannot and \u escapes can.
_dump: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def result(id_: Id, value: Any) -> str:
    """Write a success."""
    return f'{{"id":{_dump(id_)},"jsonrpc":"2.0","result":{_dump(value)}}}'


def error(id_: Id, code: int, message: str, data: str | None = None) -> str:
    """Write an error."""
    found: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        found["data"] = data
    return f'{{"id":{_dump(id_)},"jsonrpc":"2.0","error":{_dump(found)}}}'


def invalid_params(id_: Id, why: str) -> str:
    """Write the error for everything that a method refuses."""
    return error(id_, _INVALID_PARAMS, "Invalid params", why)


def invalid_request() -> str:
    """Write the error for what is no request."""
    return error(None, _INVALID_REQUEST, "Invalid request", "Invalid request")


def unknown_method(id_: Id) -> str:
    """Write the error for a method that does not exist."""
    return error(id_, _METHOD_NOT_FOUND, "Method not found")


def splice(id_: Id) -> bytes:
    """Return the bytes of a subscriber: the id of its request."""
    return _dump(id_).encode()


def text_of(delivered: Delivered) -> str:
    """Return the text of a message; a typed event is its JSON values."""
    if delivered.kind == TOPIC_MESSAGE:
        return delivered.message
    return _dump(delivered.fields)


def item(delivered: Delivered) -> dict[str, str]:
    """Return a message as the event log shows it."""
    found = {"id": delivered.id, "topic": delivered.topic, "message": text_of(delivered)}
    if delivered.origin is not None:
        found["origin"] = delivered.origin
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """Messages over WebSocket: answers that carry the id of the subscribing request."""

    def encode(self, delivered: Delivered, topic: str) -> Encoded:
        """Return one message without the id."""
        return Encoded(b'{"id":', f',"jsonrpc":"2.0","result":{_dump(item(delivered))}}}'.encode())


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """Messages as server-sent events."""

    def encode(self, delivered: Delivered, topic: str) -> Encoded:
        """Return one block; every line of a text is a ``data`` line, so a message cannot forge another."""
        text = text_of(delivered).encode("utf-8", "replace").decode()
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        data = "".join(f"data: {line}\n" for line in lines)
        return Encoded(f"id: {delivered.id}\n{data}\n".encode())


MESSAGES: Final = Message()
STREAM: Final = StreamBlock()
