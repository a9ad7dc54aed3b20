"""What a browser asks before a page of another origin may read an answer (Fetch, 3.2: the CORS protocol).

Only origins that the guard takes for its own get an answer here; to all others nothing is said, and their
browser keeps the answer from them. No cookies are used, so credentials are never allowed: a page shows its
token in a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from clacks.dialects.exchange import Response
from clacks.gateway.guard import Guard

__all__ = ["is_preflight", "preflight", "shared_with"]

_HEADERS: Final = re.compile(
    r"(accept|authorization|cache-control|content-type|last-event-id|traceparent|tracestate|ce-[a-z0-9]{1,20})"
)
"""Headers that a page may send: those that the interface reads, attributes of CloudEvents among them."""
_MOST_HEADERS: Final = 40
_SECONDS: Final = 600  # as long as a browser may remember the answer
_READABLE: Final = "Retry-After, WWW-Authenticate"


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a browser asks on behalf of a page."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def shared_with(guard: Guard, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that let a page read an answer; none if its origin may not, or if there is none."""
    origin = headers.get("origin")
    if origin is None or not guard.own(origin, headers.get("host", "")):
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _READABLE,
        "Vary": "Origin",
    }


def preflight(guard: Guard, headers: Mapping[str, str], methods: Iterable[str]) -> Response:
    """Answer a browser: which methods and headers a page may use at this path."""
    shared = shared_with(guard, headers)
    if not shared:
        return Response(403, b"", "text/plain", {"Vary": "Origin"})
    asked = headers.get("access-control-request-headers", "").lower().split(",")[:_MOST_HEADERS]
    granted = [name for name in map(str.strip, asked) if _HEADERS.fullmatch(name)]
    answer = {
        **shared,
        "Access-Control-Allow-Methods": ", ".join(sorted(set(methods))),
        "Access-Control-Max-Age": str(_SECONDS),
    }
    if granted:
        answer["Access-Control-Allow-Headers"] = ", ".join(granted)
    if headers.get("access-control-request-private-network", "").lower() == "true":
        # A page of the internet that asks a machine of this network; its origin is on the list.
        answer["Access-Control-Allow-Private-Network"] = "true"
    return Response(204, b"", "text/plain", answer)
