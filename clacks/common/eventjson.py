"""Events as plain values: Python's or JSON's, both ways, driven by the model of the schema.

    element once        member                  attribute       member "@name"
    element repeated    array, also of none     text beside     member "#text"
    absent              member absent           xsi:nil         None / null
    complex type        dict / object           opaque content  member "#xml": text of the inner XML

Simple values are in ``lexical.py``. Lost are comments, processing instructions, prefixes, the order in
content of any order, and the lexical form of numbers. Elements marked ``json`` are the values that their
text stands for; text in base64 (attribute ``enc``) is the text behind it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree

from clacks.common.errors import InvalidEvent, MalformedEvent
from clacks.common.lexical import json_value, lexical, python_value, text_of_json
from clacks.common.schema_explain import did_you_mean
from clacks.common.schema_model import ANNOTATIONS_NS, EVENTS_NS, ComplexType, ElementDecl, SimpleType
from clacks.common.xmltext import decode_text, encode_text, illegal_character, read_document

__all__ = ["JSON", "PYTHON", "Form", "decode", "encode", "is_marked_json", "json_text", "set_text"]

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_NIL = f"{_XSI}nil"
_NSMAP = cast("Mapping[str, str]", {None: EVENTS_NS})  # the stubs do not know the default prefix
_DEPTH = 100
"""Levels of nested content that are read and written; deeper content travels as XML only."""


@dataclass(frozen=True, slots=True)
class Form:
    """How simple values look outside of XML.

    Attributes:
        read: From a valid text to a value.
        write: From a value to text; raises ValueError.
        lenient: Whether None leaves an optional element out.
    """

    read: Callable[[str, SimpleType], Any]
    write: Callable[[Any, SimpleType], str]
    lenient: bool


PYTHON = Form(python_value, lexical, lenient=True)
JSON = Form(json_value, text_of_json, lenient=False)


def is_marked_json(node: etree._Element) -> bool:
    """Tell whether an element declaration of a schema carries the annotation ``json``."""
    xsd = "{http://www.w3.org/2001/XMLSchema}"
    return node.find(f"{xsd}annotation/{xsd}appinfo/{{{ANNOTATIONS_NS}}}json") is not None


def json_text(value: Any) -> str:
    """Return a value as JSON text; only ASCII, so XML can hold it. Raises ValueError if it has none."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON value: {error}") from None


def set_text(element: etree._Element, text: str) -> None:
    """Set the text of an element; as base64 with ``enc`` if XML cannot hold it.

    Whether the type of the element declares ``enc`` is for the schema to say.
    """
    try:
        element.text = text
    except ValueError:
        element.text = encode_text(text)
        element.set("enc", "base64")


# From XML


def decode(element: etree._Element, declared: ElementDecl, form: Form) -> dict[str, Any]:
    """Return the content of a valid event element; that of an event with simple content as ``#text``."""
    value = _value(element, declared, form, 0)
    return value if isinstance(value, dict) else {"#text": value}


def _text(element: etree._Element) -> str:
    if not len(element):
        return element.text or ""
    # Comments and processing instructions may stand in the text.
    return (element.text or "") + "".join(child.tail or "" for child in element)


def _value(element: etree._Element, declared: ElementDecl, form: Form, depth: int) -> Any:
    content = declared.type
    nil = (element.get(_NIL) or "").strip() in ("true", "1")
    if isinstance(content, SimpleType):
        return None if nil else _simple(element, content, declared, form)
    if content.encodes and element.get("enc") is not None:
        decoded = decode_text(_text(element))
        if decoded is not None:
            found = _attributes(element, content, form)
            del found["@enc"]
            return {**found, "#text": decoded} if found else decoded
    found = _attributes(element, content, form)
    if nil:
        return {**found, "#nil": True} if found else None
    if content.opaque or _XSI + "type" in element.attrib or depth > _DEPTH:
        return {**found, "#xml": _inner_xml(element)}
    if content.text is not None:
        value = _simple(element, content.text, declared, form)
        if content.attributes and (found or not _only_enc(content)):
            return {**found, "#text": value}
        return value
    return {**found, **_members(element, content, form, depth)}


def _only_enc(content: ComplexType) -> bool:
    return content.encodes and len(content.attributes) == 1


def _simple(element: etree._Element, of_type: SimpleType, declared: ElementDecl, form: Form) -> Any:
    text = _text(element)
    if not text and declared.default is not None:
        text = declared.default
    if declared.json:
        try:
            return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            return text  # a schema cannot require JSON; what is none is a text
    return form.read(text, of_type)


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that can be written again")
    return value


