"""``clacks listen``: show events as they come."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clacks.cli import output
from clacks.cli.exits import Exit
from clacks.cli.options import Events, PasswordFile, Url

if TYPE_CHECKING:
    from clacks.common.event import Event
    from clacks.common.tracing import Tracing

__all__ = ["Format", "app", "formatted", "listen", "type_query"]

app = typer.Typer(add_completion=False)


class Format(enum.StrEnum):
    """How an event is shown."""

    XML = "xml"
    JSON = "json"


def type_query(kinds: list[str]) -> str:
    """Return the query that lets these event types through, and all if there are none.

    Raises:
        typer.BadParameter: If a name cannot be that of an event type.
    """
    if not kinds:
        return "."
    for kind in kinds:
        if not kind.replace("_", "").replace("-", "").replace(".", "").isalnum() or not (
            kind[0].isalpha() or kind[0] == "_"
        ):
            raise typer.BadParameter(f"--type: {kind!r} cannot be an event type")
    names = " or ".join(f"./f:Event/f:{kind}" for kind in kinds)
    return f"declare namespace f='http://www.gonicus.de/Events'; {names}"


def formatted(event: Event, form: Format) -> str:
    """Return an event as indented XML, or as one line of JSON with the type as its only key."""
    if form is Format.JSON:
        import json

        return json.dumps({event.kind: event.to_json()}, ensure_ascii=False)
    from lxml import etree

    root = etree.fromstring(event.xml)
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")


@app.command()
def listen(
    xquery: Annotated[
        str | None,
        typer.Option("--xquery", "-q", metavar="QUERY", help="Only events that this query matches."),
    ] = None,
    xquery_file: Annotated[
        Path | None, typer.Option("--xquery-file", metavar="FILE", help="Read the query from this file.")
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", metavar="NAME", help="Only this event type; may be given again."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many events.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="First what was recorded since: a time ago such as -1h, an ISO time, or after a log id.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="How events are shown.")] = Format.XML,
    url: Url = None,
    password_file: PasswordFile = None,
    events: Events = None,
) -> None:
    """Show events as they come, until Ctrl-C or until --count of them came."""
    import asyncio
    import contextlib
    import os

    from clacks.cli.connection import bus_url, open_bus
    from clacks.cli.events import registry_of
    from clacks.cli.query import query_text
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    if type_ and (xquery is not None or xquery_file is not None):
        raise typer.BadParameter("--type and a query exclude each other: the query can name the types")
    query = query_text(xquery, xquery_file, type_query(type_ or []))
    settings = Settings.load()
    bus_at = bus_url(url, settings, password_file=password_file)
    registry = registry_of(settings, events)
    for kind in type_ or ():
        if kind not in registry.kinds:
            # Not an error: its schema may come while this waits.
            output.warning(f"no event type {kind} is known here, so none will be shown (clacks events list)")
    seen = 0

    async def receive(tracing: Tracing | None) -> None:
        nonlocal seen
        async with open_bus(bus_at, settings, registry, tracing=tracing) as bus:
            bus.on_state(
                lambda change: (
                    output.note(f"{change.state.value}: {change.reason}") if change.reason else None
                )
            )
            async with await bus.subscribe(query, kinds=type_ or None, since=since) as subscription:
                output.note(f"listening at {bus_at}, Ctrl-C ends")
                async for item in subscription.messages():
                    event = item.event
                    span: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
                    if tracing is not None:
                        span = tracing.callback(event.kind, item.address, item.properties)
                    with span:
                        output.line(formatted(event, form))
                    seen += 1
                    if count is not None and seen >= count:
                        return

    try:
        with running_tracing("clacks-listen", os.environ) as tracing:
            asyncio.run(receive(tracing))
    except KeyboardInterrupt:
        output.note(f"{seen} events")
        raise typer.Exit(Exit.OK if count is None else Exit.INTERRUPTED) from None
