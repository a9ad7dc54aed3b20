"""The methods xml, xhtml and text (Serialization 3.1, 5, 6 and 8); ``serialize_html`` builds on it.

Nodes are walked with a stack: constructed trees may be deep. Whitespace for indentation goes only where an
element has no text children, so that indenting never changes what mixed content says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from clacks.xquery.errors import failure
from clacks.xquery.functions_strings import is_xml_char
from clacks.xquery.html_vocabulary import (
    INLINE,
    MATHML,
    PRESERVED,
    SVG,
    VOID_4,
    VOID_5,
    XHTML,
    content_type,
    escape_uri,
    is_content_type,
    is_html5,
    is_uri,
)
from clacks.xquery.nodes import XML_NAMESPACE
from clacks.xquery.serialize import Parameters

__all__ = ["write_text", "write_xml"]

TEXT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;", "\x85": "&#x85;", "\u2028": "&#x2028;"}
ATTRIBUTE_ESCAPES = {**TEXT_ESCAPES, '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;"}
CONTROLS = {chr(code): f"&#x{code:X};" for code in range(0x7F, 0xA0)}


@lru_cache(maxsize=64)
def encodes_all(encoding: str) -> bool:
    """Tell whether an encoding has all characters."""
    return encoding.lower().replace("_", "-") in (
        "utf-8",
        "utf8",
        "utf-16",
        "utf16",
        "utf-32",
        "utf-16le",
        "utf-16be",
    )


class Writer:
    """What the markup methods share: escaping, character maps, normalization, indentation."""

    def __init__(self, parameters: Parameters, meter: Any) -> None:
        self.parameters = parameters
        self.meter = meter
        self.out: list[str] = []
        self.maps = parameters.use_character_maps
        self.form = parameters.normalization_form
        self.all_characters = encodes_all(parameters.encoding)
        self.text_table = self.table(TEXT_ESCAPES | CONTROLS)
        self.attribute_table = self.table(ATTRIBUTE_ESCAPES | CONTROLS)

    def table(self, escapes: dict[str, str]) -> dict[int, str]:
        """Make a translation table; a character map comes before escaping."""
        return {ord(char): text for char, text in {**escapes, **self.maps}.items()}

    def step(self) -> None:
        """Charge for one node."""
        if self.meter is not None:
            self.meter.step()

    def escape(self, text: str, table: dict[int, str]) -> str:
        """Normalize and escape text."""
        if self.form != "none":
            text = self.normalized(text)
        return self.references(text.translate(table))

    def normalized(self, text: str) -> str:
        """Normalize what no character map replaces."""
        if not self.maps:
            return unicodedata.normalize(self.form, text)  # type: ignore[arg-type]
        pieces = re.split(f"([{re.escape(''.join(self.maps))}])", text)
        return "".join(
            piece if index % 2 else unicodedata.normalize(self.form, piece)  # type: ignore[arg-type]
            for index, piece in enumerate(pieces)
        )

    def references(self, text: str) -> str:
        """Write characters that the encoding lacks as references."""
        if self.all_characters or text.isascii():
            return text
        return text.encode(self.parameters.encoding, "xmlcharrefreplace").decode(self.parameters.encoding)

    def encodable(self, text: str, what: str) -> str:
        """Return a text that takes no references; SERE0008 if it has characters that the encoding lacks."""
        if not self.all_characters:
            try:
                text.encode(self.parameters.encoding)
            except UnicodeEncodeError:
                raise failure(
                    "SERE0008", f"a {what} has characters that {self.parameters.encoding} lacks"
                ) from None
        return text


def children_to_indent(element: Any) -> bool:
    """Tell whether an element has element children and no text among them."""
    some = False
    for child in element.children:
        if child.kind == "text":
            return False
        some = True
    return some


def keeps_space(element: Any) -> bool | None:
    """Tell what xml:space says at an element; None if nothing."""
    for attribute in element.attributes:
        if attribute.name == f"{{{XML_NAMESPACE}}}space":
            return bool(attribute.value == "preserve")
    return None


Frame = tuple[Any, Iterator[Any], str, dict[str, str], bool, bool]


class XmlWriter(Writer):
    """Writes xml and xhtml."""

    def __init__(self, parameters: Parameters, meter: Any) -> None:
        super().__init__(parameters, meter)
        self.xhtml = parameters.method == "xhtml"
        self.html5 = parameters.method != "xml" and is_html5(parameters)
        self.void = VOID_5 if self.html5 else VOID_4

    def name_of(self, element: Any) -> str:
        """Return the HTML name of an element in lower case, empty if it is not HTML for method xhtml."""
        uri = element.namespace
        if not self.xhtml or not (uri == XHTML or (self.html5 and not uri)):
            return ""
        return str(element.local.lower())

    def renamed(self, element: Any) -> bool:
        """Tell whether HTML 5 writes an element without its prefix."""
        return self.html5 and element.namespace in (XHTML, SVG, MATHML)

    def tag_name(self, element: Any) -> str:
        """Return the name that is written."""
        return self.encodable(element.local if self.renamed(element) else element.lexical_name, "name")

    def tag_namespaces(
        self, element: Any, above: dict[str, str]
    ) -> tuple[list[tuple[str, str]], dict[str, str]]:
        """Return the namespaces to declare, and what is then in scope for the children."""
        scope = element.in_scope
        if self.renamed(element):
            # Serialization 3.1, 6.1: the default namespace stands in for the prefix.
            uri = element.namespace
            used = {a.prefix for a in element.attributes if a.prefix}
            scope = {p: u for p, u in scope.items() if p and (u not in (XHTML, SVG, MATHML) or p in used)}
            scope[""] = uri
        elif self.html5 and not element.prefix and not element.namespace and scope.get(""):
            scope = {p: u for p, u in scope.items() if p}
        found = [(p, u) for p, u in scope.items() if above.get(p) != u and p != "xml"]
        if above.get("") and not scope.get(""):
            found.append(("", ""))
        if self.parameters.undeclare_prefixes and self.parameters.version == "1.1":
            found.extend((prefix, "") for prefix in above if prefix and prefix not in scope)
        return found, scope

    def write(self, parts: Sequence[Any]) -> str:
        """Write the normalized sequence."""
        parameters = self.parameters
        elements = [p for p in parts if not isinstance(p, str) and p.kind == "element"]
        if parameters.standalone is not None or parameters.doctype_system is not None:
            text = any((p if isinstance(p, str) else p.value).strip() for p in parts if is_text(p))
            if len(elements) != 1 or text:
                raise failure(
                    "SEPM0004", "a document type or standalone needs one element and no text around it"
                )
        if not parameters.omit_xml_declaration:
            standalone = {None: "", True: ' standalone="yes"', False: ' standalone="no"'}[
                parameters.standalone
            ]
            version = parameters.version or "1.0"
            self.out.append(f'<?xml version="{version}" encoding="{parameters.encoding}"{standalone}?>')
            if parameters.indent:
                self.out.append("\n")
        pending = True
        mixed = any(is_text(part) for part in parts)
        for index, part in enumerate(parts):
            if isinstance(part, str):
                self.out.append(self.escape(part, self.text_table))
                continue
            if parameters.indent and index and not mixed:
                self.out.append("\n")
            if part.kind == "element" and pending:
                pending = False
                self.doctype(part)
            self.tree(part)
        return "".join(self.out)

    def doctype(self, element: Any) -> None:
        """Write the document type declaration."""
        public, system = self.parameters.doctype_public, self.parameters.doctype_system
        name = element.lexical_name
        if system is not None:
            mark = "'" if '"' in system else '"'
            middle = f'PUBLIC "{public}" ' if public is not None else "SYSTEM "
            self.out.append(f"<!DOCTYPE {name} {middle}{mark}{system}{mark}>")
        elif (
            self.xhtml and is_html5(self.parameters) and element.name.lower() in ("html", f"{{{XHTML}}}html")
        ):
            self.out.append(f"<!DOCTYPE {name}>")
        else:
            return
        if self.parameters.indent:
            self.out.append("\n")

    def tree(self, top: Any) -> None:
        """Write a node and all below it."""
        if top.kind != "element":
            self.leaf(top, None)
            return
        stack: list[tuple[Any, Iterator[Any], str, dict[str, str], bool, bool]] = []
        indent = self.parameters.indent
        self.open(top, {}, stack, indent)
        while stack:
            element, children, name, scope, spaced, preserve = stack[-1]
            for child in children:
                if spaced:
                    self.out.append("\n" + "  " * len(stack))
                if child.kind == "element":
                    self.open(child, scope, stack, indent and not preserve)
                    break
                self.leaf(child, element)
            else:
                stack.pop()
                if spaced:
                    self.out.append("\n" + "  " * len(stack))
                self.out.append(f"</{name}>")

    def open(self, element: Any, above: dict[str, str], stack: list[Frame], indent: bool) -> None:
        """Write a start tag, and remember what must follow; an empty element is complete with it."""
        self.step()
        name = self.tag_name(element)
        parts = [f"<{name}"]
        declared, scope = self.tag_namespaces(element, above)
        for prefix, uri in declared:
            parts.append(f' xmlns{":" if prefix else ""}{prefix}="{self.escape(uri, self.attribute_table)}"')
        for attribute in element.attributes:
            parts.append(
                f' {self.encodable(attribute.lexical_name, "name")}="{self.attribute(element, attribute)}"'
            )
        children = element.children
        if self.xhtml:
            children = self.xhtml_children(element, children)
        if not children:
            parts.append(self.empty_tag(element, name))
            self.out.append("".join(parts))
            return
        parts.append(">")
        self.out.append("".join(parts))
        space = keeps_space(element)
        preserve = (not indent and self.parameters.indent) if space is None else space
        preserve = preserve or element.name in self.parameters.suppress_indentation
        spaced = self.parameters.indent and not preserve and children_to_indent(element)
        if spaced and self.xhtml:
            spaced = self.may_indent(element)
        stack.append((element, iter(children), name, scope, spaced, preserve))

    def attribute(self, element: Any, attribute: Any) -> str:
        """Write the value of an attribute."""
        value = attribute.value
        if self.xhtml and self.parameters.escape_uri_attributes and is_uri(self.name_of(element), attribute):
            value = escape_uri(value)
        return self.escape(value, self.attribute_table)

    def empty_tag(self, element: Any, name: str) -> str:
        """Write the end of the tag of an empty element."""
        if not self.xhtml:
            return "/>"
        return " />" if self.name_of(element) in self.void else f"></{name}>"

    def may_indent(self, element: Any) -> bool:
        """Tell whether whitespace inside an HTML element is not seen."""
        if self.name_of(element) in PRESERVED:
            return False
        return not any(self.name_of(c) in INLINE for c in element.children if c.kind == "element")

    def xhtml_children(self, element: Any, children: Any) -> Any:
        """Put the content type into the head (6.1.14)."""
        if self.name_of(element) != "head" or not self.parameters.include_content_type:
            return children
        return [content_type(element, self.parameters), *(c for c in children if not is_content_type(c))]

    def leaf(self, node: Any, parent: Any) -> None:
        """Write a node that has nothing below it."""
        self.step()
        kind = node.kind
        if kind == "text":
            if parent is not None and parent.name in self.parameters.cdata_section_elements:
                self.out.append(self.cdata(node.value))
            else:
                self.out.append(self.escape(node.value, self.text_table))
        elif kind == "comment":
            self.out.append(f"<!--{self.encodable(node.value, 'comment')}-->")
        elif kind == "processing-instruction":
            value = self.encodable(node.value, "processing instruction")
            self.out.append(f"<?{node.name}{' ' if value else ''}{value}?>")
        else:
            raise failure("SENR0001", f"a {kind} node cannot be serialized")

    def cdata(self, text: str) -> str:
        """Write text as CDATA sections; characters that the encoding lacks go between them."""
        if self.form != "none":
            text = self.normalized(text)
        safe = text.replace("]]>", "]]]]><![CDATA[>")
        if self.all_characters:
            return f"<![CDATA[{safe}]]>"
        pieces = []
        for char in safe:
            try:
                char.encode(self.parameters.encoding)
                pieces.append(char)
            except UnicodeEncodeError:
                pieces.append(f"]]>&#x{ord(char):X};<![CDATA[")
        return f"<![CDATA[{''.join(pieces)}]]>".replace("<![CDATA[]]>", "")


def is_text(part: Any) -> bool:
    """Tell whether a part of a normalized sequence is text."""
    return isinstance(part, str) or part.kind == "text"


def write_xml(parts: Sequence[Any], parameters: Parameters, meter: Any) -> str:
    """Write by method xml or xhtml."""
    for part in parts:
        if isinstance(part, str):
            check_characters(part)
    return XmlWriter(parameters, meter).write(parts)


def check_characters(text: str) -> None:
    """Refuse characters that XML lacks."""
    for char in set(text):
        if not is_xml_char(ord(char)):
            raise failure("SERE0006", f"the character U+{ord(char):04X} is none of XML")


def write_text(parts: Sequence[Any], parameters: Parameters, meter: Any) -> str:
    """Write by method text."""
    writer = Writer(parameters, meter)
    values = (part if isinstance(part, str) else text_of(part) for part in parts)
    text = "".join(values)
    if writer.form != "none":
        text = writer.normalized(text)
    return writer.encodable(text.translate(writer.table({})), "text")


def text_of(node: Any) -> str:
    """Return what method text writes for a node: comments and processing instructions are nothing."""
    return "" if node.kind in ("comment", "processing-instruction") else str(node.string_value)
