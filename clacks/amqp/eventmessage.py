"""Events as messages: the event as one data section, CloudEvents 1.0 attributes as application properties.

A publisher sends thousands of events of few types, so what is the same for all events of a type is written
once: of the rest the id and the time have a fixed length, and are put into the gaps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from clacks.amqp.messages import Message, encode, encode_body
from clacks.amqp.types import encode_value

__all__ = ["EVENT_CONTENT_TYPE", "ON_BEHALF_OF", "RESERVED", "EventEncoder", "EventIdentity"]

EVENT_CONTENT_TYPE: Final = "application/xml"
ON_BEHALF_OF: Final = "clacks_on_behalf_of"
"""Application property of events and calls: in whose name a gateway speaks."""
RESERVED: Final = frozenset(
    f"cloudEvents_{name}" for name in ("specversion", "id", "type", "source", "time", "datacontenttype")
)
"""Application properties that the encoder writes itself."""

_ID_DIGITS: Final = 10
_MOST_TEMPLATES: Final = 1000
"""Types times users that are remembered, half a KB each."""
_TIME_LENGTH: Final = len("2026-01-01T00:00:00.000000Z")


@dataclass(frozen=True, slots=True)
class EventIdentity:
    """Which event it is, whoever carries it.

    Attributes:
        id: ``cloudEvents_id``.
        source: ``cloudEvents_source``.
        time: ``cloudEvents_time`` in microseconds since 1970.
    """

    id: str
    source: str
    time: int


class EventEncoder:
    """Writes the events of one publisher as messages.

    Args:
        user: The login, for ``user-id``; None leaves it out.
        source: Who speaks: a URI reference (``cloudEvents_source``).
        unique: Begin of the ids; with a number behind it they are unique in the world.
    """

    def __init__(self, user: str | None, source: str, unique: str) -> None:
        self._user = None if user is None else user.encode()
        self._source = source
        self._unique = unique
        self._number = 0
        self._templates: dict[tuple[str, str], tuple[bytes, bytes, bytes]] = {}
        self._second = -1
        self._second_text = ""

    def identity(self, now: float) -> EventIdentity:
        """Return the identity of a new event; ``now`` in seconds since 1970."""
        self._number += 1
        return EventIdentity(
            f"{self._unique}{self._number:0{_ID_DIGITS}x}", self._source, round(now * 1_000_000)
        )

    def encode(self, kind: str, xml: bytes, now: float, on_behalf_of: str = "") -> bytes:
        """Write an event; ``now`` in seconds since 1970. ``on_behalf_of`` is one of few names, or none."""
        template = self._templates.get((kind, on_behalf_of))
        if template is None:
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            template = self._templates[kind, on_behalf_of] = self._template(kind, on_behalf_of)
        head, middle, tail = template
        self._number = number = self._number + 1
        return b"".join(
            (
                head,
                f"{self._unique}{number:0{_ID_DIGITS}x}".encode(),
                middle,
                self._time(now).encode(),
                tail,
                encode_body(xml),
            )
        )

    def encode_with(
        self,
        kind: str,
        xml: bytes,
        now: float,
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
        identity: EventIdentity | None = None,
    ) -> bytes:
        """Write an event with more application properties and an absolute expiry time.

        With ``identity`` it is an event that has one already: ``now`` does not count.

        Raises:
            TypeError: If a property has a type that AMQP lacks.
            ValueError: If one has a name of CloudEvents' own.
        """
        taken = RESERVED & set(properties or ())
        if taken:
            raise ValueError(f"the properties {', '.join(sorted(taken))} are written by the bus itself")
        identity = identity or self.identity(now)
        message = Message(
            body=xml,
            subject=kind,
            content_type=EVENT_CONTENT_TYPE,
            user_id=self._user,
            absolute_expiry_time=None if expires is None else int(expires.timestamp() * 1000),
        )
        message.properties = {
            "cloudEvents_specversion": "1.0",
            "cloudEvents_type": kind,
            "cloudEvents_source": identity.source,
            "cloudEvents_id": identity.id,
            "cloudEvents_time": self._time(identity.time / 1_000_000),
            **{name: _plain(value) for name, value in (properties or {}).items()},
        }
        return encode(message)

    def _template(self, kind: str, on_behalf_of: str) -> tuple[bytes, bytes, bytes]:
        """Return what comes before the id, between it and the time, and between that and the body."""
        more = {ON_BEHALF_OF: on_behalf_of} if on_behalf_of else None
        filled = self.encode_with(kind, b"", 0.0, more)
        self._number -= 1
        whole = filled[: -len(encode_body(b""))]
        after = sum(len(encode_value(text)) for pair in (more or {}).items() for text in pair)
        time_at = len(whole) - after - _TIME_LENGTH
        key = encode_value("cloudEvents_time")
        id_end = time_at - 2 - len(key)  # constructor and length of the time
        id_at = id_end - len(self._unique.encode()) - _ID_DIGITS
        return whole[:id_at], whole[id_end:time_at], whole[time_at + _TIME_LENGTH :]

    def _time(self, now: float) -> str:
        second, micro = divmod(round(now * 1_000_000), 1_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{micro:06d}Z"


def _plain(value: Any) -> Any:
    """Return a property value as AMQP and every consumer understand it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
