from __future__ import annotations

import asyncio
import json

from clacks.dialects.access import Access, Identity
from clacks.dialects.exchange import Request, Response
from clacks.dialects.session import Hello, Knowledge
from clacks.dialects.truenas import VERSIONS, events_page, truenas_routes

from .client import REGISTRY, RIGHTS


class Asking:
    def __init__(self, user: str) -> None:
        self.access = Access(Identity(user), lambda: RIGHTS)

    def get(self, path: str) -> Response:
        route = truenas_routes(Knowledge(REGISTRY, "bus", lambda: 0))["GET", path]
        answer = asyncio.run(route(Request("GET", path, {}, {}, b"", Hello(path)), self))  # type: ignore[arg-type]
        assert isinstance(answer, Response)
        return answer


def test_every_event_is_listed_with_its_description_and_what_the_star_covers():
    page = events_page(REGISTRY)
    for kind in REGISTRY.kinds - {"JobStatus", "RealtimeReport"}:
        assert f"## {kind}\n" in page
    assert "## core.get_jobs\n" in page
    part = page.partition("## reporting.realtime")[2].partition("\n## ")[0]
    assert "cannot be subscribed to with the wildcard `*`" in part
    assert page.count("This event can") == len(REGISTRY.kinds)


def test_who_asks_sees_the_events_that_he_may_read():
    page = Asking("bob").get("/api/docs/events").body.decode()
    assert page.count("\n## ") == 1
    assert "## PhoneStatus" in page


def test_versions_are_listed():
    assert json.loads(Asking("").get("/api/versions").body) == list(VERSIONS)
