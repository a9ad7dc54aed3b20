"""The envelope of the SysAdm API: ``{"namespace", "name", "id", "args"}``, both ways.

Text to values and values to text; what they mean is in ``session.py``. The clients are old and exact: a frame
begins with its brace (anything before it would be read as routed through a bridge), ids are texts, and an
error is known by its name alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from clacks.dialects.nesting import too_deep

__all__ = [
    "BAD_REQUEST",
    "FORBIDDEN",
    "NOT_FOUND",
    "UNAUTHORIZED",
    "BadRequest",
    "Problem",
    "Request",
    "error",
    "event",
    "read",
    "reply",
]

MOST_DEPTH: Final = 20
"""Levels of nested JSON that are read: a request has three."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``args`` is whatever JSON value came, the whole object if the member is absent."""

    namespace: str
    name: str
    id: str
    args: Any


class BadRequest(Exception):
    """It is no request; ``id`` is the text that an answer carries."""

    def __init__(self, why: str, id: str = "") -> None:  # noqa: A002 - the word of the wire
        super().__init__(why)
        self.id = id


@dataclass(frozen=True, slots=True)
class Problem:
    """Code and message of an error."""

    code: int
    message: str


BAD_REQUEST: Final = Problem(400, "Bad Request")
UNAUTHORIZED: Final = Problem(401, "Unauthorized")
FORBIDDEN: Final = Problem(403, "Forbidden")
NOT_FOUND: Final = Problem(404, "Not Found")


def read(message: str | bytes) -> Request:
    """Read one frame; a binary one counts as text, as the original server has it.

    Raises:
        BadRequest: If it is no JSON object, or namespace or name is missing or empty.
    """
    try:
        text = message.decode("utf-8") if isinstance(message, bytes) else message
    except UnicodeDecodeError:
        raise BadRequest("not UTF-8") from None
    if not text.startswith("{"):
        # With a first line of its own it would be routed; the original reflects that line, we do not.
        raise BadRequest("a frame must begin with a brace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("not JSON") from None
    if too_deep(found, MOST_DEPTH):
        raise BadRequest(f"nested more than {MOST_DEPTH} deep")
    namespace, name, number = found.get("namespace"), found.get("name"), found.get("id")
    # An id that is no text is lost: nobody can pair the answer, and a number is not made into a text.
    known = number if isinstance(number, str) else ""
    if not isinstance(namespace, str) or not namespace or not isinstance(name, str) or not name:
        raise BadRequest("namespace and name must be texts", known)
    return Request(namespace, name, known, found.get("args", found))


def reply(request: Request, args: Any) -> str:
    """Return the answer to a request. One without an id is known by the request's name instead."""
    return _text(request.namespace, "response" if request.id else request.name, request.id, args)


def error(id: str, problem: Problem, *, as_number: bool = False) -> str:  # noqa: A002 - the word of the wire
    """Return an error. The code is a text as the original server sends it, or a number as its guide shows."""
    code: str | int = problem.code if as_number else str(problem.code)
    return _text("error", "error", id, {"code": code, "message": problem.message})


def event(name: str, args: Any) -> str:
    """Return an event; its id is empty: it may never be one that a client waits for."""
    return _text("events", name, "", args)


def _text(namespace: str, name: str, id: str, args: Any) -> str:  # noqa: A002 - the word of the wire
    body = {"args": args, "id": id, "name": name, "namespace": namespace}
    # ASCII only: the text of an event may hold what UTF-8 cannot, such as half a surrogate pair.
    return json.dumps(body, separators=(",", ":"))
