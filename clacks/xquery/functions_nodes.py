"""Functions on nodes (F&O 3.1, 2, 13, 14.1-14.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import AnyURI, QName

from clacks.xquery.axes import ancestors, in_document_order
from clacks.xquery.conversion import describe
from clacks.xquery.errors import failure
from clacks.xquery.functions_core import focus
from clacks.xquery.library import PREFIXES, function
from clacks.xquery.nodes import XML_NAMESPACE, Node, descendants
from clacks.xquery.values import uri_of

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["node_name"]

XML_ID = f"{{{XML_NAMESPACE}}}id"
XML_LANG = f"{{{XML_NAMESPACE}}}lang"


def node_of(ctx: Context, args: tuple[Any, ...]) -> Any:
    """Return the argument, or the context item, which must be a node; None for an empty argument."""
    if args:
        return args[0]
    item = focus(ctx)
    if not isinstance(item, Node):
        raise failure("XPTY0004", f"the context item is no node but {describe(item)}")
    return item


def node_name(node: Any) -> QName | None:
    """Return the name of a node as a QName, None if it has none."""
    if not node.name:
        return None
    if node.kind in ("element", "attribute"):
        return QName(node.namespace, node.lexical_name if node.namespace else node.local)
    return QName("", node.name)


@function("fn:name() as xs:string", "fn:name($arg as node()?) as xs:string")
def name(ctx: Context, *args: Any) -> str:
    """Return the name with its prefix."""
    node = node_of(ctx, args)
    if node is None or not node.name:
        return ""
    if node.kind in ("element", "attribute"):
        lexical: str = node.lexical_name
        return lexical
    return str(node.name)


@function("fn:local-name() as xs:string", "fn:local-name($arg as node()?) as xs:string")
def local_name(ctx: Context, *args: Any) -> str:
    """Return the local name."""
    node = node_of(ctx, args)
    return "" if node is None or not node.name else str(node.local)


@function("fn:namespace-uri() as xs:anyURI", "fn:namespace-uri($arg as node()?) as xs:anyURI")
def namespace_uri(ctx: Context, *args: Any) -> AnyURI:
    """Return the namespace of the name."""
    node = node_of(ctx, args)
    return uri_of(node.namespace if node is not None and node.kind in ("element", "attribute") else "")


@function("fn:node-name() as xs:QName?", "fn:node-name($arg as node()?) as xs:QName?")
def node_name_function(ctx: Context, *args: Any) -> QName | None:
    """Return the name as a QName."""
    node = node_of(ctx, args)
    return None if node is None else node_name(node)


@function("fn:nilled() as xs:boolean?", "fn:nilled($arg as node()?) as xs:boolean?")
def nilled(ctx: Context, *args: Any) -> bool | None:
    """Return false for elements: nothing is nilled without a schema."""
    node = node_of(ctx, args)
    return False if node is not None and node.kind == "element" else None


@function("fn:root() as node()", "fn:root($arg as node()?) as node()?")
def root(ctx: Context, *args: Any) -> Any:
    """Return the root of the tree."""
    node = node_of(ctx, args)
    return None if node is None else node.root_node


@function("fn:base-uri() as xs:anyURI?", "fn:base-uri($arg as node()?) as xs:anyURI?")
def base_uri(ctx: Context, *args: Any) -> AnyURI | None:
    """Return the base URI."""
    node = node_of(ctx, args)
    uri = None if node is None or node.kind == "namespace" else node.base_uri
    return None if uri is None else uri_of(uri)


@function("fn:document-uri() as xs:anyURI?", "fn:document-uri($arg as node()?) as xs:anyURI?")
def document_uri(ctx: Context, *args: Any) -> AnyURI | None:
    """Return the URI of a document."""
    node = node_of(ctx, args)
    uri = node.document_uri if node is not None and node.kind == "document" else None
    return None if uri is None else uri_of(uri)


@function("fn:has-children() as xs:boolean", "fn:has-children($node as node()?) as xs:boolean")
def has_children(ctx: Context, *args: Any) -> bool:
    """Tell whether a node has children."""
    node = node_of(ctx, args)
    return node is not None and bool(node.children)


@function("fn:innermost($nodes as node()*) as node()*")
def innermost(ctx: Context, nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes that have none of the others below them."""
    above: set[Any] = set()
    for node in nodes:
        ctx.execution.meter.step(1)
        above.update(ancestors(node))
    return in_document_order(node for node in nodes if node not in above)


