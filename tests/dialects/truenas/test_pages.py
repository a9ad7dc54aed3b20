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

    def get(self, path: str, **headers: str) -> Response:
        route = truenas_routes(Knowledge(REGISTRY, "bus", lambda: 0))["GET", path]
        answer = asyncio.run(route(Request("GET", path, {}, headers, b"", Hello(path)), self))  # type: ignore[arg-type]
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


def test_a_browser_gets_a_page_that_shows_texts_as_texts(monkeypatch):
    monkeypatch.setattr(REGISTRY, "documentation", lambda kind: f"<script>{kind}</script> & more")
    answer = Asking("bob").get("/api/docs/events", accept="text/html,*/*")
    page = answer.body.decode()
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert (
        '<h2 id="PhoneStatus">PhoneStatus</h2>\n<p>&lt;script&gt;PhoneStatus&lt;/script&gt; &amp; more'
        in page
    )
    assert "<script" not in page
    assert "can be subscribed to with the wildcard <code>*</code>" in page
    assert page.count("<h2") == 1
    assert "Log in to see more" in Asking("nobody").get("/api/docs/events", accept="text/html").body.decode()


def test_versions_are_listed():
    assert json.loads(Asking("").get("/api/versions").body) == list(VERSIONS)
