"""The two envelopes of one event system, as codecs: texts to messages, answers to texts.

    legacy    /websocket       {"msg": "method", "id", "method", "params"}, after a handshake (DDP of Meteor)
    rpc       /api/current     {"jsonrpc": "2.0", "id", "method", "params"}

What a message means is the same in both and stands in ``session.py``; a `Wire` is a row of functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from clacks.dialects.nesting import too_deep
from clacks.dialects.truenas.collections import safe_value
from clacks.dialects.truenas.problems import TOO_MANY_CALLS, Problem

__all__ = [
    "LEGACY",
    "RPC",
    "Answer",
    "Broken",
    "Connect",
    "Message",
    "Method",
    "Ping",
    "Subscribe",
    "Unsubscribe",
    "Wire",
]

MOST_DEPTH: Final = 50
"""Levels of nested JSON that are read."""

# -- what comes


@dataclass(frozen=True, slots=True)
class Connect:
    """The handshake; ``accepted`` if the version is one that we speak."""

    accepted: bool
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Method:
    """A call; ``wants_answer`` is False for one without an id, which nobody can be told about."""

    id: Any
    name: str
    params: list[Any]
    wants_answer: bool = True


@dataclass(frozen=True, slots=True)
class Subscribe:
    """``sub``: begin to listen, under an id of the client's."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """``unsub``: end it."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping as message; ``body`` is the answer's."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Something is wrong, and this text says so; the connection stays."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Something is so wrong that the connection is closed."""

    code: int
    reason: str


Message: TypeAlias = Connect | Method | Subscribe | Unsubscribe | Ping | Answer | Broken | None


@dataclass(frozen=True, slots=True)
class Wire:
    """One envelope.

    Attributes:
        read: From a text to a message, None for one that is passed over.
        result: The answer to a call that succeeded: id, value.
        failed: The answer to a call that failed: id, problem.
        unknown: The answer to a call of a method that does not exist: id, problem.
        ended: What says that a subscription is over: collection, problem or None.
        rpc: Whether events are wrapped as JSON-RPC 2.0.
        handshake: Whether a `Connect` must come first.
    """

    read: Callable[[str], Message]
    result: Callable[[Any, Any], str]
    failed: Callable[[Any, Problem], str]
    unknown: Callable[[Any, Problem], str]
    ended: Callable[[str, Problem | None], str]
    rpc: bool
    handshake: bool


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _parse(text: str) -> Any:
    """Read JSON. Raises ValueError, with the text that the closing of the connection gives as its reason."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if too_deep(value, MOST_DEPTH):
        raise ValueError("nested too deeply")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_BATCH: Final = "Batch messages are not supported at this time"
_FORMAT: Final = "Invalid Message Format"

# -- legacy


def _legacy_read(text: str) -> Message:
    try:
        value = _parse(text)
    except ValueError as error:
        return Broken(1007, str(error)[:100])
    if isinstance(value, list):
        return Broken(1007, _BATCH)
    if not isinstance(value, dict) or not isinstance(value.get("msg"), str):
        return Broken(1007, _FORMAT)
    reader = _LEGACY_READERS.get(value["msg"])
    return None if reader is None else reader(value)


def _legacy_connect(value: dict[str, Any]) -> Message:
    features = value.get("features")
    known = frozenset(one for one in features if isinstance(one, str)) if isinstance(features, list) else ()
    return Connect(value.get("version") == "1", frozenset(known))


def _legacy_method(value: dict[str, Any]) -> Message:
    number = value.get("id")
    if not isinstance(number, str | int) or isinstance(number, bool):
        return None  # nobody could be told what came of it, so it is not done
    name, params = value.get("method"), value.get("params")
    if not isinstance(name, str):
        return Answer(_legacy_failed(number, Problem(22, "Message is malformed: 'method' is absent.")))
    if params is None:
        params = []
    if not isinstance(params, list):
        return Answer(_legacy_failed(number, Problem(22, "`params` must be a list.")))
    return Method(number, name, params)


def _legacy_subscribe(value: dict[str, Any]) -> Message:
    number, name = value.get("id"), value.get("name")
    if not isinstance(number, str):
        return Broken(1007, _FORMAT)
    if not isinstance(name, str):
        return Answer(_legacy_failed(number, Problem(22, "Message is malformed: 'name' is absent.")))
    return Subscribe(number, name)


