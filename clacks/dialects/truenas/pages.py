"""Pages about the dialect, for people and for clients that ask first: which versions, which events."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from clacks.common.schema import SchemaRegistry
from clacks.dialects.exchange import Actor, Request, Response, Routes, json_response
from clacks.dialects.session import Knowledge
from clacks.dialects.truenas.collections import collections_of
from clacks.dialects.truenas.methods import VERSIONS

__all__ = ["events_html", "events_page", "truenas_routes"]

_HEAD: Final = """# Websocket Events

What happens on the bus, as collections that clients of TrueNAS subscribe to.

An event may be asked for with an argument, behind a colon: `NAME:ARGUMENT`. The argument is JSON:

- `PhoneStatus:{"Status": "busy"}`: those events whose fields equal these.
- `PhoneStatus:{"xquery": "..."}`: those that a query lets through; this needs the right `web.xquery`.
- `reporting.realtime:{"interval": 5}`: seconds between two reports, at least 2.

A client subscribes with `{"id": ID, "msg": "sub", "name": NAME}` at `/websocket`, and by the method
`core.subscribe` at `/api/current`. The name `*` stands for all those events below that it covers.
"""


def events_page(registry: SchemaRegistry, kinds: frozenset[str] | None = None) -> str:
    """Return the page of all events, or of these types, in Markdown: the meaning of each, and whether ``*``
    covers it."""
    parts = [_HEAD]
    for name, text, can in _entries(registry, kinds):
        parts.append(
            f"## {name}\n\n{_escaped(text)}\n\n"
            f"This event {can} be subscribed to with the wildcard `*` as the event name.\n"
        )
    return "\n".join(parts)


def events_html(registry: SchemaRegistry, kinds: frozenset[str] | None = None) -> str:
    """Return the same page for a browser."""
    title, _, rest = _HEAD.partition("\n")
    words = [_block(part) for part in rest.strip().split("\n\n")]
    entries = [
        f'<h2 id="{escape(name)}">{escape(name)}</h2>\n<p>{escape(text)}</p>\n'
        f"<p>This event {can} be subscribed to with the wildcard <code>*</code> as the event name.</p>"
        for name, text, can in _entries(registry, kinds)
    ]
    nothing = "<p><em>There is none that you may read. Log in to see more.</em></p>"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title.lstrip('# ')}</title></head>\n<body>\n<h1>{title.lstrip('# ')}</h1>"
    )
    return "\n".join([head, *words, *(entries or [nothing]), "</body></html>\n"])


def _entries(registry: SchemaRegistry, kinds: frozenset[str] | None) -> Iterator[tuple[str, str, str]]:
    """Yield name, description, and ``can`` or ``cannot``."""
    for name, collection in collections_of(registry).items():
        if kinds is None or collection.kind in kinds:
            text = " ".join(registry.documentation(collection.kind).split("\n\n")[0].split())
            yield name, text, "can" if collection.wildcard else "cannot"


def _block(text: str) -> str:
    """Return a paragraph or a list of ours, with its code, as HTML."""
    pieces = escape(text, False).split("`")
    html = "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))
    if not html.startswith("- "):
        return f"<p>{html}</p>"
    return "<ul>\n" + "\n".join(f"<li>{item.strip()}</li>" for item in html[2:].split("\n- ")) + "\n</ul>"


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
        if "text/html" not in request.headers.get("accept", ""):
            return Response(200, events_page(registry, kinds).encode(), "text/markdown; charset=utf-8")
        headers = {"Content-Security-Policy": "default-src 'none'"}
        return Response(200, events_html(registry, kinds).encode(), "text/html; charset=utf-8", headers)

    return {("GET", "/api/versions"): get_versions, ("GET", "/api/docs/events"): get_events}
