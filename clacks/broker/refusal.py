"""Why a link or a message is refused: always an AMQP error condition and a sentence."""

from __future__ import annotations

from typing import Final

__all__ = [
    "DECODE_ERROR",
    "EXPIRED",
    "INVALID_FIELD",
    "LIMIT",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "UNAUTHORIZED",
    "Refused",
]

# AMQP 1.0, 2.8.15
DECODE_ERROR: Final = "amqp:decode-error"
INVALID_FIELD: Final = "amqp:invalid-field"
LIMIT: Final = "amqp:resource-limit-exceeded"
NOT_FOUND: Final = "amqp:not-found"
NOT_IMPLEMENTED: Final = "amqp:not-implemented"
UNAUTHORIZED: Final = "amqp:unauthorized-access"

EXPIRED: Final = "clacks:expired"
"""Nobody took the message before its time was up: it was not carried out."""


class Refused(Exception):
    """The broker does not do it; goes to the peer as error of a link, or as outcome of a message.

    Attributes:
        condition: The AMQP error condition.
        description: A sentence for people.
        reason: A few fixed words: what drops are counted by.
    """

    def __init__(self, condition: str, description: str, reason: str = "") -> None:
        self.condition = condition
        self.description = description
        self.reason = reason or condition
        super().__init__(condition, description)
