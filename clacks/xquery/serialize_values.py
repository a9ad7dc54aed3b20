"""The methods json and adaptive (Serialization 3.1, sections 9 and 10)."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from elementpath.datatypes import AbstractQName, AnyURI, Float, UntypedAtomic

from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.json_text import code_escape, escape_json
from clacks.xquery.maps import XArray, XMap
from clacks.xquery.nodes import Node
from clacks.xquery.sequence_types import parent_type, type_name
from clacks.xquery.serialize import Parameters, serialize
from clacks.xquery.serialize_markup import encodes_all
from clacks.xquery.values import string_of

__all__ = ["write_adaptive", "write_json"]

DEEPEST = 900


class JsonWriter:
    """Writes maps, arrays and values as JSON."""

    def __init__(self, parameters: Parameters, meter: Any) -> None:
        self.parameters = parameters
        self.meter = meter
        self.out: list[str] = []
        self.all_characters = encodes_all(parameters.encoding)

    def sequence(self, value: Sequence[Any], depth: int) -> None:
        """Write a sequence of one item, or none as null."""
        if len(value) > 1:
            raise failure("SERE0023", f"a sequence of {len(value)} items is no value of JSON")
        if not value:
            self.out.append("null")
            return
        self.item(value[0], depth)

    def item(self, item: Any, depth: int) -> None:
        """Write an item."""
        if self.meter is not None:
            self.meter.step()
        if depth > DEEPEST:
            raise failure("SERE0021", f"nested deeper than {DEEPEST} levels")
        if isinstance(item, XMap):
            self.map(item, depth)
        elif isinstance(item, XArray):
            self.out.append("[")
            for index, member in enumerate(item.members):
                if index:
                    self.out.append(",")
                self.line(depth + 1)
                self.sequence(member, depth + 1)
            if len(item):
                self.line(depth)
            self.out.append("]")
        elif isinstance(item, FunctionItem):
            raise failure("SERE0021", "a function is no value of JSON")
        elif isinstance(item, Node):
            self.out.append(self.string(self.node(item)))
        elif isinstance(item, bool):
            self.out.append("true" if item else "false")
        elif isinstance(item, float):
            if math.isinf(item) or item != item:
                raise failure("SERE0020", f"{string_of(item)} is no number of JSON")
            self.out.append(string_of(item))
        elif isinstance(item, (int, Decimal)):
            self.out.append(string_of(item))
        else:
            self.out.append(self.string(string_of(item)))

    def map(self, item: XMap, depth: int) -> None:
        """Write a map."""
        self.out.append("{")
        seen: set[str] = set()
        for index, (key, value) in enumerate(item.items()):
            text = string_of(key)
            if text in seen and not self.parameters.allow_duplicate_names:
                raise failure("SERE0022", f"two keys are written as {text[:60]!r}")
            seen.add(text)
            if index:
                self.out.append(",")
            self.line(depth + 1)
            self.out.append(self.string(text) + (": " if self.parameters.indent else ":"))
            self.sequence(value, depth + 1)
        if len(item):
            self.line(depth)
        self.out.append("}")

    def line(self, depth: int) -> None:
        """Begin a line if the output is indented."""
        if self.parameters.indent:
            self.out.append("\n" + "  " * depth)

    def node(self, node: Any) -> str:
        """Serialize a node by json-node-output-method."""
        if node.kind in ("attribute", "namespace"):
            raise failure("SENR0001", f"a {node.kind} node cannot be serialized")
        inner = Parameters(
            method=self.parameters.json_node_output_method,
            omit_xml_declaration=True,
            encoding=self.parameters.encoding,
        )
        return serialize([node], inner, self.meter)

    def string(self, text: str) -> str:
        """Write a string with quotation marks."""
        if self.parameters.normalization_form != "none":
            text = unicodedata.normalize(self.parameters.normalization_form, text)  # type: ignore[arg-type]
        maps = self.parameters.use_character_maps
        if maps:
            escaped = "".join(maps[char] if char in maps else escape_json(char) for char in text)
        else:
            escaped = escape_json(text)
        if not self.all_characters and not escaped.isascii():
            escaped = "".join(self.encoded(char) for char in escaped)
        return f'"{escaped}"'

    def encoded(self, char: str) -> str:
        """Return a character, escaped if the encoding lacks it."""
        try:
            char.encode(self.parameters.encoding)
        except UnicodeEncodeError:
            return code_escape(char)
        return char


def write_json(items: Sequence[Any], parameters: Parameters, meter: Any) -> str:
    """Write by method json."""
    writer = JsonWriter(parameters, meter)
    writer.sequence(items, 0)
    return "".join(writer.out)


def write_adaptive(items: Sequence[Any], parameters: Parameters, meter: Any) -> str:
    """Write by method adaptive."""
    separator = "\n" if parameters.item_separator is None else parameters.item_separator
    return separator.join(adaptive(item, parameters, meter, 0) for item in items)


def adaptive(item: Any, parameters: Parameters, meter: Any, depth: int) -> str:
    """Write one item."""
    if meter is not None:
        meter.step()
    if depth > DEEPEST:
        raise failure("SENR0001", f"nested deeper than {DEEPEST} levels")
    if isinstance(item, Node):
        return adaptive_node(item, parameters, meter)
    if isinstance(item, XMap):
        depth += 1
        pairs = (
            f"{adaptive(key, parameters, meter, depth)}:{adaptive_value(value, parameters, meter, depth)}"
            for key, value in item.items()
        )
        return f"map{{{','.join(pairs)}}}"
    if isinstance(item, XArray):
        members = (adaptive_value(member, parameters, meter, depth + 1) for member in item.members)
        return f"[{','.join(members)}]"
    if isinstance(item, FunctionItem):
        name = item.qname
        if name is None:
            return f"(anonymous-function)#{item.arity}"
        return f"{name.qname if name.prefix else f'Q{{{name.uri}}}{name.local_name}'}#{item.arity}"
    return adaptive_atomic(item, parameters)


def adaptive_value(value: Sequence[Any], parameters: Parameters, meter: Any, depth: int) -> str:
    """Write a sequence that is a member or a value."""
    if len(value) == 1:
        return adaptive(value[0], parameters, meter, depth)
    return f"({','.join(adaptive(item, parameters, meter, depth) for item in value)})"


def adaptive_node(node: Any, parameters: Parameters, meter: Any) -> str:
    """Write a node by method xml; attributes and namespaces as they look in a tag."""
    if node.kind in ("attribute", "namespace"):
        value = node.value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        if node.kind == "attribute":
            return f'{node.lexical_name}="{value}"'
        return f'xmlns{":" if node.name else ""}{node.name or ""}="{value}"'
    return serialize([node], parameters.also(method="xml", item_separator=None, byte_order_mark=False), meter)


def adaptive_atomic(value: Any, parameters: Parameters) -> str:
    """Write an atomic value: numbers and booleans bare, strings quoted, all else as a constructor."""
    if isinstance(value, bool):
        return "true()" if value else "false()"
    if isinstance(value, (str, UntypedAtomic, AnyURI)):
        text = string_of(value).replace('"', '""')
        if parameters.normalization_form != "none":
            text = unicodedata.normalize(parameters.normalization_form, text)  # type: ignore[arg-type]
        maps = parameters.use_character_maps
        if maps:
            text = "".join(maps.get(char, char) for char in text)
        return f'"{text}"'
    if isinstance(value, AbstractQName):
        return f"Q{{{value.uri}}}{value.local_name}"
    if isinstance(value, float) and not isinstance(value, Float):
        return scientific(value)
    if isinstance(value, (int, Decimal)):
        return string_of(value)
    return f'xs:{primitive(type_name(value))}("{string_of(value)}")'


def primitive(name: str) -> str:
    """Return the primitive type that a type comes from."""
    while (parent := parent_type(name)) not in (None, "anyAtomicType", "numeric"):
        assert parent is not None
        name = parent
    return name


def scientific(value: float) -> str:
    """Write an xs:double with an exponent, as picture ``0.0##########################e0`` does."""
    if math.isinf(value) or value != value:
        return string_of(value)
    if value == 0:
        return "-0.0e0" if math.copysign(1, value) < 0 else "0.0e0"
    mantissa, _, exponent = f"{Decimal(repr(value)):e}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}e{int(exponent)}"