def _legacy_unsubscribe(value: dict[str, Any]) -> Message:
    number = value.get("id")
    return Unsubscribe(number) if isinstance(number, str) else None


def _legacy_ping(value: dict[str, Any]) -> Message:
    return Ping({"msg": "pong", **({"id": value["id"]} if "id" in value else {})})


_LEGACY_READERS: Final[dict[str, Callable[[dict[str, Any]], Message]]] = {
    "connect": _legacy_connect,
    "method": _legacy_method,
    "sub": _legacy_subscribe,
    "unsub": _legacy_unsubscribe,
    "ping": _legacy_ping,
}


def _legacy_result(id: Any, value: Any) -> str:  # noqa: A002 - the word of the wire
    return _text({"id": id, "msg": "result", "result": safe_value(value)})


def _legacy_error(problem: Problem) -> dict[str, Any]:
    return {**problem.body(), "type": "VALIDATION" if problem.triples else None}


def _legacy_failed(id: Any, problem: Problem) -> str:  # noqa: A002 - the word of the wire
    return _text({"msg": "result", "id": id, "error": _legacy_error(problem)})


def _legacy_ended(collection: str, problem: Problem | None) -> str:
    body: dict[str, Any] = {"msg": "nosub", "collection": collection}
    if problem is not None:
        body["error"] = _legacy_error(problem)
    return _text(body)


LEGACY: Final = Wire(
    _legacy_read, _legacy_result, _legacy_failed, _legacy_failed, _legacy_ended, rpc=False, handshake=True
)

# -- JSON-RPC 2.0


def _rpc_read(text: str) -> Message:
    try:
        value = _parse(text)
    except ValueError as error:
        return Answer(_rpc_error(None, -32700, str(error)[:100]))
    if isinstance(value, list):
        return Answer(_rpc_error(None, -32700, _BATCH))
    if not isinstance(value, dict):
        return Answer(_rpc_error(None, -32700, _FORMAT))
    wrong = _rpc_wrong(value)
    if wrong:
        # An error without an id fails all open calls of the client, so one that has none gets no answer.
        return Answer(_rpc_error(value["id"], -32600, wrong)) if _usable_id(value) else None
    # null is an id by the letter, but an answer with it would fail all open calls of the client.
    return Method(value.get("id"), value["method"], value.get("params", []), value.get("id") is not None)


def _usable_id(value: dict[str, Any]) -> bool:
    return isinstance(value.get("id"), str | int | float) and not isinstance(value["id"], bool)


def _rpc_wrong(value: dict[str, Any]) -> str:
    if value.get("jsonrpc") != "2.0":
        return "Missing 'jsonrpc' member" if "jsonrpc" not in value else "'jsonrpc' member must be '2.0'"
    if "id" in value and value["id"] is not None and not _usable_id(value):
        return "'id' member must be of type string or number"
    if "method" not in value:
        return "Missing 'method' member"
    if not isinstance(value["method"], str):
        return "'method' member must be of type string"
    if not isinstance(value.get("params", []), list):
        return "'params' member must be of type array"
    return ""


def _rpc_error(id: Any, code: int, message: str, data: Any = None) -> str:  # noqa: A002 - the word of the wire
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return _text({"jsonrpc": "2.0", "error": error, "id": id})


def _rpc_result(id: Any, value: Any) -> str:  # noqa: A002 - the word of the wire
    return _text({"jsonrpc": "2.0", "result": safe_value(value), "id": id})


def _rpc_failed(id: Any, problem: Problem) -> str:  # noqa: A002 - the word of the wire
    if problem is TOO_MANY_CALLS:
        return _rpc_error(id, -32000, problem.reason.rstrip("."))
    if problem.triples:
        return _rpc_error(id, -32602, "Invalid params", problem.body())
    return _rpc_error(id, -32001, "Method call error", problem.body())


def _rpc_unknown(id: Any, problem: Problem) -> str:  # noqa: A002 - the word of the wire
    # Word for word: the client tries older ways to log in when it reads this.
    return _rpc_error(id, -32601, "Method does not exist")


def _rpc_ended(collection: str, problem: Problem | None) -> str:
    params = {"collection": collection, "error": None if problem is None else problem.body()}
    return _text({"jsonrpc": "2.0", "method": "notify_unsubscribed", "params": params})


RPC: Final = Wire(_rpc_read, _rpc_result, _rpc_failed, _rpc_unknown, _rpc_ended, rpc=True, handshake=False)
