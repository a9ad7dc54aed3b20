"""What went wrong, as HTTP says it: status and problem details (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from clacks.dialects.actions import Failed, Failure
from clacks.dialects.exchange import Response

__all__ = ["WWW_AUTHENTICATE", "details", "problem", "refusal", "status_of"]

WWW_AUTHENTICATE: Final = 'Bearer realm="clacks", Basic realm="clacks", charset="UTF-8"'
"""What a 401 asks for (RFC 9110, 11.6.1): a token, or user and password."""

_STATUS: Final[Mapping[Failure, int]] = {
    Failure.REFUSED: 401,
    Failure.BUSY: 429,
    Failure.FORBIDDEN: 403,
    Failure.UNKNOWN: 404,
    Failure.INVALID: 422,
    Failure.RATE: 429,
    Failure.LIMIT: 429,
    Failure.UNAVAILABLE: 503,
    Failure.TIMEOUT: 504,
    Failure.LOST: 502,
    Failure.REMOTE: 502,
}

_TITLES: Final[Mapping[int, str]] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    406: "Not Acceptable",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def status_of(failed: Failed, *, known: bool = True) -> int:
    """Return the status of a failure; without a login what is forbidden asks for one."""
    if failed.why is Failure.FORBIDDEN and not known:
        return 401
    return _STATUS[failed.why]


def details(status: int, text: str, **more: Any) -> dict[str, Any]:
    """Return a problem as an object; ``more`` are members of its own, None ones are left out."""
    found = {name: value for name, value in more.items() if value is not None}
    return {"title": _TITLES[status], "status": status, "detail": text, **found}


def problem(status: int, text: str, **more: Any) -> Response:
    """Return a problem as a response."""
    headers = {"WWW-Authenticate": WWW_AUTHENTICATE} if status == 401 else {}
    body = json.dumps(details(status, text, **more), separators=(",", ":")).encode()
    return Response(status, body, "application/problem+json", headers)


def refusal(failed: Failed, *, known: bool = True) -> Response:
    """Return the response that an outcome stands for."""
    return problem(status_of(failed, known=known), failed.text or failed.why.value, errors=failed.data)
