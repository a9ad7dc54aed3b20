"""Functions on URIs (F&O 3.1, 6)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from clacks.xquery.context import Context
from clacks.xquery.errors import failure
from clacks.xquery.library import function
from clacks.xquery.values import uri_of

__all__ = ["resolve_reference"]

PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.S)
"""RFC 3986, appendix B."""

FORBIDDEN = re.compile(r'[\x00-\x20"<>\\^`{|}\x7f]|%(?![0-9A-Fa-f]{2})')


def is_reference(text: str) -> bool:
    """Tell whether a text may be a URI or IRI reference."""
    if FORBIDDEN.search(text) or text.count("#") > 1:
        return False
    # A colon in the first segment makes what is before it a scheme.
    return re.match(r"[^/?#:]*:", text) is None or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) is not None


def without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986, 5.2.4)."""
    out: list[str] = []
    segments = path.split("/")
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == ".":
            if last:
                out.append("")
        elif segment == "..":
            if len(out) > 1 or (out and out[0]):
                out.pop()
            if last:
                out.append("")
        else:
            out.append(segment)
    if path.startswith("/") and (not out or out[0]):
        out.insert(0, "")
    return "/".join(out)


def resolve_reference(reference: str, base: str) -> str:
    """Resolve a reference against an absolute URI (RFC 3986, 5.2.2)."""
    match, base_match = PARTS.fullmatch(reference), PARTS.fullmatch(base)
    assert match is not None
    assert base_match is not None
    scheme, authority, path, query, fragment = match.groups()
    base_scheme, base_authority, base_path, base_query, _ = base_match.groups()
    if scheme is not None:
        path = without_dots(path)
    else:
        scheme = base_scheme
        if authority is not None:
            path = without_dots(path)
        else:
            authority = base_authority
            if not path:
                path = base_path
                query = base_query if query is None else query
            elif path.startswith("/"):
                path = without_dots(path)
            elif base_authority is not None and not base_path:
                path = without_dots("/" + path)
            else:
                path = without_dots(base_path[: base_path.rfind("/") + 1] + path)
    out = "" if scheme is None else f"{scheme}:"
    if authority is not None:
        out += f"//{authority}"
    out += path
    if query is not None:
        out += f"?{query}"
    return out if fragment is None else f"{out}#{fragment}"


@function("fn:resolve-uri($relative as xs:string?) as xs:anyURI?")
def resolve_static(ctx: Context, relative: str | None) -> Any:
    if relative is None:
        return None
    relative = relative.strip(" \t\r\n")
    if PARTS.fullmatch(relative)[1] is not None and is_reference(relative):  # type: ignore[index]
        return uri_of(relative)
    if ctx.static.base_uri is None:
        raise failure("FONS0005", "there is no static base URI")
    return resolve(ctx, relative, ctx.static.base_uri)


@function("fn:resolve-uri($relative as xs:string?, $base as xs:string) as xs:anyURI?")
def resolve(ctx: Context, relative: str | None, base: str) -> Any:
    if relative is None:
        return None
    relative, base = relative.strip(" \t\r\n"), base.strip(" \t\r\n")
    if not is_reference(relative):
        raise failure("FORG0002", f"{relative[:80]!r} is no URI reference")
    if PARTS.fullmatch(relative)[1] is not None:  # type: ignore[index]
        return uri_of(relative)
    scheme = PARTS.fullmatch(base)[1]  # type: ignore[index]
    if not is_reference(base) or scheme is None or "#" in base:
        raise failure("FORG0002", f"{base[:80]!r} is no absolute URI")
    if not base[len(scheme) + 1 :].startswith("/"):
        raise failure("FORG0002", f"{base[:80]!r} is not hierarchical")
    ctx.execution.meter.text(len(relative) + len(base))
    return uri_of(resolve_reference(relative, base))


@function("fn:encode-for-uri($uri-part as xs:string?) as xs:string")
def encode_for_uri(ctx: Context, text: str | None) -> str:
    return percent(ctx, text, "-_.~")


@function("fn:iri-to-uri($iri as xs:string?) as xs:string")
def iri_to_uri(ctx: Context, text: str | None) -> str:
    return percent(ctx, text, "-_.~!#$%&'()*+,/:;=?@[]")


@function("fn:escape-html-uri($uri as xs:string?) as xs:string")
def escape_html_uri(ctx: Context, text: str | None) -> str:
    return percent(ctx, text, "".join(map(chr, range(0x20, 0x7F))))


def percent(ctx: Context, text: str | None, safe: str) -> str:
    """Escape all but letters, digits and ``safe``."""
    result = quote(text or "", safe=safe, encoding="utf-8", errors="surrogatepass")
    ctx.execution.meter.text(len(result))
    return result
