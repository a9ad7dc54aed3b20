"""Parsing of sequence types: what follows ``as``, ``instance of``, ``case`` and in kind tests."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from clacks.xquery.library import PREFIXES
from clacks.xquery.nodes import split_name
from clacks.xquery.sequence_types import (
    ANY_FUNCTION,
    ANY_ITEM,
    EMPTY,
    LIST_TYPES,
    PARENTS,
    ArrayTest,
    AtomicType,
    FunctionTest,
    ItemType,
    KindTest,
    MapTest,
    NameTest,
    SequenceType,
    atomic,
)

if TYPE_CHECKING:
    from clacks.xquery.parser import XQueryParser

__all__ = ["KIND_TESTS", "parse_item_type", "parse_kind_test", "parse_sequence_type", "sequence_type"]

XS = PREFIXES["xs"]

KIND_TESTS = {
    "node": None,
    "text": "text",
    "comment": "comment",
    "element": "element",
    "attribute": "attribute",
    "document-node": "document",
    "processing-instruction": "processing-instruction",
    "namespace-node": "namespace",
    "schema-element": "element",
    "schema-attribute": "attribute",
}


@lru_cache(maxsize=1024)
def sequence_type(text: str) -> SequenceType:
    """Parse a sequence type with the predeclared prefixes, as signatures of the library are written."""
    from clacks.xquery.modules import Module
    from clacks.xquery.parser import XQueryParser
    from clacks.xquery.static import StaticContext

    parser = XQueryParser(text, StaticContext(), Module())
    parser.resume(0)
    found = parse_sequence_type(parser)
    parser.advance("(end)")
    return found


def parse_sequence_type(parser: XQueryParser) -> SequenceType:
    """Parse SequenceType."""
    if parser.is_name("empty-sequence"):
        name = parser.advance()
        if parser.next_token.symbol == "(":
            parser.advance()
            parser.advance(")")
            return EMPTY
        return occurrence(parser, type_of_name(parser, name))
    return occurrence(parser, parse_item_type(parser))


def occurrence(parser: XQueryParser, item: ItemType) -> SequenceType:
    """Parse an occurrence mark."""
    symbol = parser.next_token.symbol
    if symbol == "?":
        parser.advance()
        return SequenceType(item, 0, 1)
    if symbol == "*":
        parser.advance()
        return SequenceType(item, 0, None)
    if symbol == "+":
        parser.advance()
        return SequenceType(item, 1, None)
    return SequenceType(item)


def parse_item_type(parser: XQueryParser) -> ItemType:
    """Parse ItemType."""
    found = parser.next_token
    if found.symbol == "(":
        parser.advance()
        item = parse_item_type(parser)
        parser.advance(")")
        return item
    if found.symbol == "%":
        while parser.next_token.symbol == "%":
            from clacks.xquery.prolog import parse_annotation

            parse_annotation(parser)
        if not parser.is_name("function"):
            raise parser.unexpected(parser.next_token, "'function'")
        found = parser.next_token
    if found.symbol != "(name)" or found.is_wildcard:
        raise parser.unexpected(found, "a type")
    parser.advance()
    if parser.next_token.symbol == "(" and found.uri is None:
        return parse_test(parser, found)
    return type_of_name(parser, found)


def parse_test(parser: XQueryParser, name: Any) -> ItemType:
    """Parse a type with parentheses, its name already read."""
    value = name.value
    if value == "item":
        parser.advance("(")
        parser.advance(")")
        return ANY_ITEM
    if value in KIND_TESTS:
        return parse_kind_test(parser, name)
    if value == "function":
        return parse_function_test(parser)
    if value == "map":
        parser.advance("(")
        if parser.next_token.symbol == "*":
            parser.advance()
            parser.advance(")")
            return MapTest()
        key = parse_item_type(parser)
        if not isinstance(key, AtomicType):
            raise name.wrong("XPST0003", "the keys of a map have an atomic type")
        parser.advance(",")
        result = parse_sequence_type(parser)
        parser.advance(")")
        return MapTest(key, result)
    if value == "array":
        parser.advance("(")
        if parser.next_token.symbol == "*":
            parser.advance()
            parser.advance(")")
            return ArrayTest()
        member = parse_sequence_type(parser)
        parser.advance(")")
        return ArrayTest(member)
    raise name.wrong("XPST0003", f"there is no item type {value}()")


def parse_function_test(parser: XQueryParser) -> FunctionTest:
    """Parse ``(*)`` or ``(types) as type``, the word function already read."""
    parser.advance("(")
    if parser.next_token.symbol == "*":
        parser.advance()
        parser.advance(")")
        return ANY_FUNCTION
    parameters = []
    if parser.next_token.symbol != ")":
        parameters.append(parse_sequence_type(parser))
        while parser.next_token.symbol == ",":
            parser.advance()
            parameters.append(parse_sequence_type(parser))
    parser.advance(")")
    parser.take_name("as")
    return FunctionTest(tuple(parameters), parse_sequence_type(parser))


def type_of_name(parser: XQueryParser, name: Any) -> AtomicType:
    """Return the atomic type of a name; XPST0051 if there is none."""
    uri, local = split_name(name.expand(parser.static.element_namespace))
    if uri != XS or local not in PARENTS or local == "anySimpleType":
        raise name.wrong("XPST0051", f"there is no atomic type {name.value}")
    return atomic(local)


def parse_kind_test(parser: XQueryParser, name: Any) -> KindTest:
    """Parse the parentheses of a kind test, its name already read."""
    value = name.value
    kind = KIND_TESTS[value]
    parser.advance("(")
    test = KindTest(kind)
    if value in ("schema-element", "schema-attribute"):
        target = parser.qname()
        target.expand(parser.static.element_namespace if kind == "element" else "")
        parser.advance(")")
        raise name.wrong("XPST0008", f"there is no schema, so no declaration of {target.value}")
    if parser.next_token.symbol != ")":
        if kind == "document":
            test = parse_document_content(parser)
        elif kind == "processing-instruction":
            test = parse_target(parser)
        elif kind in ("element", "attribute"):
            test = parse_name_and_type(parser, kind)
    parser.advance(")")
    return test


def parse_document_content(parser: XQueryParser) -> KindTest:
    """Parse the element test inside document-node()."""
    if not parser.is_name("element", "schema-element"):
        raise parser.unexpected(parser.next_token, "an element test")
    inner = parser.advance()
    return KindTest("document", content=parse_kind_test(parser, inner))


def parse_target(parser: XQueryParser) -> KindTest:
    """Parse the target inside processing-instruction()."""
    found = parser.next_token
    if found.symbol == "(string)":
        parser.advance()
        target = " ".join(found.value.split())
        from clacks.xquery.lexer import NAME

        if NAME.fullmatch(target) is None:
            raise found.wrong("XPTY0004", f"{target!r} is no name")
    elif found.symbol == "(name)" and ":" not in found.value and found.uri is None:
        parser.advance()
        target = found.value
    else:
        raise parser.unexpected(found, "a target")
    return KindTest("processing-instruction", NameTest("", target))


def parse_name_and_type(parser: XQueryParser, kind: str) -> KindTest:
    """Parse name and type annotation inside element() and attribute()."""
    name: NameTest | None = None
    if parser.next_token.symbol == "*":
        parser.advance()
    else:
        found = parser.qname()
        uri, local = split_name(found.expand(parser.static.element_namespace if kind == "element" else ""))
        name = NameTest(uri, local)
    annotation = None
    nillable = False
    if parser.next_token.symbol == ",":
        parser.advance()
        found = parser.qname()
        uri, annotation = split_name(found.expand(parser.static.element_namespace))
        known = annotation in PARENTS or annotation in LIST_TYPES or annotation in ("anyType", "untyped")
        if uri != XS or not known:
            raise found.wrong("XPST0008", f"there is no type {found.value}")
        if kind == "element" and parser.next_token.symbol == "?":
            parser.advance()
            nillable = True
    return KindTest(kind, name, annotation, None, nillable)
