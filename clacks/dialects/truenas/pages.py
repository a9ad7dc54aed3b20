"""Pages about the dialect, for people and for clients that ask first: which versions, which events."""

from __future__ import annotations

from typing import Final

from clacks.common.schema import SchemaRegistry
from clacks.dialects.exchange import Actor, Request, Response, Routes, json_response
from clacks.dialects.session import Knowledge
from clacks.dialects.truenas.collections import collections_of
from clacks.dialects.truenas.methods import VERSIONS

__all__ = ["events_page", "truenas_routes"]

_HEAD: Final = """# Websocket Events

What happens on the bus, as collections that clients of TrueNAS subscribe to.

An event may be asked for with an argument, behind a colon: `NAME:ARGUMENT`. The argument is JSON:

- `PhoneStatus:{"Status": "busy"}`: those events whose fields equal these.
- `PhoneStatus:{"xquery": "..."}`: those that a query lets through; this needs the right `web.xquery`.
- `reporting.realtime:{"interval": 5}`: seconds between two reports, at least 2.
"""


def events_page(registry: SchemaRegistry, kinds: frozenset[str] | None = None) -> str:
    """Return the page of all events, or of these types, in Markdown: the meaning of each, and whether ``*``
    covers it."""
    parts = [_HEAD]
    for name, collection in collections_of(registry).items():
        if kinds is not None and collection.kind not in kinds:
            continue
        can = "can" if collection.wildcard else "cannot"
        text = " ".join(registry.documentation(collection.kind).split("\n\n")[0].split())
        parts.append(
            f"## {name}\n\n{_escaped(text)}\n\n"
            f"This event {can} be subscribed to with the wildcard `*` as the event name.\n"
        )
    return "\n".join(parts)


def _escaped(text: str) -> str:
    for sign in "\\`*_<>[]":
        text = text.replace(sign, "\\" + sign)
    return text


def truenas_routes(knowledge: Knowledge) -> Routes:
    """Return the routes beside the WebSocket ones."""

    async def get_versions(request: Request, actor: Actor) -> Response:
        return json_response(list(VERSIONS))

    async def get_events(request: Request, actor: Actor) -> Response:
        """Answer with the page of those events that may be read."""
        registry = knowledge.registry
        kinds = frozenset(kind for kind in registry.kinds if actor.access.may_read(kind))
        return Response(200, events_page(registry, kinds).encode(), "text/markdown; charset=utf-8")

    return {("GET", "/api/versions"): get_versions, ("GET", "/api/docs/events"): get_events}
