"""Functions that look outside, all through resolvers, and those that ask the contexts (F&O 3.1, 14.6, 15,
16.1).
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from elementpath.datatypes import AnyURI, Language

from clacks.xquery.calls import function_item
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.library import function
from clacks.xquery.nodes import expanded
from clacks.xquery.references import is_xml_char
from clacks.xquery.tree import wrap
from clacks.xquery.values import uri_of

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["absolute", "text_at"]

URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=\u00a0-\U0010ffff]|%[0-9A-Fa-f]{2})*")


def absolute(ctx: Context, uri: str, code: str) -> str:
    """Resolve a URI against the static base URI."""
    uri = " ".join(uri.split())
    if URI.fullmatch(uri) is None or uri.startswith(":"):
        raise failure(code, f"{uri!r} is no URI")
    try:
        if urlsplit(uri).scheme:
            return uri
        base: str | None = ctx.static.base_uri
        if base is None:
            raise failure(
                "FODC0002" if code == "FODC0005" else code,
                f"the URI {uri!r} is relative and there is no base URI",
            )
        return urljoin(base, uri)
    except ValueError as error:
        raise failure(code, str(error)) from None


def document_at(ctx: Context, uri: str) -> Any:
    """Return the document of a URI, the same node each time; None if there is none."""
    address = absolute(ctx, uri, "FODC0005")
    known = ctx.execution.documents
    if address not in known:
        resolve = ctx.execution.resolvers.document
        found = None if resolve is None else resolve(address)
        known[address] = None if found is None else wrap(found, address)
    return known[address]


@function("fn:doc($uri as xs:string?) as document-node()?")
def doc(ctx: Context, uri: str | None) -> Any:
    """Return a document that a resolver gives."""
    if uri is None:
        return None
    found = document_at(ctx, uri)
    if found is None:
        raise failure("FODC0002", f"there is no document {uri!r} for queries")
    return found


@function("fn:doc-available($uri as xs:string?) as xs:boolean")
def doc_available(ctx: Context, uri: str | None) -> bool:
    """Tell whether a resolver gives a document."""
    if uri is None:
        return False
    from clacks.common.errors import QueryEvaluationError

    try:
        return document_at(ctx, uri) is not None
    except QueryEvaluationError as error:
        if error.code == "FODC0005":
            return False
        raise


@function("fn:collection() as item()*", "fn:collection($arg as xs:string?) as item()*")
def collection(ctx: Context, uri: str | None = None) -> Any:
    """Return a collection that a resolver gives."""
    address = None if uri is None else absolute(ctx, uri, "FODC0004")
    resolve = ctx.execution.resolvers.collection
    found = None if resolve is None else resolve(address)
    if found is None:
        raise failure("FODC0002", "there is no such collection for queries")
    return list(found)


@function("fn:uri-collection() as xs:anyURI*", "fn:uri-collection($arg as xs:string?) as xs:anyURI*")
def uri_collection(ctx: Context, uri: str | None = None) -> Any:
    """Return the URIs of a collection that a resolver gives."""
    address = None if uri is None else absolute(ctx, uri, "FODC0004")
    resolve = ctx.execution.resolvers.uri_collection
    found = None if resolve is None else resolve(address)
    if found is None:
        raise failure("FODC0002", "there is no such collection for queries")
    return [uri_of(item) for item in found]


def text_at(ctx: Context, uri: str, encoding: str | None, *, xml_only: bool = True) -> str:
    """Return a text that a resolver gives, decoded (F&O 3.1, 14.8.5)."""
    if "#" in uri:
        raise failure("FOUT1170", f"{uri!r} has a fragment")
    address = absolute(ctx, uri, "FOUT1170")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except (LookupError, ValueError):
            raise failure("FOUT1190", f"there is no encoding {encoding!r}") from None
    resolve = ctx.execution.resolvers.text
    found = None if resolve is None else resolve(address, encoding)
    if found is None:
        raise failure("FOUT1170", f"there is no text {uri!r} for queries")
    if isinstance(found, str):
        text = found
    else:
        data, declared = found
        text = decoded(data, declared, encoding)
    text = text.removeprefix("\ufeff")
    ctx.execution.meter.text(len(text))
    if xml_only and not all(is_xml_char(ord(char)) for char in set(text)):
        raise failure("FOUT1190", "the text holds characters that XML lacks")
    return text


def decoded(data: bytes, declared: str | None, encoding: str | None) -> str:
    """Decode with the declared encoding, that of the byte order mark, the asked one, or UTF-8."""
    name = declared
    if name is None:
        for mark, marked in (
            (codecs.BOM_UTF8, "utf-8-sig"),
            (codecs.BOM_UTF16_LE, "utf-16"),
            (codecs.BOM_UTF16_BE, "utf-16"),
        ):
            if data.startswith(mark):
                name = marked
                break
    chosen = name or encoding
    try:
        return data.decode(chosen or "utf-8")
    except (UnicodeDecodeError, LookupError) as error:
        raise failure("FOUT1200" if chosen is None else "FOUT1190", str(error)) from None


@function(
    "fn:unparsed-text($href as xs:string?) as xs:string?",
    "fn:unparsed-text($href as xs:string?, $encoding as xs:string) as xs:string?",
)
def unparsed_text(ctx: Context, href: str | None, encoding: str | None = None) -> str | None:
    """Return a text."""
    return None if href is None else text_at(ctx, href, encoding)


@function(
    "fn:unparsed-text-lines($href as xs:string?) as xs:string*",
    "fn:unparsed-text-lines($href as xs:string?, $encoding as xs:string) as xs:string*",
)
def unparsed_text_lines(ctx: Context, href: str | None, encoding: str | None = None) -> list[str]:
    """Return the lines of a text."""
    if href is None:
        return []
    lines = re.split("\r\n|\r|\n", text_at(ctx, href, encoding))
    return lines[:-1] if lines[-1] == "" else lines


@function(
    "fn:unparsed-text-available($href as xs:string?) as xs:boolean",
    "fn:unparsed-text-available($href as xs:string?, $encoding as xs:string) as xs:boolean",
)
def unparsed_text_available(ctx: Context, href: str | None, encoding: str | None = None) -> bool:
    """Tell whether a text can be had."""
    if href is None:
        return False
    from clacks.common.errors import QueryEvaluationError

    try:
        text_at(ctx, href, encoding)
    except QueryEvaluationError as error:
        if error.code.startswith("FOUT"):
            return False
        raise
    return True


@function("fn:environment-variable($name as xs:string) as xs:string?")
def environment_variable(ctx: Context, name: str) -> str | None:
    """Return an environment variable that the caller shows."""
    return (ctx.execution.resolvers.environment or {}).get(name)


@function("fn:available-environment-variables() as xs:string*")
def available_environment_variables(ctx: Context) -> list[str]:
    """Return the names of the environment variables that the caller shows."""
    return list(ctx.execution.resolvers.environment or ())


@function("fn:static-base-uri() as xs:anyURI?")
def static_base_uri(ctx: Context) -> AnyURI | None:
    """Return the static base URI."""
    base = ctx.static.base_uri
    return None if base is None else uri_of(base)


@function("fn:default-collation() as xs:string")
def default_collation(ctx: Context) -> str:
    """Return the URI of the default collation."""
    uri: str = ctx.static.default_collation
    return uri


@function("fn:default-language() as xs:language")
def default_language(ctx: Context) -> Language:
    """Return the language of formatted numbers and dates."""
    return Language("en")


@function("fn:function-lookup($name as xs:QName, $arity as xs:integer) as function(*)?")
def function_lookup(ctx: Context, name: Any, arity: int) -> FunctionItem | None:
    """Return the function of a name and an arity."""
    key = expanded(name.uri, name.local_name)
    module = ctx.static.module
    declaration = None if module is None else module.find_function(key, arity)
    if not 0 <= arity < 1000:
        return None
    return function_item(key, arity, ctx.focus(ctx.item, ctx.position, ctx.size), ctx.static, declaration)
