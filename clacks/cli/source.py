"""``clacks source NAME``: one source of events, alone."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from clacks.cli import output
from clacks.cli.measuring import as_service, measured_bus, running_metrics
from clacks.cli.options import Events, LogFormat, MetricsAt, PasswordFile, StateDir, Url
from clacks.common.errors import SettingsError
from clacks.common.settings import Settings

if TYPE_CHECKING:
    from clacks.bus import Bus
    from clacks.common.schema import SchemaRegistry
    from clacks.common.tracing import Tracing

__all__ = ["app", "asterisk", "collectd", "host", "jobs", "puppet"]

app = typer.Typer(no_args_is_help=True, help="Start a source of events. Ctrl-C stops it.")

Work: TypeAlias = "Callable[[Bus, SchemaRegistry, Settings], Awaitable[None]]"


def _run(
    work: Work,
    settings: Settings,
    url: str | None,
    password_file: Path | None,
    events: list[Path] | None,
    what: str,
    *,
    once: bool = False,
) -> None:
    """Connect, and do the work until it ends or somebody stops it."""
    from clacks.cli import serving, waiting
    from clacks.cli.connection import bus_url, open_bus
    from clacks.cli.events import registry_of
    from clacks.net.tracing import running_tracing

    bus_at = bus_url(url, settings, password_file=password_file)
    registry = registry_of(settings, events)

    async def run(tracing: Tracing | None) -> None:
        bus = open_bus(bus_at, settings, registry, tracing=tracing)
        # A machine may be up before its broker is.
        await waiting.start(bus, patient=not once)
        try:
            if once:
                await work(bus, registry, settings)
                return
            async with running_metrics(settings, measured_bus("source", bus)):
                stopped = asyncio.ensure_future(serving.stop_event().wait())
                working = asyncio.ensure_future(work(bus, registry, settings))
                output.note(f"source {what} at {bus_at}; Ctrl-C stops")
                output.line("ready")
                try:
                    await asyncio.wait((stopped, working), return_when=asyncio.FIRST_COMPLETED)
                    if working.done():
                        working.result()
                    else:
                        output.note("stopping")
                finally:
                    for task in (working, stopped):
                        task.cancel()
                    await asyncio.wait((working, stopped))
        finally:
            await bus.close()

    try:
        with running_tracing("clacks-source", os.environ) as tracing:
            asyncio.run(run(tracing))
    except ExceptionGroup as group:
        # The parts of a source run side by side; what ended it is what a person should read.
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


@app.command()
def collectd(
    url: Url = None,
    password_file: PasswordFile = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Where to listen; else localhost.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="UDP port; else 25826.")
    ] = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Listen for the network plugin of collectd and publish CollectD events."""
    from clacks.sources.collectd import CollectdSource

    settings = as_service(Settings.load().changed(state_dir=state_dir), metrics, log_format)
    own = settings.sources.collectd
    own = replace(own, host=host or own.host, port=own.port if port is None else port)

    async def work(bus: Bus, registry: SchemaRegistry, settings: Settings) -> None:
        await CollectdSource(registry, own, bus.publish).run()

    _run(work, settings, url, password_file, events, f"collectd on UDP {own.host}:{own.port}")


