"""``clacks top``: what goes through the bus, as it goes."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from clacks.cli import output
from clacks.cli.options import PasswordFile, Url

if TYPE_CHECKING:
    from rich.console import Group

    from clacks.bus import Bus
    from clacks.cli.top_view import Source
    from clacks.common.measured import Reading
    from clacks.common.settings import Settings

__all__ = ["app", "top"]

app = typer.Typer(add_completion=False)

Look: TypeAlias = "Callable[[], Awaitable[dict[str, Reading | str]]]"


@app.command()
def top(
    pages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[METRICS-URL ...]", help="Pages to read; else all agents of the bus are asked."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show one interval and stop.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-i", metavar="SECONDS", min=0.1, help="Time between two looks.")
    ] = 2.0,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Token for the pages; its first line counts."),
    ] = None,
    url: Url = None,
    password_file: PasswordFile = None,
) -> None:
    """Show events by type, drops, latencies, filters and what waits, live; Ctrl-C ends it.

    The numbers come from pages of --metrics or of gateways. Without one the agents of the bus tell theirs,
    which are those of the broker as well where it runs in the process of an agent (clacks up).
    """
    import asyncio

    from clacks.cli.connection import bus_url, open_bus
    from clacks.common.settings import Settings

    settings = Settings.load()
    bus_at = None if pages else bus_url(url, settings, password_file=password_file)

    async def run() -> None:
        if bus_at is None:
            await _watch(_page_reader(pages or (), settings, token_file), once, interval)
            return
        async with open_bus(bus_at, settings) as bus:
            await _watch(_agent_reader(bus), once, interval)

    with contextlib.suppress(KeyboardInterrupt):  # the usual end
        asyncio.run(run())


def _page_reader(pages: Sequence[str], settings: Settings, token_file: Path | None) -> Look:
    import asyncio
    from urllib.parse import urlsplit

    from clacks.cli.connection import read_password_file
    from clacks.common.errors import BusError
    from clacks.common.exposition import parsed
    from clacks.net.certificates import local_authority
    from clacks.net.metrics_server import fetch_page
    from clacks.net.tls import client_context

    token = None if token_file is None else read_password_file(token_file)

    async def one(page: str) -> Reading | str:
        parts = urlsplit(page)
        tls = None
        if parts.scheme == "https" and parts.hostname:
            tls = client_context(
                parts.hostname, ca=settings.ca_file, local_authority=local_authority(settings.state_dir)
            )
        try:
            return parsed(await fetch_page(page, settings.limits, token=token, tls=tls))
        except BusError as error:
            return str(error)

    async def look() -> dict[str, Reading | str]:
        found = await asyncio.gather(*(one(page) for page in pages))
        return {urlsplit(page).netloc or page: reading for page, reading in zip(pages, found)}

    return look


def _agent_reader(bus: Bus) -> Look:
    from clacks.common.errors import ProtocolError
    from clacks.common.measured import Reading

    async def look() -> dict[str, Reading | str]:
        found: dict[str, Reading | str] = {}
        for node, answer in (await bus.call("getMetrics", timeout=10.0)).items():
            try:
                found[node] = Reading.from_json(answer["result"])
            except (ProtocolError, KeyError, TypeError):
                found[node] = str((answer.get("error") or {}).get("message", "no reading"))
        return found

    return look


async def _watch(look: Look, once: bool, interval: float) -> None:
    """Look again and again, and show what happened between two looks."""
    import asyncio

    from clacks.cli.top_view import Source
    from clacks.common.errors import BusError, CommandError, ConnectionFailed
    from clacks.common.measured import Reading

    clock = asyncio.get_running_loop().time
    before, moment = await look(), clock()
    if not any(isinstance(one, Reading) for one in before.values()):
        raise ConnectionFailed("; ".join(str(one) for one in before.values()) or "no agent told its numbers")
    live = output.on_terminal() and not once
    with _screen() if live else contextlib.nullcontext(_show_plain) as show:
        while True:
            await asyncio.sleep(interval)
            try:
                after, now = await look(), clock()
            except (CommandError, BusError) as error:
                if once:
                    raise
                output.warning(str(error))  # what was shown stays, and is asked for again
                continue
            show(
                [
                    Source(name, _reading(before.get(name)), one, now - moment)
                    if isinstance(one, Reading)
                    else Source(name, problem=one)
                    for name, one in after.items()
                ]
            )
            if once:
                return
            before, moment = after, now


def _reading(found: Reading | str | None) -> Reading:
    from clacks.common.measured import Reading

    return found if isinstance(found, Reading) else Reading()


def _show_plain(sources: Sequence[Source]) -> None:
    """Show the tables one below the other; in a pipe each line begins with the name of its table."""
    from clacks.cli.top_view import rows_of

    for section, rows in rows_of(sources):
        if output.on_terminal():
            if rows:
                output.table(section.headings, rows)
        else:
            output.table(section.headings, ([section.name, *row] for row in rows))


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Sequence[Source]], None]]:
    """Keep the tables in their place on the terminal."""
    from rich.live import Live

    with Live(auto_refresh=False, screen=True) as live:
        yield lambda sources: live.update(_drawn(sources), refresh=True)


def _drawn(sources: Sequence[Source]) -> Group:
    from rich.console import Group

    from clacks.cli.top_view import rows_of

    return Group(*(output.drawn_table(one.headings, rows) for one, rows in rows_of(sources) if rows))
