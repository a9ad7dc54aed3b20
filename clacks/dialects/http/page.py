"""The live page and what it asks for beside the rest: a session, a look at a query, the event log.

The page logs in with ``POST /session`` (user and password in an ``Authorization`` header, never in an
address) and gets a token that lives in this gateway's memory; it keeps it for as long as its tab is open.
No cookies: nothing that another site's page could make the browser send.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from clacks import web
from clacks.common.errors import QueryError
from clacks.dialects.access import GUEST
from clacks.dialects.actions import EndToken, Failed, MakeToken, Recall, Recalled, Result, Wanted
from clacks.dialects.exchange import Actor, Request, Response, Route, Routes, json_response
from clacks.dialects.http.formats import shown
from clacks.dialects.http.problems import problem, refusal
from clacks.dialects.http.stream import BadSince, read_since
from clacks.dialects.session import Knowledge
from clacks.filters.index import FilterIndex, event_kinds
from clacks.xquery import compile_query
from clacks.xquery.budget import BROKER_BUDGET

__all__ = ["POLICY", "page_routes"]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the page: its own files only, no inline script or style, no frames."""

SESSION_SECONDS: Final = 8 * 3600
MOST_EVENTS: Final = 1000
"""Events of one look into the log."""


def page_routes(knowledge: Knowledge) -> Routes:
    """Return the routes of the page."""
    files = {
        ("GET", "/" if name == "index.html" else f"/web/{name}"): _file(name, media)
        for name, media in web.FILES.items()
    }
    return {
        **files,
        ("GET", "/session"): _who(knowledge),
        ("POST", "/session"): _begin_session(knowledge),
        ("DELETE", "/session"): _end_session,
        ("POST", "/xquery"): _look_at_query,
        ("GET", "/log"): _log_route(knowledge),
    }


def _file(name: str, media: str) -> Route:
    body = web.content(name)
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",  # ask each time; the answer is 304 unless Clacks was updated
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }

    async def get_file(request: Request, actor: Actor) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(304, b"", media, headers)
        return Response(200, body, media, headers)

    return get_file


def _facts(knowledge: Knowledge, actor: Actor) -> dict[str, Any]:
    access, kinds = actor.access, sorted(knowledge.registry.kinds)
    return {
        "user": access.user,
        "guest": access.user == GUEST,
        "gateway": knowledge.hostname,
        "read": [kind for kind in kinds if access.may_read(kind)],
        "publish": [kind for kind in kinds if access.may_publish(kind)],
        "query": access.may_query,
        "recording": knowledge.recording(),
    }


def _who(knowledge: Knowledge) -> Route:
    async def get_session(request: Request, actor: Actor) -> Response:
        if not actor.access.user:
            # Not the header of a 401: the browser would ask with a window of its own.
            return json_response({"user": "", "gateway": knowledge.hostname})
        return json_response(_facts(knowledge, actor), headers={"Cache-Control": "no-store"})

    return get_session


def _begin_session(knowledge: Knowledge) -> Route:
    async def post_session(request: Request, actor: Actor) -> Response:
        if not actor.access.user:
            return problem(403, "user and password are needed")
        outcome = await actor.perform(MakeToken(None, SESSION_SECONDS, sliding=True))
        if isinstance(outcome, Failed):
            return refusal(outcome)
        assert isinstance(outcome, Result)
        facts = {**_facts(knowledge, actor), "token": outcome.value, "seconds": SESSION_SECONDS}
        return json_response(facts, headers={"Cache-Control": "no-store"})

    return post_session


async def _end_session(request: Request, actor: Actor) -> Response:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token and "." not in token:
        await actor.perform(EndToken(token.strip()))
    return Response(204)


async def _look_at_query(request: Request, actor: Actor) -> Response:
    """Compile a query and say what it can match, or where it is wrong: the page asks as one types."""
    if not actor.access.may_query:
        return problem(403 if actor.access.user else 401, "no right to subscribe by queries (web.xquery)")
    try:
        value = json.loads(request.body)
        text = value["xquery"]
        assert isinstance(text, str)
    except (ValueError, TypeError, KeyError, AssertionError, RecursionError):
        return problem(400, 'send {"xquery": "..."}')
    try:
        query = compile_query(text, budget=BROKER_BUDGET)
    except QueryError as error:
        return json_response({"ok": False, "message": str(error), **_place(error)})
    kinds = event_kinds(query)
    index = FilterIndex(budget=BROKER_BUDGET)
    index.add("query", query)
    explained = index.explain("query")
    return json_response(
        {"ok": True, "kinds": None if kinds is None else sorted(kinds), "explained": str(explained)}
    )


def _place(error: QueryError) -> Mapping[str, Any]:
    return {name: getattr(error, name, None) for name in ("code", "line", "column")}


def _log_route(knowledge: Knowledge) -> Route:
    async def get_log(request: Request, actor: Actor) -> Response:
        """Answer with events of the log from ``since`` to ``until``, oldest first."""
        if not actor.access.user:
            return problem(401, "log in to see the log")
        try:
            start = request.first("since", "-1h")
            since = read_since(start)
            until = read_since(request.first("until")) if request.first("until") else None
            limit = int(request.first("limit", "200"))
        except BadSince as error:
            return problem(400, f"since, until: {error}")
        except ValueError:
            return problem(400, "limit: a number")
        if not 1 <= limit <= MOST_EVENTS:
            return problem(400, f"limit: 1 to {MOST_EVENTS}")
        kinds = frozenset(name for text in request.query.get("type", ()) for name in text.split(",") if name)
        query = request.first("xquery") or None
        if query is not None and not actor.access.may_query:
            return problem(403, "no right to use queries (web.xquery)")
        wanted = Wanted(kinds=kinds or None, xquery=query)
        outcome = await actor.perform(Recall(None, wanted, since, limit))
        if isinstance(outcome, Failed):
            return refusal(outcome)
        assert isinstance(outcome, Recalled)
        last = None
        if until is not None:
            last = until.ms if until.ms is not None else knowledge.now() - (until.ago or 0)
        source = f"urn:clacks:{knowledge.hostname}"
        events = [shown(one, source, "both") for one in outcome.events if last is None or one.time <= last]
        return json_response(
            {"events": events, "complete": outcome.complete}, headers={"Cache-Control": "no-store"}
        )

    return get_log