@app.command()
def puppet(
    url: Url = None,
    password_file: PasswordFile = None,
    reports: Annotated[
        Path | None,
        typer.Option("--reports", metavar="FOLDER", help="Folder in which Puppet stores its reports."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Send this one report and stop; - is standard input."),
    ] = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Watch for reports of Puppet runs and publish PuppetReport events."""
    from clacks.sources.puppet import PuppetSource

    settings = as_service(
        Settings.load().changed(state_dir=state_dir), metrics, log_format, goes_on=report is None
    )
    own = settings.sources.puppet
    own = replace(own, reports=reports or own.reports)

    async def one(bus: Bus, registry: SchemaRegistry, settings: Settings) -> None:
        from clacks.common.errors import ConnectionLost, MalformedEvent
        from clacks.sources.puppet_report import ReportError

        most = settings.limits.report_size + 1
        assert report is not None
        if str(report) == "-":
            data = await asyncio.to_thread(sys.stdin.buffer.read, most)
        else:
            data = await asyncio.to_thread(_read, report, most)
        source = PuppetSource(registry, own, bus.publish, limits=settings.limits)
        try:
            event = source.event(data)
        except ReportError as error:
            raise MalformedEvent(str(error)) from error
        if not await bus.publish(event):
            raise ConnectionLost("the broker takes no events")

    async def watch(bus: Bus, registry: SchemaRegistry, settings: Settings) -> None:
        state = settings.state_dir / "puppet-reports.json"
        await PuppetSource(registry, own, bus.publish, state=state, limits=settings.limits).run()

    work = watch if report is None else one
    _run(work, settings, url, password_file, events, f"puppet on {own.reports}", once=report is not None)


def _read(file: Path, most: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(most)


@app.command()
def asterisk(
    url: Url = None,
    password_file: PasswordFile = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Listen to Asterisk's manager interface and publish AsteriskNotification and PhoneStatus.

    Where Asterisk is and its user are in the settings; the secret is in the file that they name, or in
    CLACKS_ASTERISK_PASSWORD.
    """
    from clacks.cli.connection import read_password_file
    from clacks.sources.asterisk import AsteriskSource

    settings = as_service(Settings.load().changed(state_dir=state_dir), metrics, log_format)
    own = settings.sources.asterisk
    secret = os.environ.get("CLACKS_ASTERISK_PASSWORD", "")
    if own.password_file is not None:
        secret = read_password_file(own.password_file)
    if not secret:
        raise SettingsError(
            "sources.asterisk", "no secret; name a password_file or set CLACKS_ASTERISK_PASSWORD"
        )

    async def work(bus: Bus, registry: SchemaRegistry, settings: Settings) -> None:
        await AsteriskSource(registry, own, secret, bus.publish, limits=settings.limits).run()

    _run(work, settings, url, password_file, events, f"asterisk at {own.host}:{own.port}")


@app.command()
def host(
    url: Url = None,
    password_file: PasswordFile = None,
    status: Annotated[
        bool | None, typer.Option("--status/--no-status", help="Send NodeStatus, too: without an agent.")
    ] = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Publish how this machine does: RealtimeReport, SystemState, and if asked for NodeStatus."""
    from clacks.sources.host import HostSource

    settings = as_service(Settings.load().changed(state_dir=state_dir), metrics, log_format)
    own = settings.sources.host
    own = replace(own, status=own.status if status is None else status)

    async def work(bus: Bus, registry: SchemaRegistry, settings: Settings) -> None:
        await HostSource(registry, own, bus.publish).run()

    _run(work, settings, url, password_file, events, "host")


@app.command()
def jobs(
    url: Url = None,
    password_file: PasswordFile = None,
    events: Events = None,
    metrics: MetricsAt = None,
    log_format: LogFormat = None,
    state_dir: StateDir = None,
) -> None:
    """Run the jobs that the settings name, for calls to a queue of its own; publish JobStatus events.

    An agent does the same for calls to itself if its settings name jobs.
    """
    from clacks.agent.service import RightsFile
    from clacks.common.address import command_address
    from clacks.common.command import CommandTable
    from clacks.common.errors import CommandError
    from clacks.common.jsonrpc import FORBIDDEN, Request
    from clacks.sources.jobs import JobCommands, JobRunner

    settings = as_service(Settings.load().changed(state_dir=state_dir), metrics, log_format)
    if not settings.jobs:
        raise SettingsError("settings", "there is no job; write a table [jobs.NAME] with a command")
    own = settings.sources.jobs
    file = RightsFile(settings.rights_file)
    rights = file.read()

    async def work(bus: Bus, registry: SchemaRegistry, settings: Settings) -> None:
        runner = JobRunner(registry, own, settings.jobs, bus.publish, limits=settings.limits)
        table = CommandTable("clacks source jobs")
        table.register(JobCommands(runner, lambda user, method: rights.may_call(user, method)))

        def answer(request: Request, user: str, on_behalf_of: str | None) -> object:
            nonlocal rights
            if file.changed():
                rights = file.read()
            caller = on_behalf_of or user
            if caller != user and not rights.may_impersonate(user, caller):
                raise CommandError(FORBIDDEN, f"{user} may not act in the name of {caller[:100]}")
            if not rights.may_call(caller, request.method):
                raise CommandError(FORBIDDEN, f"{caller} may not call {request.method[:100]}")
            return table.run(request, caller)

        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run())
            service = await bus.serve(answer, address=command_address(bus.domain, own.queue))
            try:
                await asyncio.Event().wait()
            finally:
                await service.close()

    _run(work, settings, url, password_file, events, f"jobs ({', '.join(settings.jobs)})")
