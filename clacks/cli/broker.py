"""``clacks broker``: the embedded broker alone."""

from __future__ import annotations

import typer

from clacks.cli import output
from clacks.cli.options import Domain, Events, PasswordFile, StateDir
from clacks.cli.up import Host, Port, TlsPort, User

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
    state_dir: StateDir = None,
) -> None:
    """Start the embedded broker alone; agents connect to it with a login of the role agent."""
    import asyncio

    from clacks.cli import serving
    from clacks.cli.events import registry_of
    from clacks.common.settings import Settings

    settings = Settings.load().changed(
        host=host, port=port, tls_port=tls_port, domain=domain, state_dir=state_dir
    )
    users = serving.guests(user or (), settings, password_file)
    registry = registry_of(settings, events)

    async def run() -> None:
        async with serving.running_broker(settings, registry, users) as server:
            stopped = serving.stop_event()
            for url in serving.broker_urls(server, settings):
                output.line(url)
            output.note(f"{len(registry.kinds)} event types; Ctrl-C stops")
            output.line("ready")
            await stopped.wait()
            output.note("stopping")

    asyncio.run(run())
