"""fn:serialize, and its opposites fn:parse-xml and fn:parse-xml-fragment (F&O 3.1, 14.9)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lxml import etree

from clacks.xquery.context import Context
from clacks.xquery.copying import copy_node
from clacks.xquery.errors import failure
from clacks.xquery.library import function
from clacks.xquery.maps import XMap
from clacks.xquery.nodes import Document, Node
from clacks.xquery.serialize import Parameters, parameters_from_element, parameters_from_map
from clacks.xquery.serialize import serialize as to_text
from clacks.xquery.tree import wrap

__all__: list[str] = []

TEXT_DECLARATION = re.compile(
    r"<\?xml(?:\s+version\s*=\s*(?:'1\.[0-9]+'|\"1\.[0-9]+\"))?\s+encoding\s*=\s*(?:'[A-Za-z][\w.-]*'|\"[A-Za-z][\w.-]*\")\s*\?>"
)


@function(
    "fn:serialize($arg as item()*) as xs:string",
    "fn:serialize($arg as item()*, $params as item()?) as xs:string",
)
def serialize(ctx: Context, items: Sequence[Any], given: Any = None) -> str:
    if given is None:
        parameters = Parameters()
    elif isinstance(given, XMap):
        parameters = parameters_from_map(given)
    elif isinstance(given, Node):
        parameters = Parameters.of(parameters_from_element(given))
    else:
        raise failure(
            "XPTY0004", "the parameters must be a map or an element output:serialization-parameters"
        )
    return to_text(items, parameters, ctx.execution.meter)


def parse(ctx: Context, text: str) -> Any:
    """Parse an XML document: no external subset, no external entities, no network."""
    meter = ctx.execution.meter
    meter.text(len(text))
    # What the text says of its encoding does not count any more: it is characters already.
    text = re.sub(
        r"^(<\?xml[^>]*?)\s+encoding\s*=\s*(?:'[^']*'|\"[^\"]*\")", r"\1", text.removeprefix("\ufeff")
    )
    parser = etree.XMLParser(
        resolve_entities="internal",  # type: ignore[arg-type]  # the stubs know booleans only
        no_network=True, load_dtd=False, huge_tree=False, remove_blank_text=False,
        encoding="utf-8",
    )  # fmt: skip
    try:
        root = etree.fromstring(text.encode("utf-8", "surrogatepass"), parser)
    except etree.XMLSyntaxError as error:
        raise failure("FODC0006", f"not well-formed: {error.msg}") from None
    except ValueError as error:
        raise failure("FODC0006", str(error)) from None
    tree = root.getroottree()
    meter.nodes(sum(1 for _ in tree.iter()))
    return tree


@function("fn:parse-xml($arg as xs:string?) as document-node(element(*))?")
def parse_xml(ctx: Context, text: str | None) -> Any:
    if text is None:
        return None
    document = wrap(parse(ctx, text))
    document._base = ctx.static.base_uri
    return document


@function("fn:parse-xml-fragment($arg as xs:string?) as document-node()?")
def parse_xml_fragment(ctx: Context, text: str | None) -> Any:
    if text is None:
        return None
    match = TEXT_DECLARATION.match(text)
    body = text[match.end() :] if match else text
    if re.match(r"<\?xml\s", body):
        raise failure("FODC0006", "not a text declaration")
    root = wrap(parse(ctx, f"<fragment>{body}</fragment>")).children[0]
    document = Document([], ctx.static.base_uri)
    for child in root.children:
        twin, size = copy_node(child)
        ctx.execution.meter.nodes(size)
        twin.parent = document
        document._children.append(twin)
        twin.index = len(document._children)
        rebase(twin, ctx.static.base_uri)
    return document


def rebase(node: Any, base: str | None) -> None:
    """Give the elements of a copy the base URI of the fragment."""
    if node.kind == "element":
        node._base = base
