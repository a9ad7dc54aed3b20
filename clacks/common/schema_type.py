"""One event type, ready for use: validation first, everything else when it is asked for."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from lxml import etree, objectify

from clacks.common import eventjson
from clacks.common.errors import InvalidEvent, SchemaError
from clacks.common.event_objects import object_lookup
from clacks.common.schema_explain import Explainer
from clacks.common.schema_files import SchemaFile
from clacks.common.schema_libxml2 import compile_schema, is_enough
from clacks.common.schema_model import (
    EVENTS_NS,
    Annotations,
    ComplexType,
    ElementDecl,
    documentation_of,
    read_annotations,
    read_model,
)
from clacks.common.xmltext import line_of, new_parser, path_of

__all__ = ["EventType"]

_X = "{http://www.w3.org/2001/XMLSchema}"
_EXPLAINED_SIZE = 16 * 1024
"""Bytes of a document up to which xmlschema explains: it needs a second a MiB, libxml2 a hundredth."""
_ERRORS = 100
"""Errors of one document that are given: more do not help, and a hostile document has millions."""


class EventType:
    """An event type of the registry.

    Attributes:
        kind: Its name.
        tag: The name in Clark notation.
        file: The file that defines it.
        parts: That file and the others that its schema is made of.
        version: The version of XML Schema that it is written in: ``1.0`` or ``1.1``.
    """

    def __init__(self, file: SchemaFile, parts: Sequence[SchemaFile]) -> None:
        """Compile the schema from ``file`` and the other ``parts`` that it needs.

        Raises:
            SchemaError: If neither libxml2 nor xmlschema can make a schema of it.
        """
        assert file.kind is not None
        self.kind = file.kind
        self.tag = f"{{{EVENTS_NS}}}{file.kind}"
        self.file = file
        self.parts = tuple(parts)
        self._explainer: Explainer | None = None
        self._parsers = threading.local()
        self._validator = compile_schema(self.kind, self.parts)
        self._confirmer: Explainer | None = None
        if self._validator is None or not is_enough(self.parts):
            self._confirmer = self._explainer = Explainer(self.kind, self.parts)
        self.version = self._confirmer.version if self._confirmer is not None else "1.0"

    def accepts(self, root: etree._Element, xml: bytes) -> bool:
        """Tell whether a document, an Event with one child of this kind, is valid; as tree and as text."""
        if self._validator is not None and not self._validator.accepts(root, xml):
            return False
        return self._confirmer is None or self._confirmer.accepts(root)

    def errors(self, root: etree._Element, xml: bytes, most: int = _ERRORS) -> list[InvalidEvent]:
        """Return what is wrong with a document that is not valid: at least one error, at most so many.

        xmlschema explains; where it finds nothing, and for documents larger than it can walk in good time,
        libxml2's own messages are the errors.
        """
        explainer = self.explainer() if len(xml) <= _EXPLAINED_SIZE or self._validator is None else None
        errors = explainer.errors(root, most) if explainer is not None else []
        if not errors and self._validator is not None:
            errors = self._validator.errors(root, xml, most)
        return errors or [InvalidEvent(self.kind, path_of(root), "refused without reason", line_of(root))]

    def explainer(self) -> Explainer | None:
        """Return xmlschema's view of the type, or None if xmlschema refuses a schema that libxml2 takes."""
        if self._explainer is None:
            try:
                explainer = Explainer(self.kind, self.parts)
            except SchemaError:
                return None
            self._explainer = explainer
        return self._explainer

    def without_newer(self, root: etree._Element) -> tuple[etree._Element, tuple[str, ...]]:
        """Return a copy of the document without elements that the schema does not know, and their paths."""
        reduced = copy.deepcopy(root)
        paths: list[str] = []
        waiting: list[tuple[etree._Element, ElementDecl]] = [(reduced[0], self.model)]
        unknown: list[etree._Element] = []
        while waiting:
            element, declared = waiting.pop()
            content = declared.type
            if not isinstance(content, ComplexType) or content.opaque or content.text is not None:
                continue
            members = content.by_tag()
            for child in element.iterchildren(tag=etree.Element):
                member = members.get(str(child.tag))
                if member is not None:
                    waiting.append((child, member))
                elif etree.QName(child).namespace == EVENTS_NS:
                    unknown.append(child)
        paths = [path_of(child) for child in unknown]
        for child in unknown:
            parent = child.getparent()
            assert parent is not None
            # Its tail is white space between elements; anything else would make the parent invalid anyway,
            # so it must not vanish with the element.
            if child.tail and child.tail.strip():
                return root, ()
            parent.remove(child)
        return reduced, tuple(sorted(paths))

    @cached_property
    def model(self) -> ElementDecl:
        """What the event consists of."""
        return read_model([part.root for part in self.parts], self.kind)

    @cached_property
    def annotations(self) -> Annotations:
        """What the schema tells beyond validation."""
        return read_annotations([part.root for part in self.parts], self.model)

    @cached_property
    def documentation(self) -> str:
        """Who sends the event, when, and what a receiver may conclude; from the element or its type."""
        content = self.model.type
        if self.model.documentation:
            return self.model.documentation
        if isinstance(content, ComplexType) and content.documentation:
            return content.documentation
        return documentation_of(self.file.root)

    def to_dict(self, root: etree._Element) -> dict[str, Any]:
        """Return the content of a valid document as Python values."""
        return eventjson.decode(root[0], self.model, eventjson.PYTHON)

    def to_json(self, root: etree._Element) -> dict[str, Any]:
        """Return the content of a valid document as JSON values."""
        return eventjson.decode(root[0], self.model, eventjson.JSON)

    def objectified(self, xml: bytes) -> objectify.ObjectifiedElement:
        """Return a document of this type as a tree of lxml.objectify."""
        parser = getattr(self._parsers, "parser", None)
        if parser is None:
            parser = self._parsers.parser = new_parser(object_lookup(self.model))
        root = etree.fromstring(xml, parser)
        assert isinstance(root, objectify.ObjectifiedElement)
        return root
