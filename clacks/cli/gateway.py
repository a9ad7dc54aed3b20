"""``clacks gateway``: browsers, and the clients of Eventhub, TrueNAS and SysAdm, on a bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from clacks.cli import output
from clacks.cli.options import Events, Listeners, LogFormat, MetricsAt, NoAuth, PasswordFile, StateDir, Url

if TYPE_CHECKING:
    from clacks.common.tracing import Tracing

__all__ = ["app", "gateway"]

app = typer.Typer(add_completion=False)


@app.command()
def gateway(
    url: Url = None,
    password_file: PasswordFile = None,
    listen: Listeners = None,
    no_auth: NoAuth = False,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Start a gateway. Ctrl-C stops it; a lost connection to the broker is made again.

    Its own login needs the role gateway. Users, their API keys and their rights are read from the files in
    the state folder, and read again when these change. Event log and key/value store: those of the setting
    log.store if several gateways may share it (Redis); else those of the agent that records on this domain.
    """
    import asyncio
    import contextlib
    import os

    from clacks.agent.service import RightsFile
    from clacks.cli import serving
    from clacks.cli.connection import bus_url, open_bus
    from clacks.cli.events import registry_of
    from clacks.cli.measuring import as_service, running_metrics
    from clacks.cli.web import running_gateway, watched_rights, web_listeners
    from clacks.common.credentials import Credentials
    from clacks.common.errors import SettingsError
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    settings = Settings.load().changed(state_dir=state_dir)
    settings = as_service(settings, metrics, log_format)
    web = web_listeners(listen, settings, no_auth=no_auth)
    for one in listen or ():
        if one.startswith(("amqp=", "amqps=")):
            raise SettingsError("--listen", "amqp and amqps belong to the broker: clacks up or clacks broker")
    bus_at = bus_url(url, settings, password_file=password_file)
    registry = registry_of(settings, events)
    logins = serving.Logins(settings, Credentials())
    rights = watched_rights(RightsFile(settings.rights_file), logins, registry)

    async def run(tracing: Tracing | None) -> None:
        async with contextlib.AsyncExitStack() as stack:
            bus = await stack.enter_async_context(open_bus(bus_at, settings, registry, tracing=tracing))
            store = None
            if settings.log.store.startswith(("redis://", "rediss://", "unix://")):
                store = await stack.enter_async_context(serving.opened_store(settings))
            running = await stack.enter_async_context(
                running_gateway(
                    bus,
                    registry,
                    settings,
                    web,
                    credentials=logins,
                    rights=lambda: rights.now,
                    store=store,
                    no_auth=no_auth,
                )
            )
            assert running is not None
            await stack.enter_async_context(running_metrics(settings, running.measured))
            watching = asyncio.create_task(rights.watch(running))
            stack.callback(watching.cancel)
            stopped = serving.stop_event()
            output.note(f"gateway of {bus_at}; Ctrl-C stops")
            output.line("ready")
            await stopped.wait()
            output.note("stopping")

    with running_tracing("clacks-gateway", os.environ) as tracing:
        asyncio.run(run(tracing))
