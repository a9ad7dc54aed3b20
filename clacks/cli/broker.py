"""``clacks broker``: the embedded broker alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from clacks.cli import output
from clacks.cli.options import Domain, Events, LogFormat, MetricsAt, PasswordFile, StateDir
from clacks.cli.up import Host, Port, TlsPort, User

if TYPE_CHECKING:
    from clacks.common.tracing import Tracing

__all__ = ["app", "broker"]

app = typer.Typer(add_completion=False)


@app.command()
def broker(
    host: Host = None,
    port: Port = None,
    tls_port: TlsPort = None,
    domain: Domain = None,
    user: User = None,
    password_file: PasswordFile = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Start the embedded broker alone; agents connect to it with a login of the role agent."""
    import asyncio
    import os

    from clacks.broker.gauges import broker_gauges
    from clacks.cli import serving
    from clacks.cli.events import registry_of
    from clacks.cli.measuring import as_service, running_metrics
    from clacks.common.measured import Measured
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    settings = Settings.load().changed(
        host=host, port=port, tls_port=tls_port, domain=domain, state_dir=state_dir
    )
    settings = as_service(settings, metrics, log_format)
    users = serving.guests(user or (), settings, password_file)
    registry = registry_of(settings, events)

    async def run(tracing: Tracing | None) -> None:
        measured = Measured()
        async with (
            serving.running_broker(settings, registry, users, tracing=tracing) as server,
            running_metrics(settings, measured),
        ):
            measured.add("broker", server.broker.metrics, lambda: broker_gauges(server.broker))
            stopped = serving.stop_event()
            for url in serving.broker_urls(server, settings):
                output.line(url)
            output.note(f"{len(registry.kinds)} event types; Ctrl-C stops")
            output.line("ready")
            await stopped.wait()
            output.note("stopping")

    with running_tracing("clacks-broker", os.environ) as tracing:
        asyncio.run(run(tracing))
