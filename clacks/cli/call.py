"""``clacks call``: call a command of an agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clacks.cli import output
from clacks.cli.options import PasswordFile, Timeout, Url

if TYPE_CHECKING:
    from clacks.bus import Bus
    from clacks.common.tracing import Tracing

__all__ = ["app", "argument", "arguments", "call", "completions"]

app = typer.Typer(add_completion=False)


def argument(text: str) -> Any:
    """Return the value of one argument: JSON if it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments(texts: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return positional and named arguments; ``name:=value`` is a named one.

    Raises:
        typer.BadParameter: If there are both kinds, which JSON-RPC does not know.
    """
    named: dict[str, Any] = {}
    positional: list[Any] = []
    for text in texts:
        name, sign, value = text.partition(":=")
        if sign and name.isidentifier():
            named[name] = argument(value)
        else:
            positional.append(argument(text))
    if named and positional:
        raise typer.BadParameter("positional and named arguments exclude each other")
    return positional, named


def completions(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the commands of the bus that begin so, with the first line of what they do; for the shell.

    A shell that waits for it asks nobody for a password and shows no error: then there is nothing.
    """
    import asyncio
    import os

    from clacks.cli.connection import bus_url, open_bus
    from clacks.common.errors import ClacksError
    from clacks.common.settings import Settings

    given = ctx.params
    try:
        settings = Settings.load()
        option, file = given.get("url"), given.get("password_file")
        named = option or (str(settings.url) if settings.url is not None else "")
        secret = bool(file or os.environ.get("CLACKS_PASSWORD"))
        known = settings.url is not None and settings.url.password is not None
        if not secret and not known and ":" not in named.partition("://")[2].rpartition("@")[0]:
            return []
        bus_at = bus_url(option, settings, password_file=Path(file) if file else None)

        async def ask() -> Any:
            async with asyncio.timeout(3.0), open_bus(bus_at, settings) as bus:
                return await bus.call("getMethods", timeout=2.0)

        found = asyncio.run(ask())
    except (ClacksError, OSError, TimeoutError):
        return []
    return [
        (name, (facts["documentation"].strip().splitlines() or [""])[0])
        for name, facts in found.items()
        if name.startswith(incomplete)
    ]


async def _describe(bus: Bus, method: str | None, address: str, timeout: float) -> None:
    """Show what the commands of the bus are and do: one of them, or a line for each."""
    from clacks.common.errors import CommandRefused
    from clacks.common.jsonrpc import METHOD_NOT_FOUND, Request

    found = await bus.request(Request("getMethods"), timeout=timeout, address=address)
    if method is None:
        rows = [
            (facts["signature"], (facts["documentation"].strip().splitlines() or [""])[0])
            for facts in found.values()
        ]
        output.table(("command", ""), rows)
        return
    if method not in found:
        raise CommandRefused(METHOD_NOT_FOUND, f"there is no command {method}, or you may not call it")
    facts = found[method]
    output.line(facts["signature"])
    if facts["documentation"]:
        output.line("\n" + "\n".join(f"    {line}".rstrip() for line in facts["documentation"].splitlines()))
    kinds = {
        "NORMAL": "one of them carries it out",
        "FIRSTRESULT": "they are asked in turn until one has a result",
        "CUMMULATIVE": "all of them carry it out, the results come by node",
    }
    nodes = ", ".join(facts.get("nodes") or ["?"])
    output.line(f"\non {nodes}: {kinds.get(facts['type'], facts['type'])}")


@app.command(context_settings={"ignore_unknown_options": True})
def call(
    method: Annotated[
        str | None,
        typer.Argument(metavar="METHOD", help="The command; --list shows all.", autocompletion=completions),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARG ...]", help="JSON or text; NAME:=VALUE is a named argument."),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Ask this agent, not any.")
    ] = None,
    queue: Annotated[str, typer.Option("--queue", metavar="QUEUE", help="The command queue.")] = "core",
    describe: Annotated[
        bool, typer.Option("--describe", help="Do not call it: show its arguments and what it does.")
    ] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Show all commands that you may call.")] = False,
    url: Url = None,
    password_file: PasswordFile = None,
    timeout: Timeout = 30.0,
) -> None:
    """Call a command of an agent and show its result as JSON."""
    import asyncio
    import os

    from clacks.cli.connection import bus_url, open_bus
    from clacks.common.address import command_address
    from clacks.common.jsonrpc import Request
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    if method is None and not list_all:
        raise typer.BadParameter("say which command, or --list")
    positional, named = arguments(values or [])
    settings = Settings.load()
    bus_at = bus_url(url, settings, password_file=password_file)
    try:
        address = command_address(bus_at.domain, queue, node)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    async def ask(tracing: Tracing | None) -> Any:
        async with open_bus(bus_at, settings, tracing=tracing) as bus:
            if list_all or describe or method is None:
                await _describe(bus, None if list_all else method, address, timeout)
                return None
            return await bus.request(Request(method, named or positional), timeout=timeout, address=address)

    with running_tracing("clacks-call", os.environ) as tracing:
        result = asyncio.run(ask(tracing))
    if list_all or describe:
        return
    output.line(json.dumps(result, ensure_ascii=False, indent=2 if output.on_terminal() else None))
