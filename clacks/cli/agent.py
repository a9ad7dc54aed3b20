"""``clacks agent``: an agent that connects to a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clacks.cli import output
from clacks.cli.options import Events, LogFormat, MetricsAt, PasswordFile, StateDir, Url
from clacks.cli.recording import Record, running_recorder

if TYPE_CHECKING:
    from clacks.common.tracing import Tracing

__all__ = ["agent", "app"]

app = typer.Typer(add_completion=False)


@app.command()
def agent(
    url: Url = None,
    password_file: PasswordFile = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NAME", help="Name of the agent; else that of the machine."),
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="QUEUE", help="Command queue to serve.")
    ] = None,
    trust_users: Annotated[
        bool | None,
        typer.Option("--trust-users", help="Believe who calls on a broker that does not check it."),
    ] = None,
    record: Record = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Start an agent that serves commands on a bus. Ctrl-C stops it; a lost connection is made again."""
    import asyncio
    import os

    from clacks.agent.service import Agent
    from clacks.cli import serving
    from clacks.cli.connection import bus_url, open_bus
    from clacks.cli.events import registry_of
    from clacks.cli.jobs import running_jobs
    from clacks.cli.measuring import as_service, running_metrics
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    settings = Settings.load().changed(node=node, queue=queue, state_dir=state_dir, trust_users=trust_users)
    settings = as_service(settings, metrics, log_format)
    bus_at = bus_url(url, settings, password_file=password_file)
    registry = registry_of(settings, events)

    async def run(tracing: Tracing | None) -> None:
        bus = open_bus(bus_at, settings, registry, tracing=tracing)
        serving_agent = Agent(bus, registry, settings)
        async with (
            bus,
            running_jobs(bus, serving_agent, registry, settings),
            serving_agent,
            running_recorder(bus, serving_agent, registry, settings, asked=record, usual=False),
            running_metrics(settings, serving_agent.measured),
        ):
            stopped = serving.stop_event()
            output.note(f"agent {serving_agent.node} at {bus_at}; Ctrl-C stops")
            output.line("ready")
            await stopped.wait()
            output.note("stopping")

    with running_tracing("clacks-agent", os.environ) as tracing:
        asyncio.run(run(tracing))
