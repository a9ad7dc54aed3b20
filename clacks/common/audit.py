"""The audit log: who logged in or tried to, what was refused, which commands were called.

One logger, ``clacks.audit``, apart from the others, so that a service can keep it in a file of its own. The
lines have a fixed form, ``audit WHAT name=value ...``; a value is one word: what is not plain is written as a
quoted ASCII text, so nobody can write a line of his own into it. No password, key, token or payload is ever
handed to these functions.
"""

from __future__ import annotations

import logging
import re

__all__ = ["AUDIT_LOGGER", "command", "login", "refused"]

AUDIT_LOGGER = "clacks.audit"
"""Name of the logger."""

_log = logging.getLogger(AUDIT_LOGGER)

_PLAIN = re.compile(r"[A-Za-z0-9_.@:+/*#\[\]%-]{1,255}", re.ASCII)
_SHOWN = 300  # characters of a value: it may be what a stranger sent


def _word(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else ascii(value[:_SHOWN])


def login(service: str, user: str, address: str, result: str, method: str = "") -> None:
    """Note a login at ``service`` (broker, gateway).

    ``result`` is ``accepted``, ``wrong``, ``later`` (throttled, or too many at once) or ``protocol``;
    ``user`` who somebody claims to be, empty where nobody said; ``method`` how: a SASL mechanism, ``token``.
    """
    level = logging.INFO if result == "accepted" else logging.WARNING
    words = tuple(map(_word, (user, address, result, method or "none", service)))
    _log.log(level, "audit login user=%s address=%s result=%s method=%s service=%s", *words)


def refused(service: str, user: str, address: str, reason: str, unlogged_before: int = 0) -> None:
    """Note something that ``user`` wanted and has no right to.

    The caller bounds the rate; ``unlogged_before`` are those that went without a line.
    """
    words = tuple(map(_word, (user, address, reason, service)))
    _log.warning(
        "audit refused user=%s address=%s reason=%s service=%s unlogged_before=%d", *words, unlogged_before
    )


def command(node: str, user: str, on_behalf_of: str, method: str, result: str) -> None:
    """Note a call that came to the agent ``node``; ``result`` is ``accepted`` or ``forbidden``."""
    level = logging.INFO if result == "accepted" else logging.WARNING
    words = tuple(map(_word, (user, on_behalf_of or user, method, result, node)))
    _log.log(level, "audit command user=%s for=%s method=%s result=%s node=%s", *words)
