"""``clacks query``: evaluate an XQuery on a file."""

from __future__ import annotations

import contextlib
import enum
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clacks.cli import output

if TYPE_CHECKING:
    from clacks.filters.index import Explanation
    from clacks.xquery import Query

__all__ = ["Method", "app", "lines", "query", "query_text"]

app = typer.Typer(add_completion=False)

_RUNS = (5, 501)
"""How often an evaluation is measured: at least, and at most."""
_SECONDS = 0.2
"""CPU time after which no further measurement begins."""


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
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="An XML document; - is standard input.")
    ] = None,
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
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show what the query can match; with FILE, also what it costs on that."
        ),
    ] = False,
) -> None:
    """Evaluate an XQuery on a file and show each item of the result on a line.

    With --method, or where the query declares output options, the result is serialized as a whole.
    """
    from clacks.xquery import compile_query

    if explain and (matches or method is not None):
        raise typer.BadParameter("--explain excludes --matches and --method")
    if file is None and not explain:
        raise typer.BadParameter("FILE is missing")
    compiled = compile_query(query_text(xquery, xquery_file))
    variables = _variables(var or ())
    document = None
    if file is not None:
        document = _document(file, sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    if explain:
        _explain(compiled, document, variables)
        return
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


def _explain(query: Query, document: Any | None, variables: Mapping[str, str]) -> None:
    """Show what the filter index knows of a query, and what it costs on a document if there is one."""
    from clacks.common.errors import QueryError
    from clacks.filters.index import FilterIndex
    from clacks.xquery import wrap

    index = FilterIndex()
    index.add("query", query)
    told = index.explain("query")
    output.line(f"event types: {'any' if told.kinds is None else ', '.join(sorted(told.kinds)) or 'none'}")
    if told.facts:
        output.line(f"must hold: {' or '.join(told.facts)}")
    output.line(f"index: {told.exactness}; {_share(told)}")
    for reason in told.unknown:
        output.line(f"not understood: {reason}")
    if query.external_variables:
        output.line(f"variables: {', '.join(f'${name}' for name in sorted(query.external_variables))}")
    if document is None:
        return
    try:
        output.line(f"matches: {'true' if query.matches(document, variables) else 'false'}")
    except QueryError as error:
        output.line(f"matches: false, for an error is no match: {error.code}: {error.reason}")

    def by_engine() -> None:
        with contextlib.suppress(QueryError):  # an error has its cost like any other answer
            query.matches(wrap(document), variables)

    for name, call in {"index": lambda: index.match(document, variables), "engine": by_engine}.items():
        cost, runs = _cost(call)
        output.line(f"cost by the {name}: {cost:.1f} us (CPU, median of {runs})")


def _share(told: Explanation) -> str:
    """Say who decides: the facts alone, the index, or the XQuery engine."""
    if told.decides:
        return "this alone decides"
    if told.exactness == "exact":
        return "the index checks the rest itself" if told.facts else "the index checks it at every event"
    return "the engine checks the rest" if told.facts else "the engine evaluates it at every event"


def _cost(call: Callable[[], object]) -> tuple[float, int]:
    """Return the median CPU time of a call in microseconds, and of how many runs it is."""
    call()  # the first run also fills caches
    least, most = _RUNS
    taken: list[int] = []
    until = time.thread_time() + _SECONDS
    while len(taken) < least or (len(taken) < most and time.thread_time() < until):
        began = time.thread_time_ns()
        call()
        taken.append(time.thread_time_ns() - began)
    return statistics.median(taken) / 1000, len(taken)


def _document(name: str, data: bytes) -> Any:
    """Return the tree of a document: any XML, not only events, and as little trusted."""
    from lxml import etree

    from clacks.common.errors import EventError

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # lxml's text ends with the place. Any XML will do here, so it is not said to be no event.
        what = (error.msg or "").partition(", line ")[0] or "nothing is there"
        raise EventError(f"{name}: not well-formed XML: {what} (line {error.lineno})") from error
    return root.getroottree()
