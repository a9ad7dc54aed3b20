"""Tables of what agents know, shown once or kept up to date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from clacks.cli import output
from clacks.cli.connection import bus_url, open_bus
from clacks.common.errors import BusError, CommandError, LinkRefused
from clacks.common.settings import Settings

if TYPE_CHECKING:
    from clacks.bus import Bus

__all__ = ["CLIENT_KINDS", "NODE_KINDS", "number", "show"]

NODE_KINDS: Final = ("NodeCapabilities", "NodeLeave", "NodeStatus")
CLIENT_KINDS: Final = ("ClientAnnounce", "ClientLeave", "ClientSignature", "UserSession")

_SLOWEST: Final = 5.0  # seconds after which a table is asked for again although nothing happened
_FASTEST: Final = 0.5  # seconds between two questions, whatever happens

Ask: TypeAlias = Callable[[Any], Awaitable[Any]]
Rows: TypeAlias = Callable[[Any], Sequence[Sequence[str]]]
Put: TypeAlias = Callable[[Any, Rows], None]


def number(value: float | None, form: str, factor: float = 1) -> str:
    """Write a number, or nothing if there is none."""
    return "" if value is None else form.format(value * factor if factor != 1 else value)


def show(
    url: str | None,
    password_file: Path | None,
    ask: Ask,
    headings: Sequence[str],
    rows: Rows,
    *,
    watch: bool,
    json: bool,
    kinds: Iterable[str],
) -> None:
    """Ask an agent and show its answer; with ``watch`` again whenever events of ``kinds`` come."""
    settings = Settings.load()
    bus_at = bus_url(url, settings, password_file=password_file)

    def draw(found: Any) -> None:
        if json:
            output.json_line(found)
        else:
            output.table(headings, rows(found))

    async def run() -> None:
        async with open_bus(bus_at, settings) as bus:
            if watch:
                await _watch(bus, ask, kinds, headings, rows, draw)
            else:
                draw(await ask(bus))

    with contextlib.suppress(KeyboardInterrupt):  # the usual end of --watch
        asyncio.run(run())


async def _watch(
    bus: Bus, ask: Ask, kinds: Iterable[str], headings: Sequence[str], rows: Rows, draw: Callable[[Any], None]
) -> None:
    changed = asyncio.Event()

    async def listen() -> None:
        # Who may call and not read is shown the table all the same, if not at once.
        with contextlib.suppress(LinkRefused):
            async for _ in await bus.subscribe(kinds=kinds, queue_events=10):
                changed.set()

    async with _screen(headings, draw) as put:
        listening = asyncio.ensure_future(listen())
        try:
            while True:
                changed.clear()
                try:
                    put(await ask(bus), rows)
                except (CommandError, BusError) as error:
                    # An agent or the broker is away: the table that was stays, and is asked for again.
                    output.warning(str(error))
                await asyncio.sleep(_FASTEST)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SLOWEST):
                        await changed.wait()
        finally:
            listening.cancel()


@contextlib.asynccontextmanager
async def _screen(headings: Sequence[str], draw: Callable[[Any], None]) -> AsyncIterator[Put]:
    """Yield what shows an answer: a table that stays in its place on a terminal, else one below the other."""
    if not output.on_terminal():
        yield lambda found, rows: draw(found)
        return
    from rich.live import Live

    with Live(auto_refresh=False, screen=False) as live:

        def put(found: Any, rows: Rows) -> None:
            live.update(output.drawn_table(headings, rows(found)), refresh=True)

        yield put
