"""libxml2's validator for an event type: the fast yes, without its leniencies and its slow no.

libxml2 accepts some texts that XML Schema does not: ``1e`` as a float, ``PT1.S`` as a duration, any character
in base64, empty lists of tokens. For libxml2 these types are replaced by restrictions of them that say so.
Where that does not help (nobody looks whether an IDREF has its ID; times of day are compared without their
zone; the two disagree on what ``\\w`` is), its yes is not enough: ``is_enough`` tells. The property test in
``test_schema_agreement.py`` watches over it.

lxml asks libxml2 for the path of every error, which counts the elements before it: a document of 100,000
errors would take a minute and a half. Larger documents are therefore validated while they are parsed once
more, in small pieces, up to the first error.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lxml import etree

from clacks.common.errors import InvalidEvent
from clacks.common.schema_files import SchemaFile
from clacks.common.schema_model import EVENTS_NS
from clacks.common.xmltext import line_of, new_parser, path_of

__all__ = ["Validator", "compile_schema", "is_enough"]

_XSD = "http://www.w3.org/2001/XMLSchema"
_X = f"{{{_XSD}}}"
_STRICTER_PREFIX = "clacks-stricter-"
"""Begins the names of the types that stand in for lenient ones; seen only in libxml2's messages."""

_FLOAT = r'<pattern value="[+\-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([Ee][+\-]?[0-9]+)?|-?INF|NaN"/>'
_NOT_EMPTY = '<minLength value="1"/>'
_STRICTER = {
    "float": _FLOAT,
    "double": _FLOAT,
    "duration": r'<pattern value="[^.]*(\.[0-9]+S)?"/>',
    "base64Binary": r'<pattern value="[A-Za-z0-9+/=\s]*"/>',
    "NMTOKENS": _NOT_EMPTY,
}
_UNCHECKED = frozenset({"ID", "IDREF", "IDREFS", "ENTITY", "ENTITIES", "NOTATION"})
_DISPUTED_CLASSES = re.compile(r"\\[wWiIcC]")
_BOUND = f"{_X}*[@value]"
_OPTIONS: dict[str, Any] = {
    "encoding": "utf-8",
    "resolve_entities": False,
    "no_network": True,
    "remove_comments": True,
    "remove_pis": True,
}
_TREE_SIZE = 4096
"""Bytes of a document up to which the tree is validated: a millisecond if everything in it is wrong."""
_PIECE = 4096
"""Bytes of a larger document that are parsed at a time: few enough to stop early."""
_STEP = 1
"""Bytes that are parsed at a time to find the element at fault."""
_REASON = 500
"""Characters of a message of libxml2, which lists all that it expected."""
_TYPE_NAMES = ("type", "base", "itemType", "memberTypes")


def compile_schema(kind: str, parts: Sequence[SchemaFile]) -> Validator | None:
    """Return the validator for documents with one event of ``kind``.

    None if libxml2 cannot make one: XSD 1.1, or a mistake in the files.
    """
    if any(part.version_11 for part in parts):
        return None
    # Two folders may hold files of one name: the made-up names keep them apart.
    names = {part.path: f"{number}.xsd" for number, part in enumerate(parts)}
    texts = {names[part.path]: _adapted(part, names) for part in parts}
    parser = new_parser()
    parser.resolvers.add(_Includes(texts))
    root = etree.fromstring(_wrapper(kind, names.values()), parser, base_url="clacks:/events/wrapper.xsd")
    try:
        return Validator(kind, etree.XMLSchema(root))
    except etree.XMLSchemaParseError:
        return None


class Validator:
    """libxml2's compiled schema of one event type. Safe to use from several threads."""

    def __init__(self, kind: str, schema: etree.XMLSchema) -> None:
        self._kind = kind
        self._schema = schema
        # A validator of lxml keeps its error log in itself: two threads would clear and read each other's.
        self._lock = threading.Lock()

    def accepts(self, root: etree._Element, xml: bytes) -> bool:
        """Tell whether a document, given as tree and as text, is valid."""
        if len(xml) > _TREE_SIZE:
            return not self._faulty_pieces(xml, 1)
        with self._lock:
            try:
                return self._schema(root)
            except etree.XMLSchemaValidateError:
                return False  # libxml2 gives up, on years beyond its reach for instance

    def errors(self, root: etree._Element, xml: bytes, most: int) -> list[InvalidEvent]:
        """Return libxml2's own messages about an invalid document, at most so many."""
        if len(xml) > _TREE_SIZE:
            return self._errors_in_pieces(xml, self._faulty_pieces(xml, most), most)
        with self._lock:
            with contextlib.suppress(etree.XMLSchemaValidateError):
                self._schema(root)
            log = _entries(self._schema.error_log, 0, most)
        return [self._error(_found(root, entry.path), entry.message) for entry in log]

    def _faulty_pieces(self, xml: bytes, most: int) -> frozenset[int]:
        """Return where pieces with errors begin; stop when so many errors were seen."""
        parser = etree.XMLParser(schema=self._schema, **_OPTIONS)
        faulty: list[int] = []
        count = 0
        for start in range(0, len(xml), _PIECE):
            _feed(parser, xml[start : start + _PIECE])
            found = len(parser.feed_error_log)
            if found > count:
                faulty.append(start)
                count = found
                if count >= most:
                    break
        return frozenset(faulty)

    def _errors_in_pieces(self, xml: bytes, faulty: frozenset[int], most: int) -> list[InvalidEvent]:
        """Parse again, the pieces with errors in small steps: the last element seen is the one at fault."""
        parser = etree.XMLPullParser(events=("start", "end"), schema=self._schema, **_OPTIONS)
        errors: list[InvalidEvent] = []
        place: etree._Element | None = None
        for start in range(0, len(xml), _PIECE):
            step = _STEP if start in faulty else _PIECE
            for position in range(start, min(start + _PIECE, len(xml)), step):
                _feed(parser, xml[position : position + step])
                for _, element in parser.read_events():
                    place = element if isinstance(element, etree._Element) else place
                if step == _PIECE:
                    continue
                for entry in _entries(parser.feed_error_log, len(errors), most):
                    errors.append(self._error(place, entry.message))
                if len(errors) >= most:
                    return errors
        return errors

    def _error(self, place: etree._Element | None, message: str) -> InvalidEvent:
        reason = re.sub(r"^Element '[^']*'(?:, attribute '([^']*)')?: ", "", message)
        reason = re.sub(r"^\[facet '[^']*'\] ", "", re.sub(r"\{[^{}]*\}", "", reason))
        reason = reason.replace(_STRICTER_PREFIX, "").strip().rstrip(".")[:_REASON]
        if place is None:
            return InvalidEvent(self._kind, "/Event", reason)
        return InvalidEvent(self._kind, path_of(place), reason, line_of(place))


