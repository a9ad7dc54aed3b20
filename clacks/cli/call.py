"""``clacks call``: call a command of an agent."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from clacks.cli import output
from clacks.cli.options import PasswordFile, Timeout, Url

__all__ = ["app", "argument", "arguments", "call"]

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


@app.command(context_settings={"ignore_unknown_options": True})
def call(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="The command; getMethods shows all.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARG ...]", help="JSON or text; NAME:=VALUE is a named argument."),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Ask this agent, not any.")
    ] = None,
    queue: Annotated[str, typer.Option("--queue", metavar="QUEUE", help="The command queue.")] = "core",
    url: Url = None,
    password_file: PasswordFile = None,
    timeout: Timeout = 30.0,
) -> None:
    """Call a command of an agent and show its result as JSON."""
    import asyncio

    from clacks.cli.connection import bus_url, open_bus
    from clacks.common.address import command_address
    from clacks.common.jsonrpc import Request
    from clacks.common.settings import Settings

    positional, named = arguments(values or [])
    settings = Settings.load()
    bus_at = bus_url(url, settings, password_file=password_file)
    try:
        address = command_address(bus_at.domain, queue, node)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    async def ask() -> Any:
        async with open_bus(bus_at, settings) as bus:
            return await bus.request(Request(method, named or positional), timeout=timeout, address=address)

    result = asyncio.run(ask())
    output.line(json.dumps(result, ensure_ascii=False, indent=2 if output.on_terminal() else None))
