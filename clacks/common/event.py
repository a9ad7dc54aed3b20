"""Events and how to make them: what users import first.

``EventMaker`` builds events as XML elements and validates them; ``objectified`` gives a received event the
shape that callbacks like. The event types are in ``clacks.common.schema``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from lxml import etree

from clacks.common import eventjson
from clacks.common.errors import InvalidEvent
from clacks.common.event_document import EVENT_TAG, EVENTS_NS, Event
from clacks.common.event_objects import objectified
from clacks.common.lexical import lexical
from clacks.common.schema import SchemaRegistry, default_registry
from clacks.common.xmltext import decode_text, illegal_character, path_of

__all__ = ["EVENTS_NS", "Event", "EventMaker", "objectified"]

_NSMAP = cast("Mapping[str, str]", {None: EVENTS_NS})  # the stubs do not know the default prefix
_Element = etree.Element
_Build = Callable[..., etree._Element]


class EventMaker:
    """Build events without writing XML: each attribute is a function that makes the element of that name.

    The arguments are the content: elements, or one value (text, numbers, booleans, times, lists), which is
    written as XML Schema wants it. Dictionaries and keyword arguments are attributes. ``Event`` is the root:
    it validates what it holds and raises ``InvalidEvent`` with path and reason.

    Text that XML cannot hold is written as base64, where the type declares the attribute ``enc``. Elements
    that hold JSON take any JSON value.

    Example:
        >>> e = EventMaker()
        >>> status = e.Event(e.PhoneStatus(e.CallerId("01"), e.ReceiverId("02"), e.Status("busy")))
        >>> status[0][2].text
        'busy'
    """

    def __init__(self, registry: SchemaRegistry | None = None) -> None:
        self._registry = registry

    @property
    def registry(self) -> SchemaRegistry:
        """The event types; those built in, of plug-ins and of the settings unless others were given."""
        if self._registry is None:
            self._registry = default_registry()
        return self._registry

    def Event(self, *content: Any, **attributes: Any) -> etree._Element:
        """Return the root element with the event in it, validated.

        Raises:
            InvalidEvent: If the content is not exactly one event, or its schema refuses it.
        """
        root = _Element(EVENT_TAG, nsmap=_NSMAP)
        if len(content) == 1 and isinstance(content[0], etree._Element) and not attributes:
            root.append(content[0])
        else:
            _fill(root, content, attributes)
        self._validate(root)
        return root

    def event(self, kind: str, /, **content: Any) -> etree._Element:
        """Return the root element with an event of ``kind``, its elements in the order of the schema.

        Complex content is a dictionary, a repeated element a list, an attribute a member ``@name`` with the
        text beside it as ``#text``; ``None`` leaves an optional element out.

        Raises:
            InvalidEvent: If the kind or a member is unknown, a member is missing or wrong.

        Example:
            >>> EventMaker().event("UserSession", Id="pc1", User={"Name": ["ann", "bob"]})[0][1][0].text
            'ann'
        """
        root = eventjson.encode(content, self._type(kind).model, eventjson.PYTHON)
        self._validate(root)
        return root

    def __getattr__(self, name: str) -> _Build:
        if name.startswith("_"):
            raise AttributeError(name)
        build = self.__dict__[name] = self[name]
        return build

    def __getitem__(self, name: str) -> _Build:
        """Return the function for elements of any name, also of names that this class has itself."""
        return _builder(name, self.registry)

    def _type(self, kind: str) -> Any:
        try:
            return self.registry.type(kind)
        except InvalidEvent:
            if not self.registry.reload():
                raise
        return self.registry.type(kind)

    def _validate(self, root: etree._Element) -> None:
        try:
            self.registry.event(root)
        except InvalidEvent as error:
            # Perhaps the schema came a moment ago. The listing is paid by those who made a mistake.
            if self.registry.reload():
                self.registry.event(root)
                return
            raise _clearer(root, error) from None


def _builder(name: str, registry: SchemaRegistry) -> _Build:
    """Return the function that makes elements of one name."""
    tag = f"{{{EVENTS_NS}}}{name}"
    _Element(tag)  # a name that XML does not allow: say so here

    def build(*content: Any, **attributes: Any) -> etree._Element:
        element = _Element(tag, nsmap=_NSMAP)
        json = registry.is_json(name)  # each time: schemas may come
        if len(content) == 1 and not attributes and json is False:
            value = content[0]
            if type(value) is str:
                eventjson.set_text(element, value)
                return element
        if json is not False and len(content) == 1 and _is_json_value(content[0], certain=json is True):
            try:
                element.text = eventjson.json_text(content[0])
            except ValueError as error:
                raise InvalidEvent("", name, str(error)) from None
            _fill(element, (), attributes)
        else:
            _fill(element, content, attributes)
        return element

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"Return an element {name} with this content and these attributes."
    return build


def _is_json_value(value: object, *, certain: bool) -> bool:
    if isinstance(value, etree._Element):
        return False
    return certain or value is None or isinstance(value, (dict, list, bool))


def _fill(element: etree._Element, content: Iterable[Any], attributes: Mapping[str, Any]) -> None:
    """Put values and elements into an element, in their order."""
    name = etree.QName(element).localname
    text: list[str] = []
    for part in content:
        if isinstance(part, etree._Element):
            element.append(part)
        elif isinstance(part, Mapping):
            _set_attributes(element, part)
        elif isinstance(part, (list, tuple)) and any(isinstance(item, etree._Element) for item in part):
            _fill(element, part, {})
        elif part is not None:
            try:
                text.append(lexical(part))
            except (ValueError, OverflowError) as error:
                raise InvalidEvent("", name, str(error), found=repr(part)) from None
    _set_attributes(element, attributes)
    if text:
        eventjson.set_text(element, "".join(text))


def _set_attributes(element: etree._Element, attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        try:
            element.set(key, lexical(value))
        except (ValueError, OverflowError) as error:
            path = f"{etree.QName(element).localname}/@{key}"
            raise InvalidEvent("", path, str(error), found=repr(value)) from None


def _clearer(root: etree._Element, error: InvalidEvent) -> InvalidEvent:
    """Say what a refused ``enc`` means to someone who only gave a text."""
    for element in root.iter(etree.Element):
        if element.get("enc") == "base64" and path_of(element) == error.path:
            text = decode_text(element.text or "")
            illegal = illegal_character(text) if text is not None else None
            if illegal is not None and "enc" in error.reason:
                reason = f"{illegal} cannot stand in XML, and this element has no enc"
                return InvalidEvent(error.kind, error.path, reason, None, found=illegal)
    return error
