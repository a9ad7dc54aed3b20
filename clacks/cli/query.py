"""``clacks query``: evaluate an XQuery on a file."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from clacks.cli import output

__all__ = ["Method", "app", "lines", "query", "query_text"]

app = typer.Typer(add_completion=False)


class Method(enum.StrEnum):
    """Output methods of XQuery."""

    XML = "xml"
    XHTML = "xhtml"
    HTML = "html"
    TEXT = "text"
    JSON = "json"
    ADAPTIVE = "adaptive"


def query_text(xquery: str | None, xquery_file: Path | None, default: str | None = None) -> str:
    """Return the query that the options give.

    Raises:
        typer.BadParameter: If there are two, or none and no default.
        OSError: If the file cannot be read.
    """
    if xquery is not None and xquery_file is not None:
        raise typer.BadParameter("--xquery and --xquery-file exclude each other")
    if xquery_file is not None:
        return xquery_file.read_text("utf-8")
    if xquery is None and default is None:
        raise typer.BadParameter("--xquery or --xquery-file is missing")
    return xquery if xquery is not None else str(default)


def _variables(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--var wants NAME=VALUE, not {text!r}")
        found[name.removeprefix("$")] = value
    return found


def lines(items: list[Any]) -> Iterator[str]:
    """Yield each item of a result as text: atomic values plain, nodes as XML, maps and arrays adaptively."""
    from clacks.common.errors import QueryError
    from clacks.xquery.maps import XArray
    from clacks.xquery.nodes import Node
    from clacks.xquery.serialize import serialize

    for item in items:
        try:
            yield serialize([item], {"method": "adaptive" if isinstance(item, Node | XArray) else "text"})
        except QueryError:  # it has no string value
            yield serialize([item], {"method": "adaptive"})


@app.command()
def query(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An XML document; - is standard input.")],
    xquery: Annotated[str | None, typer.Option("--xquery", "-q", metavar="QUERY", help="The query.")] = None,
    xquery_file: Annotated[
        Path | None, typer.Option("--xquery-file", metavar="FILE", help="Read the query from this file.")
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(
            "--var", metavar="NAME=VALUE", help="Value of an external variable; may be given again."
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option("--method", "-m", help="Write the result as a whole with this output method."),
    ] = None,
    matches: Annotated[
        bool,
        typer.Option("--matches", help="Show only true or false, as for a subscription; ends with 0 or 1."),
    ] = False,
) -> None:
    """Evaluate an XQuery on a file and show each item of the result on a line.

    With --method, or where the query declares output options, the result is serialized as a whole.
    """
    from clacks.xquery import compile_query

    compiled = compile_query(query_text(xquery, xquery_file))
    document = _document(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    variables = _variables(var or ())
    if matches:
        answer = compiled.matches(document, variables)
        output.line("true" if answer else "false")
        raise typer.Exit(0 if answer else 1)
    from clacks.xquery.output import parameters_of
    from clacks.xquery.serialize import serialize

    items = compiled.sequence(document, variables)
    declared = compiled.module.output
    if method is not None or declared:
        # In a terminal an XML declaration is noise, unless somebody asks for it.
        parameters = {**parameters_of(compiled), "omit-xml-declaration": "yes", **declared}
        output.line(serialize(items, parameters | ({"method": method.value} if method is not None else {})))
        return
    for text in lines(items):
        output.line(text)


def _document(data: bytes) -> Any:
    """Return the tree of a document: any XML, not only events, and as little trusted."""
    from lxml import etree

    from clacks.common.errors import MalformedEvent

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise MalformedEvent(error.msg or "no XML", error.lineno) from error
    return root.getroottree()