def _attributes(element: etree._Element, content: ComplexType, form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in cast("Mapping[str, str]", element.attrib).items():
        declared = content.attributes.get(name)
        if declared is not None:
            found[f"@{name}"] = form.read(text, declared.type)
        elif not name.startswith(_XSI) or name == _XSI + "type":
            found[f"@{name}"] = text
    return found


def _members(element: etree._Element, content: ComplexType, form: Form, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {name: [] for name, member in content.members.items() if member.repeated}
    by_tag = content.by_tag()
    for child in element.iterchildren(tag=etree.Element):
        member = by_tag.get(str(child.tag))
        if member is None:
            continue  # an element of a newer schema: Event.newer lists it
        value = _value(child, member, form, depth + 1)
        if member.repeated:
            found[member.name].append(value)
        else:
            found[member.name] = value
    return {name: found[name] for name in content.members if name in found}


def _inner_xml(element: etree._Element) -> str:
    text = (element.text or "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text + "".join(etree.tostring(child, encoding="unicode") for child in element)


# To XML


def encode(content: Mapping[str, Any], declared: ElementDecl, form: Form) -> etree._Element:
    """Return the element ``Event`` with an event of these values, not yet validated.

    Raises:
        InvalidEvent: If a member is unknown, missing or wrong.
    """
    root = etree.Element(f"{{{EVENTS_NS}}}Event", nsmap=_NSMAP)
    writer = _Writer(declared.name, form)
    value: Any = content
    simple = isinstance(declared.type, SimpleType)
    if simple and isinstance(content, Mapping) and set(content) == {"#text"}:
        value = content["#text"]
    writer.element(root, declared, value, f"/Event/{declared.name}", 0)
    return root


class _Writer:
    def __init__(self, kind: str, form: Form) -> None:
        self._kind = kind
        self._form = form

    def element(
        self, parent: etree._Element, declared: ElementDecl, value: Any, path: str, depth: int
    ) -> None:
        if depth > _DEPTH + 1:  # where reading begins to give XML
            raise self._error(path, f"nested more than {_DEPTH} deep")
        element = etree.SubElement(parent, declared.tag)
        content = declared.type
        if declared.json:
            try:
                element.text = json_text(value)
            except ValueError as error:
                raise self._error(path, str(error)) from None
        elif value is None and declared.nillable:
            element.set(_NIL, "true")
        elif isinstance(content, SimpleType):
            self._text(element, content, value, path, encodes=False)
        else:
            self._complex(element, content, value, path, depth)

    def _complex(
        self, element: etree._Element, content: ComplexType, value: Any, path: str, depth: int
    ) -> None:
        if content.text is not None and not isinstance(value, Mapping):
            value = {"#text": value}
        if not isinstance(value, Mapping):
            raise self._error(path, f"not an object: {_shown(value)}", expected="an object")
        for name, text in value.items():
            if isinstance(name, str) and name.startswith("@"):
                self._attribute(element, content, name[1:], text, f"{path}/{name}")
        members = {name: member for name, member in value.items() if not str(name).startswith("@")}
        if members.get("#nil") is True:
            element.set(_NIL, "true")
            return
        if "#xml" in members:
            self._inner(element, members.pop("#xml"), path)
            self._no_more(members, (), path)
        elif content.text is not None:
            self._text(element, content.text, members.pop("#text", ""), path, encodes=content.encodes)
            self._no_more(members, ("#text",), path)
        elif content.opaque:
            self._no_more(members, ("#xml",), path)
        else:
            self._members(element, content, members, path, depth)

    def _members(
        self, element: etree._Element, content: ComplexType, members: dict[str, Any], path: str, depth: int
    ) -> None:
        self._no_more({name: 0 for name in members if name not in content.members}, content.members, path)
        for name, member in content.members.items():
            here = f"{path}/{name}"
            if name not in members:
                if member.least > 0 and content.order != "choice" and not member.repeated:
                    raise self._error(path, f"{name} is missing", expected=name)
                continue
            value = members[name]
            if member.repeated:
                self._array(element, member, value, here, depth)
            elif value is None and self._form.lenient and not member.nillable and not member.json:
                if member.least > 0:
                    raise self._error(path, f"{name} is missing", expected=name)
            else:
                self.element(element, member, value, here, depth + 1)

    def _array(self, element: etree._Element, member: ElementDecl, value: Any, path: str, depth: int) -> None:
        if not isinstance(value, (list, tuple)):
            if not self._form.lenient:
                raise self._error(path, f"not an array: {_shown(value)}", expected="an array")
            value = [] if value is None else [value]
        for number, each in enumerate(value, 1):
            self.element(element, member, each, f"{path}[{number}]", depth + 1)

    def _attribute(
        self, element: etree._Element, content: ComplexType, name: str, value: Any, path: str
    ) -> None:
        declared = content.attributes.get(name)
        if declared is None and not content.any_attribute and name != _XSI + "type":
            known = [f"@{known}" for known in content.attributes]
            raise self._error(path, f"unknown attribute {name}{did_you_mean('@' + name, known)}", found=name)
        if value is None and self._form.lenient:
            return
        try:
            element.set(name, self._form.write(value, declared.type) if declared else str(value))
        except ValueError as error:
            raise self._error(path, str(error), found=_shown(value)) from None

    def _text(
        self, element: etree._Element, of_type: SimpleType, value: Any, path: str, *, encodes: bool
    ) -> None:
        try:
            text = self._form.write(value, of_type)
        except (ValueError, OverflowError) as error:
            raise self._error(path, str(error), found=_shown(value)) from None
        if encodes:
            if element.get("enc") is None:
                set_text(element, text)
                return
        elif (illegal := illegal_character(text)) is not None:
            raise self._error(
                path, f"{illegal} cannot stand in XML, and this element has no enc", found=illegal
            )
        element.text = text

    def _inner(self, element: etree._Element, value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise self._error(f"{path}/#xml", f"not a text: {_shown(value)}")
        try:
            holder, _ = read_document(f'<x xmlns="{EVENTS_NS}">{value}</x>')
        except MalformedEvent as error:
            raise self._error(f"{path}/#xml", error.reason) from None
        element.text = holder.text
        element.extend(list(holder))

    def _no_more(self, members: Mapping[str, Any], known: Any, path: str) -> None:
        for name in members:
            raise self._error(
                f"{path}/{name}", f"unknown member {name}{did_you_mean(str(name), known)}", found=str(name)
            )

    def _error(
        self, path: str, reason: str, *, found: str | None = None, expected: str | None = None
    ) -> InvalidEvent:
        return InvalidEvent(self._kind, path, reason, None, found=found, expected=expected)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:120] + "..."
