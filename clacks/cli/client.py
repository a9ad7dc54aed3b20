"""``clacks client``: a managed client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from clacks.cli import output
from clacks.cli.options import Events, LogFormat, MetricsAt, PasswordFile, StateDir, Url

if TYPE_CHECKING:
    from clacks.common.tracing import Tracing

__all__ = ["app", "client"]

app = typer.Typer(add_completion=False)


@app.command()
def client(
    url: Url = None,
    password_file: PasswordFile = None,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; else the one it has kept, or a new one.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Its name for people; else that of the machine."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Announce it, leave at once, and stop.")] = False,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Start a client that agents know and whose commands they can call. Ctrl-C stops it.

    It announces itself with its network devices and commands, answers polls, tells who is logged on, and
    leaves when it ends. A lost connection is made again.
    """
    import asyncio
    from dataclasses import replace

    from clacks.cli import serving, waiting
    from clacks.cli.connection import bus_url, open_bus
    from clacks.cli.events import registry_of
    from clacks.cli.measuring import as_service, measured_bus, running_metrics
    from clacks.client.service import Client
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    settings = Settings.load().changed(state_dir=state_dir)
    settings = as_service(settings, metrics, log_format, goes_on=not once)
    own = replace(settings.client, id=id_ or settings.client.id, name=name or settings.client.name)
    if once:
        own = replace(own, sessions="none")
    settings = settings.changed(client=own)
    bus_at = bus_url(url, settings, password_file=password_file)
    registry = registry_of(settings, events)

    async def run(tracing: Tracing | None) -> None:
        bus = open_bus(bus_at, settings, registry, tracing=tracing)
        # A machine may be up before its broker is.
        await waiting.start(bus, patient=not once)
        try:
            async with Client(bus, registry, settings) as running:
                if once:
                    output.line(running.id)
                    return
                async with running_metrics(settings, measured_bus("client", bus)):
                    stopped = serving.stop_event()
                    output.note(f"client {running.id} ({running.name}) at {bus_at}; Ctrl-C stops")
                    output.line("ready")
                    await stopped.wait()
                    output.note("stopping")
        finally:
            await bus.close()

    with running_tracing("clacks-client", os.environ) as tracing:
        asyncio.run(run(tracing))
