"""What HTML says of its elements and attributes, as far as serialization asks (Serialization 3.1, 6, 7)."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import quote

from clacks.xquery.serialize import Parameters

__all__ = [
    "BOOLEAN",
    "INLINE",
    "MATHML",
    "PRESERVED",
    "RAW",
    "SVG",
    "VOID_4",
    "VOID_5",
    "XHTML",
    "content_type",
    "escape_uri",
    "is_content_type",
    "is_html5",
    "is_uri",
]

XHTML = "http://www.w3.org/1999/xhtml"
SVG = "http://www.w3.org/2000/svg"
MATHML = "http://www.w3.org/1998/Math/MathML"
VOID_4 = frozenset(
    {
        "area", "base", "basefont", "br", "col", "embed", "frame", "hr", "img", "input", "isindex", "link",
        "meta", "param",
    }
)  # fmt: skip
VOID_5 = (VOID_4 - {"basefont", "frame", "isindex"}) | {"keygen", "source", "track", "wbr"}
RAW = frozenset({"script", "style"})
PRESERVED = frozenset({"pre", "textarea", "script", "style", "xmp", "title"})
INLINE = frozenset(
    {
        "a", "abbr", "acronym", "applet", "area", "audio", "b", "basefont", "bdi", "bdo", "big",
        "br", "button", "canvas", "cite", "code", "data", "datalist", "del", "dfn", "em",
        "embed", "font", "i", "iframe", "img", "input", "ins", "kbd", "label", "map", "mark",
        "math", "meter", "noscript", "object", "output", "picture", "progress", "q", "ruby",
        "s", "samp", "script", "select", "small", "span", "strike", "strong", "sub", "sup",
        "svg", "template", "textarea", "time", "tt", "u", "var", "video", "wbr",
    }
)  # fmt: skip
BOOLEAN = frozenset(
    {
        "allowfullscreen", "async", "autofocus", "autoplay", "checked", "compact", "controls",
        "declare", "default", "defer", "disabled", "formnovalidate", "hidden", "ismap",
        "itemscope", "loop", "multiple", "muted", "nohref", "noresize", "noshade", "novalidate",
        "nowrap", "open", "readonly", "required", "reversed", "scoped", "seamless", "selected",
        "truespeed", "typemustmatch",
    }
)  # fmt: skip
URI_ATTRIBUTES = {
    "action": {"form"}, "archive": {"object"}, "background": {"body"},
    "cite": {"blockquote", "del", "ins", "q"}, "classid": {"object"}, "codebase": {"applet", "object"},
    "data": {"object"},
    "datasrc": {"button", "div", "input", "object", "select", "span", "table", "textarea"}, "for": {"script"},
    "formaction": {"button", "input"}, "href": {"a", "area", "base", "link"}, "icon": {"command"},
    "longdesc": {"frame", "iframe", "img"}, "manifest": {"html"}, "name": {"a"}, "poster": {"video"},
    "profile": {"head"},
    "src": {"audio", "embed", "frame", "iframe", "img", "input", "script", "source", "track", "video"},
    "usemap": {"img", "input", "object"},
}  # fmt: skip


def is_html5(parameters: Parameters) -> bool:
    """Tell whether the output is HTML 5."""
    version = parameters.html_version
    if version is None:
        version = parameters.version if parameters.method == "html" else "5"
    return float(version or "5") >= 5


def is_uri(name: str, attribute: Any) -> bool:
    """Tell whether an attribute of an HTML element holds a URI."""
    return not attribute.namespace and name in URI_ATTRIBUTES.get(attribute.name.lower(), ())


def escape_uri(text: str) -> str:
    """Escape a URI: what is not ASCII becomes the percent form of NFC."""
    if text.isascii():
        return text
    return quote(unicodedata.normalize("NFC", text), safe="".join(map(chr, range(0x7F))))


def content_type(head: Any, parameters: Parameters) -> Any:
    """Make the meta element that gives the content type."""
    from clacks.xquery.nodes import Attribute, Element

    uri = head.namespace
    meta = Element(f"{{{uri}}}meta" if uri else "meta", head.prefix, dict(head.in_scope))
    meta.add_attribute(Attribute("http-equiv", "Content-Type"))
    kind = parameters.media_type or "text/html"
    meta.add_attribute(Attribute("content", f"{kind}; charset={parameters.encoding}"))
    return meta


def is_content_type(node: Any) -> bool:
    """Tell whether a node is a meta element with the content type."""
    return (
        node.kind == "element"
        and node.local.lower() == "meta"
        and any(
            a.name.lower() == "http-equiv" and a.value.strip().lower() == "content-type"
            for a in node.attributes
        )
    )
