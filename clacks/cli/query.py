"""``clacks query``: evaluate an XQuery on a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from clacks.cli import output

__all__ = ["app", "query", "query_text", "shown"]

app = typer.Typer(add_completion=False)


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


def shown(item: Any) -> str:
    """Return one item of a result as text: nodes as XML, atomic values as XQuery would write them."""
    from lxml import etree

    if isinstance(item, etree._Element | etree._ElementTree):
        return etree.tostring(item, encoding="unicode", with_tail=False)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, Decimal):
        return format(item, "f")
    return str(item)


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
    matches: Annotated[
        bool,
        typer.Option("--matches", help="Show only true or false, as for a subscription; ends with 0 or 1."),
    ] = False,
) -> None:
    """Evaluate an XQuery on a file and show each item of the result on a line."""
    from clacks.common.limits import DEFAULT_LIMITS
    from clacks.xquery import compile_query

    compiled = compile_query(query_text(xquery, xquery_file))
    document = _document(
        sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes(), DEFAULT_LIMITS.xml_depth
    )
    variables = _variables(var or ())
    if matches:
        answer = compiled.matches(document, variables)
        output.line(shown(answer))
        raise typer.Exit(0 if answer else 1)
    for item in compiled.evaluate(document, variables):
        output.line(shown(item))


def _document(data: bytes, depth: int) -> Any:
    """Return the tree of a document: any XML, not only events, and as little trusted."""
    from lxml import etree

    from clacks.common.errors import MalformedEvent

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise MalformedEvent(error.msg or "no XML", error.lineno) from error
    return root.getroottree()
