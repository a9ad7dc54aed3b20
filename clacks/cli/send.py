"""``clacks send``: send one event."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clacks.cli import output
from clacks.cli.options import Events, PasswordFile, Url

if TYPE_CHECKING:
    from clacks.common.event import Event
    from clacks.common.schema import SchemaRegistry
    from clacks.common.tracing import Tracing

__all__ = ["app", "event_from", "send"]

app = typer.Typer(add_completion=False)


def event_from(what: str, values: list[str], registry: SchemaRegistry) -> Event:
    """Return the event that the arguments name: a file, ``-``, or a type with ``Name=value`` elements.

    An element that may occur several times is given several times. ``Outer.Inner=value`` is an element
    inside another one.

    Raises:
        EventError: If it is no valid event.
        typer.BadParameter: If an argument has no ``=``.
        OSError: If the file cannot be read.
    """
    if what == "-" or "/" in what or what.endswith(".xml") or (not values and Path(what).is_file()):
        if values:
            raise typer.BadParameter(f"{what} is a file: no Name=value can follow")
        return registry.receive(sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes())
    content: dict[str, Any] = {}
    for text in values:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise typer.BadParameter(f"Name=value expected, not {text!r}")
        _put(content, path.split("."), value)
    return registry.from_dict(what, _listed(content, registry.model(what)))


def _put(content: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        inner = content.setdefault(name, {})
        if not isinstance(inner, dict):
            raise typer.BadParameter(f"{name} has a value and elements")
        content = inner
    given = content.setdefault(path[-1], [])
    if not isinstance(given, list):
        raise typer.BadParameter(f"{path[-1]} has a value and elements")
    given.append(value)


def _listed(content: dict[str, Any], element: Any) -> dict[str, Any]:
    """Give single values to elements that occur once, and lists to the others."""
    from clacks.common.schema_model import ComplexType

    members = element.type.members if isinstance(element.type, ComplexType) else {}
    made: dict[str, Any] = {}
    for name, value in content.items():
        member = members.get(name)
        if isinstance(value, dict):
            inner = _listed(value, member) if member is not None else value
            made[name] = [inner] if member is not None and member.repeated else inner
        elif member is not None and member.repeated:
            made[name] = value
        else:
            if len(value) > 1:
                raise typer.BadParameter(f"{name} occurs once, not {len(value)} times")
            made[name] = value[0]
    return made


@app.command()
def send(
    what: Annotated[str, typer.Argument(metavar="FILE|-|TYPE", help="A document, or the type of an event.")],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE ...]", help="The elements of the event.")
    ] = None,
    url: Url = None,
    password_file: PasswordFile = None,
    events: Events = None,
) -> None:
    """Send one event, from a file, from standard input or put together here.

    The event is checked before anything is sent. Nobody has to be listening.
    """
    import asyncio
    import os

    from clacks.cli.connection import bus_url, open_bus
    from clacks.cli.events import registry_of
    from clacks.common.errors import ConnectionLost
    from clacks.common.settings import Settings
    from clacks.net.tracing import running_tracing

    settings = Settings.load()
    registry = registry_of(settings, events)
    event = event_from(what, values or [], registry)
    bus_at = bus_url(url, settings, password_file=password_file)

    async def publish(tracing: Tracing | None) -> bool:
        async with open_bus(bus_at, settings, registry, tracing=tracing) as bus:
            sent = await bus.publish(event)
            await bus.flush()
            return sent

    with running_tracing("clacks-send", os.environ) as tracing:
        sent = asyncio.run(publish(tracing))
    if not sent:
        raise ConnectionLost(f"{bus_at.host} took no {event.kind} for five seconds; it was not sent")
    output.note(f"sent {event.kind} to {bus_at}")
