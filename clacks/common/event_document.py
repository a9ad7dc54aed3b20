"""The event itself: a document that its schema accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree, objectify

from clacks.common.schema_model import EVENTS_NS

if TYPE_CHECKING:
    from clacks.common.schema_type import EventType

__all__ = ["EVENTS_NS", "EVENT_TAG", "Event"]

EVENT_TAG = f"{{{EVENTS_NS}}}Event"


class Event:
    """One event that its schema accepted; only ``SchemaRegistry`` makes it.

    Attributes:
        kind: The event type, such as ``PhoneStatus``.
        root: The element ``Event`` with the event as its only child. Shared by everyone who sees the event:
            read only.
        xml: The document as UTF-8; that of a received event as it came.
        newer: Paths of elements that this schema does not know, in an event of a newer schema; usually empty.
    """

    __slots__ = ("_type", "kind", "newer", "root", "xml")

    def __init__(
        self, of_type: EventType, root: etree._Element, xml: bytes, newer: tuple[str, ...] = ()
    ) -> None:
        self._type = of_type
        self.xml = xml
        self.kind = of_type.kind
        self.root = root
        self.newer = newer

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the event as Python values: int, float, Decimal, bool, datetime, list, dict.

        ``SchemaRegistry.from_dict(event.kind, event.to_dict())`` gives an equal event.
        """
        return self._type.to_dict(self.root)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the event as JSON values, driven by the schema.

        ``SchemaRegistry.from_json(event.kind, event.to_json())`` gives an equal event.
        """
        return self._type.to_json(self.root)

    def objectified(self) -> objectify.ObjectifiedElement:
        """Return the event as a new tree of lxml.objectify; see ``clacks.common.event.objectified``."""
        return self._type.objectified(self.xml)

    def __repr__(self) -> str:
        return f"<Event {self.kind}>"
