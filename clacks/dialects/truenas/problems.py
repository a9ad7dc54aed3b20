"""Errors as the middleware words them: errno, name, reason, and where parameters are wrong what and where.

The real client tells "failed" from "returned nothing" by the errno being there and not zero, and asks for
every member of the object; so all of them are always sent. Tracebacks are never: they would show strangers
file names and code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clacks.dialects.actions import Failed, Failure

__all__ = [
    "BUSY",
    "EXPIRED",
    "NOT_AUTHENTICATED",
    "NOT_AUTHORIZED",
    "SUBSCRIBE_NOT_AUTHORIZED",
    "TOO_MANY_CALLS",
    "Problem",
    "bad_argument",
    "invalid",
    "no_event",
    "no_method",
    "no_service",
    "problem_of",
]

NAMES: Final[Mapping[int, str]] = {
    2: "ENOENT",
    5: "EIO",
    11: "EAGAIN",
    13: "EACCES",
    16: "EBUSY",
    22: "EINVAL",
    28: "ENOSPC",
    60: "ETIMEDOUT",
    74: "EBADMSG",
    103: "ECONNABORTED",
    109: "ETOOMANYREFS",
    201: "ENOMETHOD",
    207: "ENOTAUTHENTICATED",
}
"""Names by number: errno's of Linux, and from 200 on the middleware's own. (60 is FreeBSD's ETIMEDOUT, 110
Linux's; clients know the name.)"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something failed.

    Attributes:
        code: The errno, never 0.
        reason: Text for people.
        triples: For wrong parameters: attribute, text and errno of each.
    """

    code: int
    reason: str
    triples: tuple[tuple[str, str, int], ...] = ()

    @property
    def name(self) -> str:
        """The name of the errno."""
        return NAMES.get(self.code, "EFAULT")

    def body(self) -> dict[str, Any]:
        """Return the error as both dialects carry it, without the older one's ``type``."""
        return {
            "error": self.code,
            "errname": self.name,
            "reason": self.reason,
            "trace": None,
            "extra": [list(triple) for triple in self.triples] or None,
        }


def _named(code: int, text: str) -> Problem:
    return Problem(code, f"[{NAMES[code]}] {text}")


NOT_AUTHENTICATED: Final = _named(207, "Not authenticated")
NOT_AUTHORIZED: Final = _named(13, "Not authorized")
SUBSCRIBE_NOT_AUTHORIZED: Final = Problem(13, "Not authorized")
EXPIRED: Final = _named(13, "Session is expired")
BUSY: Final = _named(16, "Rate Limit Exceeded")
TOO_MANY_CALLS: Final = Problem(109, "Maximum number of concurrent calls (20) has exceeded.")


def no_service(service: str) -> Problem:
    """Say that there is no such service."""
    return _named(201, f"Service {service!r} not found")


def no_method(service: str, method: str) -> Problem:
    """Say that a service has no such method."""
    return _named(201, f"Method {method!r} not found in {service!r}")


def no_event(name: str) -> Problem:
    """Say that there is no such event: the original says ``ready`` and is silent for ever."""
    return _named(2, f"Event {name!r} not found")


def invalid(*triples: tuple[str, str]) -> Problem:
    """Say which parameters are wrong, and why."""
    lines = "\n".join(f"[EINVAL] {attribute}: {text}" for attribute, text in triples)
    code = 22 if len(triples) == 1 else 11
    return Problem(code, lines, tuple((attribute, text, 22) for attribute, text in triples))


def bad_argument(name: str, text: str) -> Problem:
    """Say that the argument of a subscription cannot be used."""
    return Problem(11, f"[EINVAL] {name}: {text}", ((name, text, 22),))


_CODES: Final[Mapping[Failure, int]] = {
    Failure.BUSY: 16,
    Failure.FORBIDDEN: 13,
    Failure.UNKNOWN: 201,
    Failure.INVALID: 22,
    Failure.RATE: 16,
    Failure.LIMIT: 28,
    Failure.UNAVAILABLE: 11,
    Failure.TIMEOUT: 60,
    Failure.LOST: 103,
}


def problem_of(failed: Failed, attribute: str = "") -> Problem:
    """Return the problem that an outcome stands for; ``attribute`` names the parameter that is to blame."""
    match failed:
        case Failed(Failure.FORBIDDEN):
            return NOT_AUTHORIZED
        case Failed(Failure.BUSY):
            return BUSY
        case Failed(Failure.INVALID, text, _, {"path": str(path), "reason": str(reason)}):
            return invalid((path or attribute, reason))
        case Failed(Failure.INVALID, text) if attribute:
            return invalid((attribute, text))
        case Failed(Failure.REMOTE, text, -32602):
            return invalid((attribute or "params", text))
        case Failed(Failure.REMOTE, text):
            return Problem(5, text)
    return _named(_CODES.get(failed.why, 5), failed.text or failed.why.value)
