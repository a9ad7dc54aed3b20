"""``clacks events``: see, check and make event types."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clacks.cli import output
from clacks.cli.exits import Exit
from clacks.cli.options import Events, PasswordFile, Timeout, Url

if TYPE_CHECKING:
    from clacks.common.schema import SchemaRegistry
    from clacks.common.schema_model import ElementDecl, SimpleType
    from clacks.common.settings import Settings

__all__ = [
    "app",
    "asyncapi",
    "content_lines",
    "list_events",
    "new",
    "pull",
    "registry_of",
    "show",
    "skeleton",
    "validate",
]

app = typer.Typer(no_args_is_help=True, help="See, check and make event types.")

Kind = Annotated[str, typer.Argument(metavar="NAME", help="The event type, such as PhoneStatus.")]
Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", help="Where to write; else the first of your event folders."),
]


def registry_of(settings: Settings, events: list[Path] | None = None) -> SchemaRegistry:
    """Return the event types of the package, of plug-ins and of the user's folders.

    The registry logs which files it refuses, and every command shows warnings of the log.
    """
    from clacks.common.schema import SchemaRegistry

    registry = SchemaRegistry([*(events or ()), *settings.events])
    registry.load()
    return registry


def _registry(events: list[Path] | None) -> SchemaRegistry:
    from clacks.common.settings import Settings

    return registry_of(Settings.load(), events)


@app.command("list")
def list_events(events: Events = None) -> None:
    """Show all event types with the first sentence of their documentation."""
    registry = _registry(events)
    output.table(
        ("Event type", "What it is"),
        [(kind, _first_sentence(registry.documentation(kind))) for kind in sorted(registry.kinds)],
    )


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    match = re.match(r".*?[.!?](?=\s|$)", flat)
    return match[0] if match else flat


@app.command("show")
def show(
    kind: Kind,
    xsd: Annotated[bool, typer.Option("--xsd", help="Show the schema itself and nothing else.")] = False,
    events: Events = None,
) -> None:
    """Show what an event type means and what it holds."""
    registry = _registry(events)
    documentation = registry.documentation(kind)
    if xsd:
        output.line(registry.sources()[kind].decode("utf-8"))
        return
    import inspect

    output.line(f"{kind}\n\n{inspect.cleandoc(documentation)}\n\n")
    for row in content_lines(registry.model(kind)):
        output.line(row)


def content_lines(element: ElementDecl, depth: int = 0) -> Iterator[str]:
    """Yield a line for each element and attribute below ``element``: its name, how often, its type."""
    from clacks.common.schema_model import ComplexType

    indent = "  " * (depth + 1)
    if not isinstance(element.type, ComplexType) or depth > 8:
        return
    for attribute in element.type.attributes.values():
        yield f"{indent}@{attribute.name}{'' if attribute.required else '?'}  {_type_name(attribute.type)}"
    for member in element.type.members.values():
        times = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}.get(
            (member.least, member.most), f"{{{member.least},{member.most or ''}}}"
        )
        if isinstance(member.type, ComplexType):
            shown = f"  {_type_name(member.type.text)}" if member.type.text else ""
        else:
            shown = f"  {'JSON' if member.json else _type_name(member.type)}"
        yield f"{indent}{member.name}{times}{shown}"
        yield from content_lines(member, depth + 1)


def _type_name(type_: SimpleType) -> str:
    if type_.facets.enumeration:
        return " | ".join(type_.facets.enumeration)
    if type_.item is not None:
        return f"list of {_type_name(type_.item)}"
    return type_.builtin


@app.command("validate")
def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE ...", help="Event documents; - is standard input.")
    ],
    events: Events = None,
) -> None:
    """Check event documents; show every fault with file, path and line."""
    from clacks.common.errors import EventError

    registry = _registry(events)
    wrong = 0
    for name in files:
        data = _read(name)
        try:
            found = [str(error) for error in registry.iter_errors(data)]
            kind = "" if found else registry.receive(data).kind
        except EventError as error:
            found, kind = [str(error)], ""
        for text in found:
            output.line(f"{name}: {text}")
        if not found:
            output.line(f"{name}: valid {kind}")
        wrong += bool(found)
    if wrong:
        output.error(f"{wrong} of {len(files)} not valid")
        raise typer.Exit(Exit.EVENT)


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def skeleton(kind: str) -> str:
    """Return the text of a schema to start from.

    Raises:
        SettingsError: If ``kind`` cannot be the name of an event type.
    """
    from clacks.common.errors import SettingsError

    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{1,63}", kind, re.ASCII):
        raise SettingsError("event type", f"{kind!r}: a capital, then letters and digits, such as DoorOpened")
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!-- The name of this file, of the element and of the type are the same. Helper types start with it too,
     because all event types share one namespace: {kind}Part. Later changes only add optional elements. -->
<schema targetNamespace="http://www.gonicus.de/Events" elementFormDefault="qualified"
        xmlns="http://www.w3.org/2001/XMLSchema" xmlns:e="http://www.gonicus.de/Events"
        xmlns:c="urn:clacks:annotations">
  <complexType name="{kind}">
    <annotation>
      <documentation>
        Say here who sends {kind}, when it is sent, and what a receiver may
        conclude from it.
      </documentation>
      <appinfo>
        <!-- the element that says which thing this is about -->
        <c:key>Id</c:key>
      </appinfo>
    </annotation>
    <sequence>
      <element name="Id" type="string"/>
      <element name="Timestamp" type="dateTime"/>
      <element name="Note" type="string" minOccurs="0"/>
    </sequence>
  </complexType>
  <element name="{kind}" type="e:{kind}"/>
</schema>
"""


