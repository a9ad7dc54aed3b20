"""``clacks doctor``: look at everything and say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from clacks.cli import output
from clacks.cli.exits import Exit
from clacks.cli.options import Events, PasswordFile, StateDir, Url

if TYPE_CHECKING:
    from clacks.cli import checks

__all__ = ["app", "doctor"]

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    url: Url = None, password_file: PasswordFile = None, events: Events = None, state_dir: StateDir = None
) -> None:
    """Check the installation, the settings, schemas, users, the connection and the broker; say what to do.

    Ends with 10 if something needs to be mended. The connection is checked if a bus is named.
    """
    import asyncio

    from clacks.cli import checks
    from clacks.cli.connection import bus_url
    from clacks.common.errors import SettingsError
    from clacks.common.schema import SchemaRegistry
    from clacks.common.settings import Settings

    found = list(checks.installation())
    try:
        settings = Settings.load().changed(state_dir=state_dir)
    except SettingsError as error:
        _show(
            [
                *found,
                checks.Finding(checks.Level.FAULT, str(error), "mend the settings; the rest was not checked"),
            ]
        )
        raise typer.Exit(Exit.DOCTOR) from None
    registry = SchemaRegistry([*(events or ()), *settings.events])
    found += [*checks.schemas(registry), *checks.plugins(settings, registry), *checks.state(settings)]
    if url is None and settings.url is None:
        advice = "name one: --url amqps://USER@HOST/DOMAIN, CLACKS_URL, or url in the settings file"
        found.append(
            checks.Finding(checks.Level.WARNING, "no bus is named: no connection was checked", advice)
        )
    else:
        bus_at = bus_url(url, settings, password_file=password_file)
        found += asyncio.run(checks.broker(bus_at, settings, registry))
    _show(found)
    if any(finding.level is checks.Level.FAULT for finding in found):
        raise typer.Exit(Exit.DOCTOR)


def _show(found: list[checks.Finding]) -> None:
    colours = {"ok": "32", "warning": "33", "fault": "31"}
    for finding in found:
        word = finding.level.value
        shown = f"\x1b[{colours[word]}m{word:<7}\x1b[0m" if output.on_terminal() else f"{word:<7}"
        output.line(f"{shown} {finding.what}")
        if finding.advice:
            output.line(f"        -> {finding.advice}")
