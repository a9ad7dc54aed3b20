"""The method html (Serialization 3.1, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clacks.xquery.errors import failure
from clacks.xquery.html_vocabulary import (
    BOOLEAN,
    MATHML,
    PRESERVED,
    RAW,
    SVG,
    XHTML,
    content_type,
    escape_uri,
    is_content_type,
    is_uri,
)
from clacks.xquery.serialize import Parameters
from clacks.xquery.serialize_markup import CONTROLS, Frame, XmlWriter, children_to_indent, is_text

__all__ = ["write_html"]

HTML_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\xa0": "&nbsp;"}
HTML_ATTRIBUTE = {"&": "&amp;", '"': "&quot;", "\xa0": "&nbsp;"}


class HtmlWriter(XmlWriter):
    """Writes html."""

    def __init__(self, parameters: Parameters, meter: Any) -> None:
        super().__init__(parameters, meter)
        controls = CONTROLS if self.html5 else {}
        self.html_text = self.table({**controls, **HTML_TEXT})
        self.html_attribute = self.table({**controls, **HTML_ATTRIBUTE})

    def name_of(self, element: Any) -> str:
        """Return the HTML name of an element in lower case, empty if it is not HTML."""
        uri = element.namespace
        if not uri or (uri == XHTML and self.html5):
            return str(element.local.lower())
        return ""

    def write(self, parts: Sequence[Any]) -> str:
        """Write the normalized sequence."""
        pending = True
        mixed = any(is_text(part) for part in parts)
        for index, part in enumerate(parts):
            if isinstance(part, str):
                self.out.append(self.escape(part, self.html_text))
                continue
            if self.parameters.indent and index and not mixed:
                self.out.append("\n")
            if part.kind == "element" and pending:
                pending = False
                self.html_doctype(part)
            self.tree(part)
        return "".join(self.out)

    def html_doctype(self, element: Any) -> None:
        """Write the document type declaration."""
        public, system = self.parameters.doctype_public, self.parameters.doctype_system
        name = element.lexical_name if self.name_of(element) != "html" else element.local
        if public is not None or system is not None:
            words = f"<!DOCTYPE {name}"
            if public is not None:
                words += f' PUBLIC "{public}"'
            elif system is not None:
                words += " SYSTEM"
            if system is not None:
                mark = "'" if '"' in system else '"'
                words += f" {mark}{system}{mark}"
            self.out.append(words + ">")
        elif self.html5 and self.name_of(element) == "html":
            self.out.append(f"<!DOCTYPE {name}>")
        else:
            return
        if self.parameters.indent:
            self.out.append("\n")

    def open(self, element: Any, above: dict[str, str], stack: list[Frame], indent: bool) -> None:
        """Write a start tag."""
        self.step()
        html = self.name_of(element)
        foreign = self.html5 and element.namespace in (SVG, MATHML)
        name = self.tag_name(element)
        parts = [f"<{name}"]
        declared, scope = self.tag_namespaces(element, above)
        for prefix, uri in declared:
            parts.append(f' xmlns{":" if prefix else ""}{prefix}="{self.escape(uri, self.html_attribute)}"')
        for attribute in element.attributes:
            parts.append(" " + self.html_attribute_text(html, attribute))
        parts.append(">")
        children = element.children
        if html == "head" and self.parameters.include_content_type:
            children = [
                content_type(element, self.parameters),
                *(c for c in children if not is_content_type(c)),
            ]
        if not children:
            if html in self.void:
                pass
            elif html or foreign:
                parts.append(f"</{name}>")
            else:
                parts[-1] = f"></{name}>" if not self.html5 else "/>"
            self.out.append("".join(parts))
            return
        self.out.append("".join(parts))
        if html in self.void:
            children = ()
        preserve = not indent and self.parameters.indent
        preserve = preserve or html in PRESERVED or self.suppressed(element, html)
        spaced = self.parameters.indent and not preserve and children_to_indent(element)
        spaced = spaced and self.may_indent(element)
        stack.append((element, iter(children), name, scope, spaced, preserve))

    def suppressed(self, element: Any, html: str) -> bool:
        """Tell whether suppress-indentation names an element; HTML names in any case."""
        names = self.parameters.suppress_indentation
        return element.name in names or (bool(html) and html in {n.lower() for n in names})

    def html_attribute_text(self, html: str, attribute: Any) -> str:
        """Write an attribute."""
        name = self.encodable(attribute.lexical_name, "name")
        value = attribute.value
        if html and not attribute.namespace:
            if name.lower() in BOOLEAN and value.lower() == name.lower():
                return name
            if self.parameters.escape_uri_attributes and is_uri(html, attribute):
                value = escape_uri(value)
        self.check(value)
        text = self.escape(value, self.html_attribute)
        if html:
            # 7.2: an ampersand before a brace stays, HTML 4 has macros there.
            text = text.replace("&amp;{", "&{")
        return f'{name}="{text}"'

    def check(self, text: str) -> None:
        """Refuse control characters that HTML 4 does not have."""
        if not self.html5 and any("\x7f" <= char <= "\x9f" for char in text if char not in self.maps):
            raise failure("SERE0014", "characters U+007F to U+009F are not allowed in HTML")

    def leaf(self, node: Any, parent: Any) -> None:
        """Write a node that has nothing below it."""
        self.step()
        kind = node.kind
        if kind == "text":
            html = self.name_of(parent) if parent is not None else ""
            if html in RAW:
                self.out.append(self.encodable(node.value, "script or style"))
            elif parent is not None and not html and parent.name in self.parameters.cdata_section_elements:
                self.out.append(self.cdata(node.value))
            else:
                self.check(node.value)
                self.out.append(self.escape(node.value, self.html_text))
        elif kind == "processing-instruction":
            if ">" in node.value:
                raise failure("SERE0015", "a processing instruction with '>' cannot be written as HTML")
            value = self.encodable(node.value, "processing instruction")
            self.out.append(f"<?{node.name}{' ' if value else ''}{value}>")
        else:
            super().leaf(node, parent)


def write_html(parts: Sequence[Any], parameters: Parameters, meter: Any) -> str:
    """Write by method html."""
    return HtmlWriter(parameters, meter).write(parts)