@app.command("new")
def new(kind: Kind, folder: Folder = None) -> None:
    """Write a schema for a new event type, to be filled in."""
    from clacks.common.errors import SchemaError
    from clacks.common.settings import Settings

    text = skeleton(kind)
    settings = Settings.load()
    where = folder or (settings.events[0] if settings.events else Path("events"))
    if kind in registry_of(settings).kinds:
        raise SchemaError(str(where / f"{kind}.xsd"), f"there is an event type {kind} already")
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{kind}.xsd"
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    output.line(str(path))
    if folder is None and not settings.events:
        output.note(f"use it with --events {where}, or set CLACKS_EVENTS={where.resolve()}")


@app.command("pull")
def pull(
    folder: Folder = None, url: Url = None, password_file: PasswordFile = None, timeout: Timeout = 30.0
) -> None:
    """Fetch the schemas of a bus that this machine lacks."""
    import asyncio

    from clacks.cli.connection import bus_url, open_bus
    from clacks.common.errors import CommandError
    from clacks.common.settings import Settings

    settings = Settings.load()
    registry = registry_of(settings)
    where = folder or (settings.events[0] if settings.events else Path("events"))
    bus_at = bus_url(url, settings, password_file=password_file)

    async def fetch() -> object:
        async with open_bus(bus_at, settings, registry) as bus:
            return await bus.call("getSchemas", timeout=timeout)

    schemas = asyncio.run(fetch())
    if not isinstance(schemas, dict):
        raise CommandError(0, "the agent's answer to getSchemas is no mapping")
    got = 0
    for kind, text in sorted(schemas.items()):
        # The name becomes a file name: what a stranger sends may not leave the folder.
        if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", kind, re.ASCII):
            output.warning(f"passed over, no name or schema: {kind!r}")
            continue
        if kind in registry.kinds:
            if registry.sources()[kind].decode("utf-8") != text:
                output.warning(f"{kind} differs from the one on this machine, which stays")
            continue
        where.mkdir(parents=True, exist_ok=True)
        path = where / f"{kind}.xsd"
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        output.line(str(path))
        got += 1
    output.note(f"{got} new, {len(schemas)} on the bus")
    from clacks.common.schema import SchemaRegistry

    if got:
        SchemaRegistry([where, *settings.events]).load()  # what cannot be used is told now


@app.command("asyncapi")
def asyncapi(url: Url = None, events: Events = None) -> None:
    """Write an AsyncAPI 3 document of all event types; with --url it names the server."""
    import json

    from clacks.common.address import BusURL
    from clacks.common.asyncapi import asyncapi_document
    from clacks.common.settings import Settings

    settings = Settings.load()
    bus_at = BusURL.parse(url, default_domain=settings.domain) if url is not None else settings.url
    domain = bus_at.domain if bus_at is not None else settings.domain
    output.line(json.dumps(asyncapi_document(registry_of(settings, events), domain, bus_at), indent=2))
