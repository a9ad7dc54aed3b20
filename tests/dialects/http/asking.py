"""A route and who asks it, without a server: effects are answered from a table."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import NOBODY, Access, Identity
from clacks.dialects.actions import Call, Effect, Failed, Failure, Outcome, Publish, Published, XmlDraft
from clacks.dialects.exchange import EventStream, Request, Response
from clacks.dialects.http import http_routes
from clacks.dialects.session import Hello, Knowledge

REGISTRY = SchemaRegistry(plugins=False)
NS = "http://www.gonicus.de/Events"
RIGHTS: Rights = parse_rights(
    """
[users.ann]
roles = ["admin"]
[users.bob]
roles = ["few"]
[roles.few]
read = ["PhoneStatus"]
"""
)


class Asker:
    """Somebody who asks; ``results`` are what calls of commands return."""

    def __init__(self, user: str = "ann", *, recording: bool = True) -> None:
        self.access = Access(Identity(user) if user else NOBODY, lambda: RIGHTS)
        self.effects: list[Effect] = []
        self.results: dict[str, Outcome] = {}
        self.routes = http_routes(Knowledge(REGISTRY, "bus", lambda: 0, recording=lambda: recording))

    async def perform(self, effect: Effect) -> Outcome:
        self.effects.append(effect)
        match effect:
            case Publish(_, XmlDraft(xml)):
                REGISTRY.receive(xml)
                return Published("5-1")
            case Publish(_, draft):
                return self.results.get(draft.kind, Published("5-1"))  # type: ignore[union-attr]
            case Call(_, method):
                return self.results.get(method, Failed(Failure.UNKNOWN, f"no {method}"))
        raise AssertionError(effect)

    def ask(
        self, method: str, url: str, body: bytes | str = b"", *, near: bool = True, **headers: str
    ) -> Response | EventStream:
        parts = urlsplit(url)
        hello = Hello(parts.path, secure=near, access=self.access)
        request = Request(
            method,
            parts.path,
            {name: tuple(values) for name, values in parse_qs(parts.query).items()},
            {name.replace("_", "-"): value for name, value in headers.items()},
            body.encode() if isinstance(body, str) else body,
            hello,
        )
        place = parts.path if (method, parts.path) in self.routes else "/schemas/"
        return asyncio.run(self.routes[method, place](request, self))

    def answer(self, method: str, url: str, body: bytes | str = b"", **more: Any) -> tuple[int, Any]:
        """Return status and body, as a value where it is JSON."""
        response = self.ask(method, url, body, **more)
        assert isinstance(response, Response)
        return response.status, json.loads(
            response.body
        ) if "json" in response.content_type else response.body


def phone(status: str = "busy") -> str:
    return (
        f'<Event xmlns="{NS}"><PhoneStatus><CallerId>1</CallerId><ReceiverId>2</ReceiverId>'
        f"<Status>{status}</Status></PhoneStatus></Event>"
    )
