"""Serialization (XSLT and XQuery Serialization 3.1): a sequence becomes text.

This module has the parameters, what they may be, and the normalization of a sequence that comes before markup
(section 2). The methods are in ``serialize_markup`` (xml, xhtml, text), ``serialize_html`` and
``serialize_values`` (json, adaptive). All write characters, never bytes: the encoding only says which
characters must be written as references.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clacks.common.errors import QueryError
from clacks.xquery.conversion import string_of_item
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XArray
from clacks.xquery.nodes import Node

__all__ = [
    "METHODS",
    "Parameters",
    "normalize",
    "parameters_from_element",
    "parameters_from_map",
    "serialize",
]

METHODS = ("xml", "xhtml", "html", "text", "json", "adaptive")
OUTPUT = "http://www.w3.org/2010/xslt-xquery-serialization"
PUBLIC_ID = re.compile(r"[ \r\na-zA-Z0-9'()+,./:=?;!*#@$_%-]*")
NORMAL_FORMS = ("NFC", "NFD", "NFKC", "NFKD", "none")
TRUE = frozenset({"yes", "true", "1"})
FALSE = frozenset({"no", "false", "0"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """Serialization parameters (section 3). None stands for "not given"."""

    method: str = "xml"
    allow_duplicate_names: bool = False
    byte_order_mark: bool = False
    cdata_section_elements: frozenset[str] = frozenset()
    doctype_public: str | None = None
    doctype_system: str | None = None
    encoding: str = "UTF-8"
    escape_uri_attributes: bool = True
    html_version: str | None = None
    include_content_type: bool = True
    indent: bool = False
    item_separator: str | None = None
    json_node_output_method: str = "xml"
    media_type: str | None = None
    normalization_form: str = "none"
    omit_xml_declaration: bool = True
    standalone: bool | None = None
    suppress_indentation: frozenset[str] = frozenset()
    undeclare_prefixes: bool = False
    use_character_maps: Mapping[str, str] = field(default_factory=dict, hash=False)
    version: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Parameters:
        """Make parameters from values by their names in the specification.

        Values are booleans, strings, iterables of expanded names, or the lexical forms of a prolog.

        Raises:
            QueryEvaluationError: SEPM0016 or SEPM0017 for a wrong value or name.
        """
        fields: dict[str, Any] = {}
        for name, value in values.items():
            reader = READERS.get(name)
            if reader is None:
                raise failure("SEPM0017", f"there is no serialization parameter {name}")
            fields[name.replace("-", "_")] = reader(name, value)
        return cls(**fields)

    def also(self, **changes: Any) -> Parameters:
        """Return a copy with some parameters changed."""
        return replace(self, **changes)

    def check(self) -> None:
        """Refuse what cannot be together or is not supported (sections 3 and 5.1)."""
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise failure("SESU0007", f"there is no encoding {self.encoding[:40]!r}") from None
        if self.normalization_form not in NORMAL_FORMS:
            raise failure("SESU0011", f"normalization form {self.normalization_form} is not supported")
        if self.method in ("xml", "xhtml"):
            if self.version not in (None, "1.0", "1.1"):
                raise failure("SESU0013", f"version {self.version} of XML is not supported")
            if self.undeclare_prefixes and self.version != "1.1":
                raise failure("SEPM0010", "prefixes can only be undeclared in XML 1.1")
            if self.omit_xml_declaration and (
                self.standalone is not None or (self.version == "1.1" and self.doctype_system is not None)
            ):
                raise failure("SEPM0009", "the XML declaration is omitted and needed")
        elif self.method == "html":
            version = self.html_version or self.version
            if version is not None:
                try:
                    number = float(version)
                except ValueError:
                    number = 0.0
                if not 3 <= number <= 5.99:
                    raise failure("SESU0013", f"version {version} of HTML is not supported")


def wrong(name: str, value: object) -> Exception:
    """Make the error for a value."""
    return failure("SEPM0016", f"{name} cannot be {str(value)[:60]!r}")


def read_boolean(name: str, value: Any) -> bool:
    """Read yes or no."""
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise wrong(name, value)


def read_standalone(name: str, value: Any) -> bool | None:
    """Read yes, no or omit."""
    return None if value is None or str(value).strip() == "omit" else read_boolean(name, value)


def read_method(name: str, value: Any) -> str:
    """Read a method."""
    text = str(value).strip()
    if text not in METHODS or (name != "method" and text in ("json", "adaptive")):
        raise wrong(name, value)
    return text


def read_text(name: str, value: Any) -> str:
    """Read a string."""
    return str(value)


def read_names(name: str, value: Any) -> frozenset[str]:
    """Read expanded names."""
    if isinstance(value, str):
        value = value.split()
    return frozenset(str(item) for item in value)


def read_public(name: str, value: Any) -> str:
    """Read a public identifier."""
    if PUBLIC_ID.fullmatch(str(value)) is None:
        raise wrong(name, value)
    return str(value)


def read_system(name: str, value: Any) -> str:
    """Read a system identifier."""
    if "'" in str(value) and '"' in str(value):
        raise wrong(name, value)
    return str(value)


def read_html_version(name: str, value: Any) -> str:
    """Read a decimal number."""
    text = str(value).strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text) is None:
        raise wrong(name, value)
    return text


def read_maps(name: str, value: Any) -> Mapping[str, str]:
    """Read a character map."""
    for char in value:
        if len(char) != 1:
            raise wrong(name, char)
    return dict(value)


def read_version(name: str, value: Any) -> str:
    """Read a version."""
    return str(value).strip()


READERS = {
    "allow-duplicate-names": read_boolean,
    "byte-order-mark": read_boolean,
    "cdata-section-elements": read_names,
    "doctype-public": read_public,
    "doctype-system": read_system,
    "encoding": read_version,
    "escape-uri-attributes": read_boolean,
    "html-version": read_html_version,
    "include-content-type": read_boolean,
    "indent": read_boolean,
    "item-separator": read_text,
    "json-node-output-method": read_method,
    "media-type": read_text,
    "method": read_method,
    "normalization-form": read_version,
    "omit-xml-declaration": read_boolean,
    "standalone": read_standalone,
    "suppress-indentation": read_names,
    "undeclare-prefixes": read_boolean,
    "use-character-maps": read_maps,
    "version": read_version,
}


def normalize(items: Iterable[Any], separator: str | None) -> list[Any]:
    """Normalize a sequence for markup (section 2): what is left are nodes and strings that stand for text
    nodes.

    Document nodes are replaced by their children, adjacent strings joined by a space or all items by the
    separator.

    Raises:
        QueryEvaluationError: SENR0001 for functions, attributes and namespace nodes.
    """
    flat: list[Any] = []
    for item in items:
        if isinstance(item, XArray):
            flat.extend(item.flatten())
        else:
            flat.append(item)
    out: list[Any] = []
    atomic_before = False
    for index, item in enumerate(flat):
        if index and separator is not None:
            out.append(separator)
        if isinstance(item, Node):
            atomic_before = False
            if item.kind in ("attribute", "namespace"):
                raise failure("SENR0001", f"a {item.kind} node by itself cannot be serialized")
            if item.kind == "document":
                out.extend(item.children)
            else:
                out.append(item)
        elif isinstance(item, FunctionItem):
            raise failure("SENR0001", f"a {item.label} cannot be serialized by this method")
        else:
            text = string_of_item(item)
            out.append(f" {text}" if atomic_before and separator is None else text)
            atomic_before = True
    return out


def serialize(
    items: Sequence[Any], parameters: Parameters | Mapping[str, Any] | None = None, meter: Any = None
) -> str:
    """Serialize a sequence.

    Args:
        items: The sequence.
        parameters: Serialization parameters, or values for ``Parameters.of``; all at their defaults if None.
        meter: Charged for the text, if given.

    Raises:
        QueryEvaluationError: With the codes of the specification (SENR, SERE, SEPM, SESU).
    """
    from clacks.xquery.serialize_html import write_html
    from clacks.xquery.serialize_markup import write_text, write_xml
    from clacks.xquery.serialize_values import write_adaptive, write_json

    chosen = parameters if isinstance(parameters, Parameters) else Parameters.of(parameters or {})
    chosen.check()
    if meter is not None:
        meter.step(len(items))
    if chosen.method == "json":
        text = write_json(items, chosen, meter)
    elif chosen.method == "adaptive":
        text = write_adaptive(items, chosen, meter)
    else:
        parts = normalize(items, chosen.item_separator)
        write = {"xml": write_xml, "xhtml": write_xml, "html": write_html, "text": write_text}[chosen.method]
        text = write(parts, chosen, meter)
    if meter is not None:
        meter.text(len(text))
    return "\ufeff" + text if chosen.byte_order_mark else text


def parameters_from_map(options: Any) -> Parameters:
    """Read the map that fn:serialize takes (F&O 3.1, 14.9.3).

    Raises:
        QueryEvaluationError: XPTY0004 for a value of the wrong type, SEPM0016 for a wrong value.
    """
    from clacks.xquery.conversion import convert
    from clacks.xquery.types_parser import sequence_type

    values: dict[str, Any] = {}
    for name, wanted in MAP_TYPES.items():
        given = options.get(name)
        if given is None:
            continue
        if name == "use-character-maps":
            value = convert(given, sequence_type(wanted), name)
            if value:
                pairs = {}
                for key, mapped in value[0].items():
                    texts = convert(mapped, sequence_type("xs:string"), name)
                    pairs[str(key)] = str(texts[0])
                values[name] = pairs
            continue
        value = convert(given, sequence_type(wanted), name)
        if not value:
            continue
        if name in ("cdata-section-elements", "suppress-indentation"):
            values[name] = [item.expanded_name for item in value]
        elif name in ("method", "json-node-output-method") and not isinstance(value[0], str):
            values[name] = value[0].qname if not value[0].uri else value[0].expanded_name
        else:
            values[name] = value[0] if isinstance(value[0], bool) else string_of_item(value[0])
    return Parameters.of(values)


MAP_TYPES = {
    "allow-duplicate-names": "xs:boolean?",
    "byte-order-mark": "xs:boolean?",
    "cdata-section-elements": "xs:QName*",
    "doctype-public": "xs:string?",
    "doctype-system": "xs:string?",
    "encoding": "xs:string?",
    "escape-uri-attributes": "xs:boolean?",
    "html-version": "xs:decimal?",
    "include-content-type": "xs:boolean?",
    "indent": "xs:boolean?",
    "item-separator": "xs:string?",
    "json-node-output-method": "xs:anyAtomicType?",
    "media-type": "xs:string?",
    "method": "xs:anyAtomicType?",
    "normalization-form": "xs:string?",
    "omit-xml-declaration": "xs:boolean?",
    "standalone": "xs:boolean?",
    "suppress-indentation": "xs:QName*",
    "undeclare-prefixes": "xs:boolean?",
    "use-character-maps": "map(xs:string, xs:string)?",
    "version": "xs:string?",
}
"""Types of the entries that fn:serialize knows."""


def parameters_from_element(element: Any) -> dict[str, Any]:
    """Read ``<output:serialization-parameters>`` (section 3.1); the values are for ``Parameters.of``.

    Raises:
        QueryEvaluationError: XPTY0004 for another element; SEPM0017 to SEPM0019 for wrong contents.
    """
    if element.kind == "document":
        inside = [child for child in element.children if child.kind == "element"]
        element = inside[0] if inside else element
    if element.kind != "element" or element.name != f"{{{OUTPUT}}}serialization-parameters":
        raise failure("XPTY0004", "the parameters must be an element output:serialization-parameters")
    refuse_attributes(element, ())
    values: dict[str, Any] = {}
    for child in element.children:
        if child.kind == "text" and child.value.strip():
            raise failure("SEPM0017", "text among serialization parameters")
        if child.kind != "element" or child.namespace != OUTPUT:
            if child.kind == "element" and not child.namespace:
                raise failure("SEPM0017", f"an element {child.name} in no namespace")
            continue
        name = child.local
        if name in values:
            raise failure("SEPM0019", f"the parameter {name} is given twice")
        if name not in READERS:
            raise failure("SEPM0017", f"there is no serialization parameter {name}")
        values[name] = read_character_map(child) if name == "use-character-maps" else parameter_value(child)
    return values


def refuse_attributes(element: Any, allowed: tuple[str, ...]) -> None:
    """Refuse attributes in no namespace other than the allowed ones."""
    for attribute in element.attributes:
        if not attribute.namespace and attribute.name not in allowed:
            raise failure("SEPM0017", f"an attribute {attribute.name} of {element.lexical_name}")


def attribute_value(element: Any, name: str) -> str:
    """Return an attribute that must be there."""
    for attribute in element.attributes:
        if attribute.name == name:
            return str(attribute.value)
    raise failure("SEPM0017", f"{element.lexical_name} has no attribute {name}")


def parameter_value(element: Any) -> Any:
    """Read one parameter that has a value."""
    refuse_attributes(element, ("value",))
    if any(child.kind == "element" for child in element.children):
        raise failure("SEPM0017", f"{element.lexical_name} has elements in it")
    value = attribute_value(element, "value")
    name = element.local
    try:
        if name in ("cdata-section-elements", "suppress-indentation"):
            return [expand(element, word, True) for word in value.split()]
        if name in ("method", "json-node-output-method") and ":" in value:
            return expand(element, value, False)
        READERS[name](name, value)
    except QueryError as error:
        if error.code != "SEPM0016":
            raise
        raise failure("SEPM0017", str(error)) from None
    return value


def expand(element: Any, word: str, default: bool) -> str:
    """Return the expanded name of a lexical name, by the namespaces in scope at an element."""
    braced = re.fullmatch(r"Q\{([^{}]*)\}(.+)", word)
    if braced is not None:
        return f"{{{braced[1]}}}{braced[2]}" if braced[1] else braced[2]
    prefix, colon, local = word.rpartition(":")
    uri = element.in_scope.get(prefix if colon else "", "")
    if colon and not uri:
        raise failure("SEPM0017", f"the prefix of {word!r} is not declared")
    return f"{{{uri}}}{local}" if uri and (colon or default) else local


def read_character_map(element: Any) -> dict[str, str]:
    """Read ``<output:use-character-maps>``."""
    refuse_attributes(element, ())
    pairs: dict[str, str] = {}
    for child in element.children:
        if child.kind != "element":
            continue
        if child.name != f"{{{OUTPUT}}}character-map":
            if child.namespace == OUTPUT or not child.namespace:
                raise failure("SEPM0017", f"an element {child.lexical_name} among character maps")
            continue
        refuse_attributes(child, ("character", "map-string"))
        char = attribute_value(child, "character")
        if len(char) != 1:
            raise failure("SEPM0017", f"{char!r} is not one character")
        if char in pairs:
            raise failure("SEPM0018", f"the character {char!r} is mapped twice")
        pairs[char] = attribute_value(child, "map-string")
    return pairs
