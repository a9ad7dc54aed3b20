"""Functions on names (F&O 3.1, 10), and lexical names themselves."""

from __future__ import annotations

import re
from typing import Any

from elementpath.datatypes import AnyURI, QName

from clacks.xquery.context import Context
from clacks.xquery.errors import failure
from clacks.xquery.library import function
from clacks.xquery.nodes import XML_NAMESPACE
from clacks.xquery.values import uri_of

__all__ = ["NCNAME", "is_ncname", "lexical_qname", "make_qname"]

NCNAME = (
    "[A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff]"
    "[-.0-9A-Z_a-z\u00b7\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u1fff\u200c-\u200d\u203f-\u2040"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff]*"
)
"""A name without colon (Namespaces in XML 1.0), as a regular expression. One character class each: linear."""

IS_NCNAME = re.compile(NCNAME)
LEXICAL = re.compile(f"[ \t\r\n]*(?:({NCNAME}):)?({NCNAME})[ \t\r\n]*")


def is_ncname(text: str) -> bool:
    """Tell whether a text is a name without colon."""
    return IS_NCNAME.fullmatch(text) is not None


def lexical_qname(text: str) -> tuple[str, str]:
    """Take ``prefix:local`` apart, the prefix empty if there is none; ValueError if it is no name."""
    match = LEXICAL.fullmatch(text)
    if match is None:
        raise ValueError(f"not a name: {text[:60]!r}")
    return match[1] or "", match[2]


def make_qname(uri: str, prefix: str, local: str) -> QName:
    """Make an xs:QName."""
    return QName(uri or None, f"{prefix}:{local}" if prefix and uri else local)


@function("fn:QName($paramURI as xs:string?, $paramQName as xs:string) as xs:QName")
def qname(ctx: Context, uri: str | None, text: str) -> QName:
    try:
        prefix, local = lexical_qname(text)
    except ValueError as error:
        raise failure("FOCA0002", str(error)) from None
    if prefix and not uri:
        raise failure("FOCA0002", f"{text!r} has a prefix and no namespace")
    return make_qname(uri or "", prefix, local)


@function("fn:resolve-QName($qname as xs:string?, $element as element()) as xs:QName?")
def resolve_qname(ctx: Context, text: str | None, element: Any) -> QName | None:
    if text is None:
        return None
    try:
        prefix, local = lexical_qname(text)
    except ValueError as error:
        raise failure("FOCA0002", str(error)) from None
    uri = XML_NAMESPACE if prefix == "xml" else element.in_scope.get(prefix)
    if uri is None and prefix:
        raise failure("FONS0004", f"the prefix of {text!r} is not in scope")
    return make_qname(uri or "", prefix, local)


@function("fn:prefix-from-QName($arg as xs:QName?) as xs:NCName?")
def prefix_from_qname(ctx: Context, name: QName | None) -> Any:
    from clacks.xquery.casts import cast_atomic

    return None if name is None or not name.prefix else cast_atomic(name.prefix, "NCName")


@function("fn:local-name-from-QName($arg as xs:QName?) as xs:NCName?")
def local_name_from_qname(ctx: Context, name: QName | None) -> Any:
    from clacks.xquery.casts import cast_atomic

    return None if name is None else cast_atomic(name.local_name, "NCName")


@function("fn:namespace-uri-from-QName($arg as xs:QName?) as xs:anyURI?")
def namespace_uri_from_qname(ctx: Context, name: QName | None) -> AnyURI | None:
    return None if name is None else uri_of(name.uri)


@function("fn:namespace-uri-for-prefix($prefix as xs:string?, $element as element()) as xs:anyURI?")
def namespace_uri_for_prefix(ctx: Context, prefix: str | None, element: Any) -> AnyURI | None:
    if prefix == "xml":
        return uri_of(XML_NAMESPACE)
    uri = element.in_scope.get(prefix or "")
    return uri_of(uri) if uri else None


@function("fn:in-scope-prefixes($element as element()) as xs:string*")
def in_scope_prefixes(ctx: Context, element: Any) -> list[str]:
    return ["xml", *(prefix for prefix, uri in element.in_scope.items() if uri and prefix != "xml")]
