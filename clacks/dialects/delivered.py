"""An event on its way to subscribers of the gateway, with what they may want to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clacks.common.event_document import EVENTS_NS, Event
from clacks.common.xmltext import decode_text

__all__ = ["EVENTS_TOPIC", "TOPIC_MESSAGE", "Delivered"]

TOPIC_MESSAGE = "TopicMessage"
EVENTS_TOPIC = "events/"
"""Begin of the topics under which typed events are seen: ``events/PhoneStatus``."""

_NS = f"{{{EVENTS_NS}}}"


class Delivered:
    """One event; what forms read of it is computed once and shared by all of them.

    Attributes:
        event: The validated event.
        id: Log id ``ms-n``: of a TopicMessage its own, of a recorded event that of the log; of others one
            that the gateway makes, so that ids always grow.
        time: Milliseconds since 1970: when it was published.
        topic: The topic of a TopicMessage; ``events/TYPE`` of any other event.
        message: The text of a TopicMessage; empty for others.
        event_id: Its ``cloudEvents_id``: the same in the log and on the bus; empty if unknown.
        origin: Who published it (``Origin`` of a TopicMessage), or None.
        replayed: Whether it comes from the event log or is a last state.
    """

    __slots__ = (
        "_fields",
        "event",
        "event_id",
        "id",
        "kind",
        "message",
        "origin",
        "replayed",
        "time",
        "topic",
    )

    def __init__(
        self,
        event: Event,
        id: str,  # noqa: A002 - the word of the wire
        time: int,
        *,
        event_id: str = "",
        replayed: bool = False,
    ) -> None:
        self.event = event
        self.kind = event.kind
        self.id = id
        self.time = time
        self.event_id = event_id
        self.replayed = replayed
        self.message = ""
        self.origin: str | None = None
        self._fields: Mapping[str, Any] | None = None
        if self.kind == TOPIC_MESSAGE:
            self._read_message()
        else:
            self.topic = EVENTS_TOPIC + self.kind

    def _read_message(self) -> None:
        """Read a TopicMessage; the schema says that these elements are there."""
        self.topic = ""
        for element in self.event.root[0]:
            tag = element.tag
            text = element.text or ""
            if element.get("enc") == "base64":
                text = decode_text(text) or ""
            if tag == _TOPIC:
                self.topic = text
            elif tag == _MESSAGE:
                self.message = text
            elif tag == _ID:
                self.id = text
            elif tag == _TIMESTAMP:
                self.time = int(text)
            elif tag == _ORIGIN:
                self.origin = text

    @property
    def fields(self) -> Mapping[str, Any]:
        """The content as JSON values, driven by the schema; shared: read only."""
        if self._fields is None:
            self._fields = self.event.to_json()
        return self._fields

    def __repr__(self) -> str:
        return f"<Delivered {self.kind} {self.id}>"


_ID, _TOPIC, _MESSAGE, _TIMESTAMP, _ORIGIN = (
    f"{_NS}{name}" for name in ("Id", "Topic", "Message", "Timestamp", "Origin")
)
