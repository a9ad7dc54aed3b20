"""``GET /events``: live events, and those of the log before them, as server-sent events."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clacks.common.errors import QueryError
from clacks.dialects.access import Access
from clacks.dialects.actions import Close, Effect, Failed, Outcome, Send, Since, Subscribe, Wanted
from clacks.dialects.exchange import Actor, EventStream, Request, Response, Route
from clacks.dialects.http.formats import FORMATS, StreamForm, error_block
from clacks.dialects.http.problems import details, problem, status_of
from clacks.dialects.session import Knowledge
from clacks.filters.index import event_kinds
from clacks.xquery import compile_query
from clacks.xquery.budget import BROKER_BUDGET

__all__ = ["BadSince", "StreamSession", "events_route", "read_since"]

LOG_ID: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_AGO: Final = re.compile(r"-([0-9]{1,9})(ms|s|m|h|d)?")
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, None: 1000}


class BadSince(ValueError):
    """A point in time that cannot be read."""


def read_since(text: str) -> Since:
    """Read where to begin: a log id, ``-90s``, ``-1h`` (seconds if there is no unit), or a time of ISO 8601.

    >>> read_since("-1h").ago, read_since("1700000000000-5").after
    (3600000, '1700000000000-5')

    Raises:
        BadSince: If it is none of these. A time without an offset is none: nobody knows whose it is.
    """
    if LOG_ID.fullmatch(text):
        return Since(after=text)
    if found := _AGO.fullmatch(text):
        return Since(ago=int(found[1]) * _UNITS[found[2]])
    try:
        # A plus sign in a query string is a blank unless it is written %2B.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is None:
            raise BadSince(f"{text[:60]!r} has no offset from UTC; write Z at its end")
        return Since(ms=max(0, round(moment.timestamp() * 1000)))
    except (ValueError, OverflowError) as error:
        if isinstance(error, BadSince):
            raise
        raise BadSince(f"{text[:60]!r} is no log id, no -DURATION and no time of ISO 8601") from None


@dataclass(slots=True)
class StreamSession:
    """The session of one stream: it subscribes when it begins, and never hears anything."""

    wanted: Wanted
    form: StreamForm
    since: Since | None

    def opened(self) -> Iterable[Effect]:
        """Subscribe."""
        yield Subscribe("events", "events", self.wanted, self.form, since=self.since)

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Nothing comes."""
        return ()

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """End the stream with a problem if the subscription failed; say that it began otherwise."""
        if isinstance(outcome, Failed):
            yield Send(error_block(details(status_of(outcome), outcome.text or outcome.why.value)))
            yield Close()
        else:
            yield Send(": subscribed\n\n")

    def expired(self) -> Iterable[Effect]:
        """End the stream: a client that comes back has to show who it is."""
        yield Send(error_block(details(401, "the login has ended")))
        yield Close()


def events_route(knowledge: Knowledge) -> Route:
    """Return the route of ``GET /events``."""
    source = f"urn:clacks:{knowledge.hostname}"

    async def get_events(request: Request, actor: Actor) -> Response | EventStream:
        wanted = _wanted(request, actor.access, knowledge)
        if isinstance(wanted, Response):
            return wanted
        form = request.first("format", "json")
        if form not in FORMATS:
            return problem(400, f"format {form[:40]!r}; there are {', '.join(FORMATS)}")
        # What a browser says when it comes back counts more than what the address said at first.
        start = request.headers.get("last-event-id") or request.first("since")
        try:
            since = read_since(start) if start else None
        except BadSince as error:
            return problem(400, f"since: {error}")
        if since is not None and not knowledge.recording():
            return problem(503, "no event log is kept here")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return EventStream(StreamSession(wanted, StreamForm(form, source), since), headers=headers)

    return get_events


def _wanted(request: Request, access: Access, knowledge: Knowledge) -> Wanted | Response:
    """Return what is asked for, or why that cannot be had."""
    kinds: frozenset[str] | None = None
    if "type" in request.query:
        kinds = frozenset(name for text in request.query["type"] for name in text.split(",") if name)
        unknown = sorted(kinds - knowledge.registry.kinds)
        if unknown:
            return problem(404, f"unknown event type {unknown[0][:100]!r}")
        if not any(access.may_read(kind) for kind in kinds):
            return _forbidden(access, f"no right to read {', '.join(sorted(kinds))[:200]}")
    query = request.first("xquery")
    if not query:
        if kinds is None and not any(access.may_read(kind) for kind in knowledge.registry.kinds):
            return _forbidden(access, "no right to read any event type")
        return Wanted(kinds=kinds)
    if not access.may_query:
        return _forbidden(access, "no right to subscribe by queries (web.xquery)")
    try:
        compiled = compile_query(query, budget=BROKER_BUDGET)
    except QueryError as error:
        line, column = getattr(error, "line", None), getattr(error, "column", None)
        return problem(400, str(error), code=getattr(error, "code", None), line=line, column=column)
    possible = event_kinds(compiled)
    if possible is not None and not any(access.may_read(kind) for kind in possible):
        return _forbidden(access, f"no right to read {', '.join(sorted(possible))[:200]}")
    return Wanted(kinds=kinds, xquery=query)


def _forbidden(access: Access, text: str) -> Response:
    return problem(403 if access.user else 401, text)