def _feed(parser: etree.XMLParser, piece: bytes) -> None:
    # It was parsed before, so the only errors are the schema's; they are in the log.
    with contextlib.suppress(etree.XMLSyntaxError):
        parser.feed(piece)


def _entries(log: etree._ErrorLog, first: int, end: int) -> list[etree._LogEntry]:
    # The stubs do not know how to iterate over a log.
    return list(itertools.islice(cast("Iterable[etree._LogEntry]", log), first, end))


def _found(root: etree._Element, path: str | None) -> etree._Element:
    if path:
        with contextlib.suppress(etree.XPathError):
            found = root.getroottree().xpath(path)
            if isinstance(found, list) and found and isinstance(found[0], etree._Element):
                return found[0]
    return root


class _Includes(etree.Resolver):
    """Gives libxml2 the included schemas from memory and nothing else."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        super().__init__()
        self._texts = texts

    def resolve(  # type: ignore[override]  # the stubs lack the context
        self, system_url: str, public_id: str, context: object
    ) -> Any:
        text = self._texts.get(system_url.rpartition("/")[2])
        # Never fall through to libxml2's own loader: it would open files.
        return self.resolve_string(text if text is not None else b"", context, base_url=system_url)


def _wrapper(kind: str, includes: Any) -> bytes:
    lines = "".join(f'<include schemaLocation="{name}"/>' for name in includes)
    types = "".join(
        f'<simpleType name="{_STRICTER_PREFIX}{name}"><restriction base="{name}">{facet}</restriction>'
        "</simpleType>"
        for name, facet in _STRICTER.items()
    )
    return (
        f'<schema xmlns="{_XSD}" xmlns:e="{EVENTS_NS}" targetNamespace="{EVENTS_NS}"'
        f' elementFormDefault="qualified">{lines}{types}<element name="Event"><complexType><sequence>'
        f'<element ref="e:{kind}"/></sequence></complexType></element></schema>'
    ).encode()


def _builtins(node: etree._Element, attribute: str) -> list[tuple[str, str | None]]:
    """Return the words of an attribute that names types, each with its local name if it is built in."""
    found: list[tuple[str, str | None]] = []
    for word in (node.get(attribute) or "").split():
        prefix, _, local = word.rpartition(":")
        found.append((word, local if node.nsmap.get(prefix or None) == _XSD else None))
    return found


def is_enough(parts: Sequence[SchemaFile]) -> bool:
    """Tell whether the validator checks all that the files say, as xmlschema understands it."""
    return not any(_is_unchecked(node) for part in parts for node in part.root.iter(etree.Element))


def _is_unchecked(node: etree._Element) -> bool:
    if node.tag == f"{_X}pattern":
        return _DISPUTED_CLASSES.search(node.get("value") or "") is not None
    for attribute in _TYPE_NAMES:
        for _, local in _builtins(node, attribute):
            if local in _UNCHECKED:
                return True
            if local == "time" and node.tag == f"{_X}restriction" and node.find(_BOUND) is not None:
                return True
    return False


def _adapted(part: SchemaFile, names: Mapping[Path, str]) -> bytes:
    """Return the text of a file with the made-up names of includes and the stricter types."""
    root = etree.fromstring(etree.tostring(part.root), new_parser())
    for node in root.iterchildren(f"{_X}include"):
        node.set("schemaLocation", names[part.path.parent / node.get("schemaLocation", "")])
    for node in root.iter(f"{_X}*"):
        for attribute in _TYPE_NAMES:
            words = _builtins(node, attribute)
            if any(local in _STRICTER for _, local in words):
                node.set(
                    attribute,
                    " ".join(
                        f"clacks-e:{_STRICTER_PREFIX}{local}" if local in _STRICTER else word
                        for word, local in words
                    ),
                )
    text = etree.tostring(root)
    # lxml cannot add a namespace prefix to an element; the text begins with "<", the name, a space.
    name, space, rest = text.partition(b" ")
    return name + f' xmlns:clacks-e="{EVENTS_NS}"'.encode() + space + rest
