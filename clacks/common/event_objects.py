"""Events as objects: ``data.PhoneStatus.CallerId``, the shape that callbacks get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree, objectify

from clacks.common.schema_model import ComplexType, ElementDecl
from clacks.common.xmltext import decode_text

if TYPE_CHECKING:
    from clacks.common.event_document import Event

__all__ = ["EncodedText", "object_lookup", "objectified"]


def objectified(event: Event) -> objectify.ObjectifiedElement:
    """Return the event as a tree of lxml.objectify: the root element, its members as attributes.

    The schema decides what a member is: ``CallerId`` with the text ``012345`` is a text and keeps its zero.
    Numbers and booleans act as such; times and decimals are text; ``etree.tostring`` writes the XML. Each
    call makes a tree of its own, so that callbacks may change it.
    """
    return event.objectified()


class EncodedText(objectify.StringElement):  # type: ignore[misc]  # the stubs do not know it
    """Text that may have come as base64 because XML cannot hold it; acts as the text behind it."""

    @property
    def pyval(self) -> str:
        """The text."""
        text = self.text or ""
        if self.get("enc") == "base64":
            decoded = decode_text(text)
            return text if decoded is None else decoded
        return text

    def __str__(self) -> str:
        return self.pyval

    def __eq__(self, other: object) -> bool:
        return self.pyval == (other.pyval if isinstance(other, EncodedText) else other)

    def __hash__(self) -> int:
        return hash(self.pyval)


class _ByName(etree.CustomElementClassLookup):
    """Chooses the class of an element by its name, where the schema gives the name one meaning."""

    def __init__(self, classes: dict[str, type[objectify.ObjectifiedElement]]) -> None:
        # Elements of a newer schema, and names with two meanings: guess from the text as objectify does.
        super().__init__(objectify.ObjectifyElementClassLookup())
        self._classes = classes

    def lookup(
        self, node_type: str, document: object, namespace: str | None, name: str | None
    ) -> type[objectify.ObjectifiedElement] | None:
        if node_type != "element" or name is None:
            return None
        return self._classes.get(name)


def object_lookup(model: ElementDecl) -> etree.ElementClassLookup:
    """Return the class lookup for events of one type."""
    classes: dict[str, set[type[objectify.ObjectifiedElement]]] = {}
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        declared = waiting.pop()
        classes.setdefault(declared.name, set()).add(_class_of(declared))
        content = declared.type
        if isinstance(content, ComplexType) and id(content) not in seen:
            seen.add(id(content))
            waiting += content.members.values()
    chosen = {name: found.pop() for name, found in classes.items() if len(found) == 1}
    chosen["Event"] = objectify.ObjectifiedElement
    return _ByName(chosen)


def _class_of(declared: ElementDecl) -> type[objectify.ObjectifiedElement]:
    content = declared.type
    if isinstance(content, ComplexType):
        if content.encodes:
            return EncodedText
        if content.text is None:
            return objectify.ObjectifiedElement
        content = content.text
    found: type[objectify.ObjectifiedElement] = _CLASSES.get(content.shape, objectify.StringElement)
    return found


_CLASSES: dict[str, type[objectify.ObjectifiedElement]] = {
    "boolean": objectify.BoolElement,
    "integer": objectify.IntElement,
    "float": objectify.FloatElement,
}
