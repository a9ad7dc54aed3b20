"""Setters and namespaces of a prolog: the declarations that change the static context and nothing else.

What declares variables, functions or modules is in ``prolog``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from clacks.common.errors import QueryError
from clacks.xquery.collation import find_collation
from clacks.xquery.nodes import XML_NAMESPACE
from clacks.xquery.static import StaticContext

if TYPE_CHECKING:
    from clacks.xquery.parser import XQueryParser

__all__ = ["Setters"]

XMLNS = "http://www.w3.org/2000/xmlns/"


class Setters:
    """Reads one setter after the other into the parser's static context.

    Attributes:
        by_name: What reads the rest of ``declare NAME``, by the name.
    """

    def __init__(self, parser: XQueryParser) -> None:
        self.parser = parser
        self.static = parser.static
        self.module = parser.module
        self.seen: set[str] = set()
        self.declared_prefixes: set[str] = set()
        self.by_name: dict[str, Callable[[], None]] = {
            "namespace": self.namespace,
            "default": self.default,
            "base-uri": self.base_uri,
            "boundary-space": self.boundary_space,
            "construction": self.construction,
            "ordering": self.ordering,
            "copy-namespaces": self.copy_namespaces,
            "decimal-format": self.decimal_format,
        }

    def string(self) -> str:
        """Read a string literal."""
        text: str = self.parser.advance("(string)").text()
        return text

    def uri(self) -> str:
        """Read a URI literal."""
        return " ".join(self.string().split())

    def once(self, what: str, code: str, at: Any) -> None:
        """Refuse a second declaration of the same thing."""
        if what in self.seen:
            raise at.wrong(code, f"{what} is declared twice")
        self.seen.add(what)

    def declare_prefix(self, name: Any, uri: str) -> None:
        """Bind a prefix."""
        prefix = name.value
        if prefix in ("xml", "xmlns") or uri in (XML_NAMESPACE, XMLNS):
            raise name.wrong("XQST0070", f"prefix {prefix} cannot be bound to {uri}")
        if prefix in self.declared_prefixes:
            raise name.wrong("XQST0033", f"prefix {prefix} is declared twice")
        self.declared_prefixes.add(prefix)
        if uri:
            self.static.namespaces[prefix] = uri
        else:
            self.static.namespaces.pop(prefix, None)

    def namespace(self) -> None:
        """Read ``namespace p = "uri"``."""
        name = self.parser.qname()
        if ":" in name.value or name.uri is not None:
            raise name.unexpected_here()
        self.parser.advance("=")
        self.declare_prefix(name, self.uri())

    def default(self) -> None:
        """Read what follows ``declare default``."""
        parser = self.parser
        word = parser.take_name("element", "function", "collation", "order", "decimal-format")
        if word.value in ("element", "function"):
            parser.take_name("namespace")
            at = parser.next_token
            self.once(f"default {word.value} namespace", "XQST0066", word)
            uri = self.uri()
            if uri in (XML_NAMESPACE, XMLNS):
                raise at.wrong("XQST0070", f"{uri} is no default namespace")
            if word.value == "element":
                self.static.element_namespace = uri
            else:
                self.static.function_namespace = uri
        elif word.value == "collation":
            self.once("default collation", "XQST0038", word)
            self.default_collation()
        elif word.value == "order":
            self.once("default order", "XQST0069", word)
            parser.take_name("empty")
            self.static.empty_least = parser.take_name("greatest", "least").value == "least"
        else:
            self.format(None, word)

    def default_collation(self) -> None:
        """Read the URI of the default collation."""
        at = self.parser.next_token
        uri = self.uri()
        try:
            found = find_collation(uri, self.static.base_uri)
        except QueryError as error:
            raise at.wrong("XQST0038", error.reason) from None
        self.static.default_collation = found.uri or urljoin(self.static.base_uri or "", uri)

    def base_uri(self) -> None:
        """Read the base URI."""
        at = self.parser.next_token
        self.once("base-uri", "XQST0032", at)
        uri = self.uri()
        self.static.base_uri = urljoin(self.static.base_uri or "", uri)

    def boundary_space(self) -> None:
        """Read preserve or strip."""
        self.once("boundary-space", "XQST0068", self.parser.next_token)
        self.static.boundary_space = self.parser.take_name("preserve", "strip").value == "preserve"

    def construction(self) -> None:
        """Read preserve or strip."""
        self.once("construction", "XQST0067", self.parser.next_token)
        self.static.preserve_types = self.parser.take_name("preserve", "strip").value == "preserve"

    def ordering(self) -> None:
        """Read ordered or unordered."""
        self.once("ordering", "XQST0065", self.parser.next_token)
        self.static.ordered = self.parser.take_name("ordered", "unordered").value == "ordered"

    def copy_namespaces(self) -> None:
        """Read preserve or no-preserve, inherit or no-inherit."""
        self.once("copy-namespaces", "XQST0055", self.parser.next_token)
        self.static.preserve_namespaces = self.parser.take_name("preserve", "no-preserve").value == "preserve"
        self.parser.advance(",")
        self.static.inherit_namespaces = self.parser.take_name("inherit", "no-inherit").value == "inherit"

    def decimal_format(self) -> None:
        """Read a named decimal format."""
        name = self.parser.qname()
        self.format(name.expand(), name)

    def format(self, name: str | None, at: Any) -> None:
        """Read the properties of a decimal format."""
        parser = self.parser
        self.once(f"decimal-format {name}", "XQST0111", at)
        properties: dict[str, str] = {}
        given: set[str] = set()
        names = [
            "decimal-separator",
            "grouping-separator",
            "infinity",
            "minus-sign",
            "NaN",
            "percent",
            "per-mille",
            "zero-digit",
            "digit",
            "pattern-separator",
            "exponent-separator",
        ]
        while parser.is_name(*names):
            word = parser.advance()
            if word.value in given:
                raise word.wrong("XQST0114", f"{word.value} is given twice")
            given.add(word.value)
            parser.advance("=")
            place = parser.next_token
            value = self.string()
            if word.value not in ("infinity", "NaN") and len(value) != 1:
                raise place.wrong("XQST0097", f"{word.value} is one character")
            if word.value == "zero-digit" and unicodedata.decimal(value, None) != 0:
                raise place.wrong("XQST0097", "zero-digit is a digit zero")
            properties[word.value] = value
        made = {**StaticContext().decimal_formats[None], **properties}
        special = [
            "decimal-separator",
            "grouping-separator",
            "percent",
            "per-mille",
            "zero-digit",
            "digit",
            "pattern-separator",
            "exponent-separator",
        ]
        marks = [made[key] for key in special if key != "zero-digit"]
        zero = ord(made["zero-digit"])
        if len(set(marks)) < len(marks) or any(zero <= ord(mark) < zero + 10 for mark in marks):
            raise at.wrong("XQST0098", "two properties of the decimal format are the same character")
        self.static.decimal_formats[name] = made
