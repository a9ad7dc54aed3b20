"""``clacks up``: everything on one machine, in one process: a broker, an agent and a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clacks.cli import output
from clacks.cli.options import Domain, Events, Listeners, LogFormat, MetricsAt, NoAuth, PasswordFile, StateDir
from clacks.cli.recording import Record, running_recorder

if TYPE_CHECKING:
    from clacks.common.tracing import Tracing

__all__ = ["Host", "Port", "TlsPort", "User", "app", "up"]

app = typer.Typer(add_completion=False)

Host = Annotated[
    str | None,
    typer.Option("--host", metavar="HOST", help="Where to listen; else localhost: this machine alone."),
]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port without TLS; 0 takes a free one. Else 5672."),
]
TlsPort = Annotated[
    int | None,
    typer.Option("--tls-port", min=0, max=65535, help="Port with TLS; 0 takes a free one. Else 5671."),
]
User = Annotated[
    list[str] | None,
    typer.Option(
        "--user",
        metavar="NAME[:PASSWORD]",
        help="A user, admin unless the rights say otherwise, as long as this runs; may be given again.",
    ),
]


@app.command()
def up(
    host: Host = None,
    port: Port = None,
    tls_port: TlsPort = None,
    domain: Domain = None,
    user: User = None,
    password_file: PasswordFile = None,
    node: Annotated[str | None, typer.Option("--node", metavar="NAME", help="Name of the agent.")] = None,
    listen: Listeners = None,
    no_auth: NoAuth = False,
    record: Record = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Start everything on this machine: a broker, an agent and a gateway. Ctrl-C stops it.

    For amqps://localhost an own certificate authority is made, which Clacks trusts for this machine's own
    names and for nothing else.
    """
    import asyncio
    import contextlib
    import os

    from clacks.agent.service import Agent
    from clacks.broker.gauges import broker_gauges
    from clacks.bus import Bus
    from clacks.cli import serving
    from clacks.cli.events import registry_of
    from clacks.cli.jobs import running_jobs
    from clacks.cli.measuring import as_service, running_metrics
    from clacks.cli.web import broker_listeners, gateway_url, running_gateway, web_listeners
    from clacks.common.settings import Settings
    from clacks.net.client import LocalConnector
    from clacks.net.tracing import running_tracing

    settings = Settings.load().changed(
        host=host, port=port, tls_port=tls_port, domain=domain, node=node, state_dir=state_dir
    )
    settings = as_service(settings, metrics, log_format)
    settings = broker_listeners(listen, settings)
    web = web_listeners(listen, settings, no_auth=no_auth)
    users = serving.guests(user or (), settings, password_file)
    registry = registry_of(settings, events)

    async def run(tracing: Tracing | None) -> None:
        async with serving.running_broker(
            settings, registry, users, serving.LOCAL_AGENT, tracing=tracing
        ) as server:

            def local_bus(login: str) -> Bus:
                return Bus(
                    f"amqp://localhost/{settings.domain}",
                    registry=registry,
                    connector=LocalConnector(lambda: server.local_socket(login), login),
                    limits=settings.limits,
                    tracing=tracing,
                )

            bus, web_bus = local_bus(serving.LOCAL_AGENT), local_bus(serving.LOCAL_GATEWAY)
            logins: dict[str, tuple[str, ...]] = {
                serving.LOCAL_AGENT: ("agent",),
                serving.LOCAL_GATEWAY: ("gateway",),
            }
            agent = Agent(bus, registry, settings, users=users.roles | logins)
            # One page for the whole process: that of the gateway, or of --metrics.
            measured = agent.measured
            measured.add("broker", server.broker.metrics, lambda: broker_gauges(server.broker))
            # Both watch the same files: the one that reads them first must tell the other.
            agent.on_rights = server.broker.set_rights
            agent.on_schemas = lambda: server.broker.set_registry(registry)
            async with contextlib.AsyncExitStack() as stack:
                for part in (bus, running_jobs(bus, agent, registry, settings), agent, web_bus):
                    await stack.enter_async_context(part)
                recorder = await stack.enter_async_context(
                    running_recorder(bus, agent, registry, settings, asked=record, usual=True)
                )
                gateway = await stack.enter_async_context(
                    running_gateway(
                        web_bus,
                        registry,
                        settings,
                        web,
                        credentials=lambda: server.credentials,
                        rights=lambda: agent.commands.rights,
                        store=recorder,
                        no_auth=no_auth,
                        busy_is_fine=not listen,
                        measured=measured,
                    )
                )
                await stack.enter_async_context(running_metrics(settings, measured))
                if gateway is not None:
                    agent.gateway = gateway_url(gateway)
                stopped = serving.stop_event()
                for url in serving.broker_urls(server, settings):
                    output.line(url)
                output.note(f"agent {agent.node}, {len(registry.kinds)} event types; Ctrl-C stops")
                output.line("ready")
                await stopped.wait()
                output.note("stopping")

    with running_tracing("clacks-up", os.environ) as tracing:
        asyncio.run(run(tracing))
