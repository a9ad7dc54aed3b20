"""``POST /events``: one event or many, an answer for each."""

from __future__ import annotations

from typing import Any

from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.dialects.actions import Draft, Failed, Publish, Published
from clacks.dialects.exchange import Actor, Request, Response, Route, json_response
from clacks.dialects.http.entries import BadBody, read_body
from clacks.dialects.http.problems import details, problem, status_of

__all__ = ["post_route"]


def post_route(limits: Limits = DEFAULT_LIMITS) -> Route:
    """Return the route of ``POST /events``."""

    async def post_events(request: Request, actor: Actor) -> Response:
        if not actor.access.user:
            return problem(401, "log in to publish")
        stored = request.first("stored", "false").lower()
        if stored not in ("true", "false"):
            return problem(400, "stored: true or false")
        try:
            body = read_body(request.body, request.headers, limits)
        except BadBody as error:
            return problem(error.status, str(error))
        # One after the other: the events of one request keep their order.
        answers = [await _published(entry, actor, stored == "true") for entry in body.entries]
        if not body.many:
            (answer,) = answers
            media = "application/json" if answer["status"] < 400 else "application/problem+json"
            made = json_response(answer, answer["status"])
            return Response(made.status, made.body, media)
        failed = any(answer["status"] >= 400 for answer in answers)
        # RFC 4918, 13: each part has its own status, and the whole has none.
        return json_response({"events": answers}, 207 if failed else 202)

    return post_events


async def _published(entry: Draft | str, actor: Actor, stored: bool) -> dict[str, Any]:
    if isinstance(entry, str):
        return details(422, entry)
    outcome = await actor.perform(Publish(None, entry, stored))
    if isinstance(outcome, Published):
        return {"status": 202, "id": outcome.id}
    assert isinstance(outcome, Failed)
    return details(status_of(outcome), outcome.text or outcome.why.value, errors=outcome.data)
