"""JSON Schema (draft 7) of the JSON form of events, from the model of their schema.

What XSD says and JSON Schema cannot (patterns of its own dialect, digits, order) is left out: a document that
this schema refuses is no event, one that it takes may still be refused by the registry.
"""

from __future__ import annotations

from typing import Any

from clacks.common.schema_model import ComplexType, ElementDecl, SimpleType

__all__ = ["json_schema"]

_DEPTH = 12
"""Levels that are spelt out; a type that holds itself ends there with "anything"."""

_EXACT = 2**53
"""Integers beyond this are texts in JSON, because not every reader of JSON keeps them."""


def json_schema(element: ElementDecl) -> dict[str, Any]:
    """Return the schema of the content of one event type, as ``Event.to_json`` writes it."""
    made = _complex(element.type, 0) if isinstance(element.type, ComplexType) else _simple(element.type)
    return {"title": element.name, **made}


def _element(element: ElementDecl, depth: int) -> dict[str, Any]:
    if element.json or depth > _DEPTH:
        made: dict[str, Any] = {}
    elif isinstance(element.type, ComplexType):
        made = _complex(element.type, depth)
    else:
        made = _simple(element.type)
    if element.documentation.strip():
        made["description"] = " ".join(element.documentation.split())
    if element.nillable and made:
        made = {"anyOf": [made, {"type": "null"}]}
    if not element.repeated:
        return made
    array: dict[str, Any] = {"type": "array", "items": made}
    if element.least:
        array["minItems"] = element.least
    if element.most is not None:
        array["maxItems"] = element.most
    return array


def _complex(content: ComplexType, depth: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, attribute in content.attributes.items():
        if name == "enc" and content.encodes:
            continue  # base64 is undone before JSON is written
        properties[f"@{name}"] = _simple(attribute.type)
        if attribute.required:
            required.append(f"@{name}")
    if content.opaque:
        properties["#xml"] = {"type": "string", "description": "XML of the content"}
        required.append("#xml")
    elif content.text is not None:
        text = _simple(content.text)
        if not properties and not content.any_attribute:
            return text
        properties["#text"] = text
        required.append("#text")
    for name, member in content.members.items() if not content.opaque else ():
        properties[name] = _element(member, depth + 1)
        # An array stands there also when it is empty; a choice makes none of its members sure.
        if member.repeated or (member.least and content.order != "choice"):
            required.append(name)
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        made["required"] = required
    if not content.any_attribute:
        made["additionalProperties"] = False
    return made


def _simple(of_type: SimpleType) -> dict[str, Any]:
    match of_type.shape:
        case "boolean":
            return {"type": "boolean"}
        case "integer":
            return {"type": ["integer", "string"], **_bounds(of_type)}
        case "float":
            return {"anyOf": [{"type": "number", **_bounds(of_type)}, {"enum": ["NaN", "INF", "-INF"]}]}
        case "dateTime":
            moment = {
                "type": "object",
                "properties": {"$date": {"type": "integer", "description": "milliseconds since 1970, UTC"}},
                "required": ["$date"],
            }
            return {"anyOf": [moment, {"type": "string"}]}
        case "date":
            day = {"$type": {"const": "date"}, "$value": {"type": "string"}}
            return {
                "anyOf": [{"type": "object", "properties": day, "required": list(day)}, {"type": "string"}]
            }
        case "time":
            clock = {"type": "object", "properties": {"$time": {"type": "string"}}, "required": ["$time"]}
            return {"anyOf": [clock, {"type": "string"}]}
        case "list":
            return {"type": "array", "items": _simple(of_type.item)} if of_type.item else {"type": "array"}
    made: dict[str, Any] = {"type": "string"}
    if of_type.facets.enumeration:
        made["enum"] = list(of_type.facets.enumeration)
    return made


def _bounds(of_type: SimpleType) -> dict[str, Any]:
    names = {
        "minInclusive": "minimum",
        "maxInclusive": "maximum",
        "minExclusive": "exclusiveMinimum",
        "maxExclusive": "exclusiveMaximum",
    }
    made = {}
    for facet, text in of_type.facets.bounds.items():
        if facet in names:
            number = float(text)
            if abs(number) < _EXACT:
                made[names[facet]] = int(number) if number.is_integer() else number
    return made