@function("fn:outermost($nodes as node()*) as node()*")
def outermost(ctx: Context, nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes that have none of the others above them."""
    known = set(nodes)
    ctx.execution.meter.step(len(nodes))
    return in_document_order(node for node in nodes if not known.intersection(ancestors(node)))


@function("fn:generate-id() as xs:string", "fn:generate-id($arg as node()?) as xs:string")
def generate_id(ctx: Context, *args: Any) -> str:
    """Return a name that is unique to the node in this process."""
    node = node_of(ctx, args)
    return "" if node is None else "n" + "x".join(str(step) for step in node.position)


@function("fn:path() as xs:string?", "fn:path($arg as node()?) as xs:string?")
def path(ctx: Context, *args: Any) -> str | None:
    """Return a path that finds the node again."""
    node = node_of(ctx, args)
    if node is None:
        return None
    steps: list[str] = []
    while node.parent is not None:
        steps.append(path_step(node))
        node = node.parent
    if node.kind == "document":
        return "/" + "/".join(reversed(steps))
    return "/".join([f"Q{{{PREFIXES['fn']}}}root()", *reversed(steps)])


def path_step(node: Any) -> str:
    """Return the step from the parent to a node."""
    kind = node.kind
    if kind == "attribute":
        return f"@Q{{{node.namespace}}}{node.local}" if node.namespace else f"@{node.local}"
    if kind == "namespace":
        return (
            f"namespace::{node.name}" if node.name else f'namespace::*[Q{{{PREFIXES["fn"]}}}local-name()=""]'
        )
    before = [n for n in node.parent.children[: node.index] if n.kind == kind]
    if kind == "element":
        number = sum(1 for n in before if n.name == node.name)
        return f"Q{{{node.namespace}}}{node.local}[{number}]"
    if kind == "processing-instruction":
        number = sum(1 for n in before if n.name == node.name)
        return f"processing-instruction({node.name})[{number}]"
    return f"{kind}()[{len(before)}]"


@function(
    "fn:lang($testlang as xs:string?) as xs:boolean",
    "fn:lang($testlang as xs:string?, $node as node()) as xs:boolean",
)
def lang(ctx: Context, wanted: str | None, *args: Any) -> bool:
    """Tell whether the language of a node is one, or a variant of it."""
    node = node_of(ctx, args)
    wanted = (wanted or "").lower()
    while node is not None:
        for attribute in node.attributes:
            if attribute.name == XML_LANG:
                found = attribute.value.lower()
                return bool(found == wanted or found.startswith(wanted + "-"))
        node = node.parent
    return False


def dtd_types(tree: Any) -> dict[tuple[str, str], str]:
    """Return the types of attributes that a document's DTD declares as id, idref or idrefs."""
    value = getattr(tree, "value", None)
    if value is None:
        return {}
    found: dict[tuple[str, str], str] = {}
    document = value if hasattr(value, "docinfo") else value.getroottree()
    for dtd in (document.docinfo.externalDTD, document.docinfo.internalDTD):
        for element in dtd.iterelements() if dtd is not None else ():
            for attribute in element.iterattributes():
                if attribute.type in ("id", "idref", "idrefs"):
                    found[element.name, attribute.name] = attribute.type
    return found


def tree_of(ctx: Context, args: tuple[Any, ...]) -> Any:
    """Return the document of the node to search from; FODC0001 if its tree has none."""
    node = node_of(ctx, args)
    top = node.root_node
    if top.kind != "document":
        raise failure("FODC0001", "the tree has no document node")
    return top


def elements_by_id(ctx: Context, values: Sequence[str], top: Any) -> list[Any]:
    """Return the first element for each ID."""
    wanted = {word for value in values for word in value.split()}
    types = dtd_types(top)
    found: dict[str, Any] = {}
    for node in descendants(top):
        ctx.execution.meter.step(1)
        if node.kind != "element":
            continue
        for attribute in node.attributes:
            if attribute.name == XML_ID or types.get((node.name, attribute.name)) == "id":
                key = attribute.value.strip()
                if key in wanted:
                    found.setdefault(key, node)
    return in_document_order(found.values())


@function(
    "fn:id($arg as xs:string*) as element()*", "fn:id($arg as xs:string*, $node as node()) as element()*"
)
def id_(ctx: Context, values: Sequence[str], *args: Any) -> list[Any]:
    """Return the elements with some IDs."""
    return elements_by_id(ctx, values, tree_of(ctx, args))


@function(
    "fn:element-with-id($arg as xs:string*) as element()*",
    "fn:element-with-id($arg as xs:string*, $node as node()) as element()*",
)
def element_with_id(ctx: Context, values: Sequence[str], *args: Any) -> list[Any]:
    """Return the elements with some IDs; the same as fn:id where no element's content is an ID."""
    return elements_by_id(ctx, values, tree_of(ctx, args))


@function(
    "fn:idref($arg as xs:string*) as node()*", "fn:idref($arg as xs:string*, $node as node()) as node()*"
)
def idref(ctx: Context, values: Sequence[str], *args: Any) -> list[Any]:
    """Return the attributes that refer to some IDs, as the DTD says."""
    top = tree_of(ctx, args)
    wanted = set(values)
    types = dtd_types(top)
    found = []
    for node in descendants(top):
        ctx.execution.meter.step(1)
        if node.kind == "element":
            for attribute in node.attributes:
                kind = types.get((node.name, attribute.name))
                if kind in ("idref", "idrefs") and wanted.intersection(attribute.value.split()):
                    found.append(attribute)
    return found
