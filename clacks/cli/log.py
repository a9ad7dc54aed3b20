"""``clacks log``: how much is in the event log, copies of it, and pruning; while it is in use."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from clacks.cli import output
from clacks.cli.options import PasswordFile, Timeout, Url

__all__ = ["app", "backup", "prune", "status"]

app = typer.Typer(no_args_is_help=True, help="See, copy and prune the event log of a running agent.")

_LONG = 600.0  # seconds: copying and pruning take their time


@app.command("status")
def status(url: Url = None, password_file: PasswordFile = None, timeout: Timeout = 30.0) -> None:
    """Show how much is in the event log."""
    output.line(json.dumps(_ask("getLogStatus", {}, url, password_file, timeout), indent=2))


@app.command("backup")
def backup(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the file; else the time is.")
    ] = None,
    url: Url = None,
    password_file: PasswordFile = None,
    timeout: Timeout = _LONG,
) -> None:
    """Copy event log and key/value store into a new file on the machine that records, and show its path.

    It is in the folder backups beside the log. Recording goes on meanwhile.
    """
    output.line(str(_ask("backupLog", {"name": name} if name else {}, url, password_file, timeout)))


@app.command("prune")
def prune(
    keep: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Remove what is older, such as 30d, 12h, 90m."),
    ] = None,
    events: Annotated[
        int | None, typer.Option("--keep-events", min=0, metavar="N", help="Keep so many, the newest.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--keep-bytes", min=0, metavar="N", help="Keep so many bytes.")
    ] = None,
    url: Url = None,
    password_file: PasswordFile = None,
    timeout: Timeout = _LONG,
) -> None:
    """Remove the oldest events now; without an option only what expired."""
    from clacks.store.moments import moment

    bounds: dict[str, Any] = {"events": events, "bytes": size}
    if keep is not None:
        try:
            ago = moment(f"-{keep}", 0x7FFFFFFFFFFF)
        except ValueError as error:
            raise typer.BadParameter(f"--older-than: {error}") from error
        if not isinstance(ago, int):
            raise typer.BadParameter(f"--older-than: an age is expected, not {keep!r}")
        bounds["seconds"] = (0x7FFFFFFFFFFF - ago) / 1000
    given = {name: value for name, value in bounds.items() if value is not None}
    went = _ask("pruneLog", given, url, password_file, timeout)
    output.note(f"removed {went} events")


def _ask(method: str, arguments: dict[str, Any], url: Any, password_file: Any, timeout: float) -> Any:
    """Call a command of the agent that records.

    Raises:
        CommandError: Nobody records, or it refuses.
    """
    import asyncio

    from clacks.bus.recording import LOG_QUEUE, NOBODY_RECORDS, PATIENCE
    from clacks.cli.connection import bus_url, open_bus
    from clacks.common.address import command_address
    from clacks.common.errors import CommandTimeout
    from clacks.common.jsonrpc import Request
    from clacks.common.settings import Settings

    settings = Settings.load()
    bus_at = bus_url(url, settings, password_file=password_file)

    async def ask() -> Any:
        async with open_bus(bus_at, settings) as bus:
            return await bus.request(
                Request(method, arguments),
                timeout=timeout,
                address=command_address(bus_at.domain, LOG_QUEUE),
                patience=PATIENCE,
            )

    try:
        return asyncio.run(ask())
    except CommandTimeout as error:
        raise CommandTimeout(error.code, NOBODY_RECORDS) from None
