"""Methods ``core.*``: subscriptions of the newer dialect, jobs, publishing; and the rows of the gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from clacks.dialects.actions import Effect, EventDraft, Failed, Outcome, Publish
from clacks.dialects.session import Dialect, Hello, Knowledge
from clacks.dialects.truenas.collections import collections_of, job_fields
from clacks.dialects.truenas.logins import AUTH_METHODS
from clacks.dialects.truenas.problems import Problem, invalid, no_event, problem_of
from clacks.dialects.truenas.session import MESSAGE_SIZE, MethodTable, TrueNasSession, Words
from clacks.dialects.truenas.wire import LEGACY, RPC, Method

__all__ = ["TRUENAS", "TRUENAS_RPC", "VERSIONS"]

VERSIONS: Final = ("v25.04.0", "v25.10.0")
"""What ``GET /api/versions`` lists, the oldest first; ``/api/current`` and ``/api/VERSION`` are the same."""


def _ping(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    return session.reply(call, "pong")


def _set_options(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    # legacy_jobs: a call that is a job answers with its number at once. private_methods: there are none.
    # py_exceptions: a client would unpickle what a server sends.
    return session.reply(call, {"legacy_jobs": True, "private_methods": False, "py_exceptions": False})


def _subscribe(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    name = call.params[0] if call.params else None
    if not isinstance(name, str):
        return session.refuse(call, invalid(("event", "Input should be a valid string")))
    if not call.wants_answer:
        return []  # nobody would know the id to end it by
    number = session.new_subscription_id()

    def done(problem: Problem | None) -> Iterable[Effect]:
        return session.reply(call, number) if problem is None else session.refuse(call, problem)

    # After the notice that a subscription is over at once, the call itself has succeeded.
    return session.subscribe(number, name, Words(done, lambda: session.reply(call, number)))


def _unsubscribe(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    number = call.params[0] if call.params else None
    effects = list(session.unsubscribe(number)) if isinstance(number, str) else []
    return [*effects, *session.reply(call, None)]


def _get_jobs(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    filters = call.params[0] if call.params else []
    if not isinstance(filters, list):
        return session.refuse(call, invalid(("filters", "Input should be a valid list")))
    wanted: list[tuple[str, Any]] = []
    for one in filters:
        match one:
            case [str(name), "=", value]:
                wanted.append((name, value))
            case _:
                return session.refuse(call, invalid(("filters", 'only [name, "=", value] is understood')))

    def shown(found: Any) -> Any:
        events = found.get("jobs") if isinstance(found, Mapping) else None
        jobs = [job_fields(fields) for fields in events or () if isinstance(fields, Mapping)]
        return [job for job in jobs if all(job.get(name) == value for name, value in wanted)]

    return session.command(call, "getJobs", [], shown, missing=[])


def _job_abort(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    if not call.params or type(call.params[0]) is not int:
        return session.refuse(call, invalid(("id", "Input should be a valid integer")))
    return session.command(call, "abortJob", call.params[:1], lambda _: None)


_OPERATIONS: Final = ("added", "changed", "removed")


def _event_send(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    """Publish an event: ``[name, "ADDED" | "CHANGED" | "REMOVED", {"id", "fields"}]``."""
    match call.params:
        case [str(name), str(word), dict() as body] if word.lower() in _OPERATIONS:
            fields = body.get("fields", {})
        case _:
            wrong = ("params", 'must be [name, "ADDED" or "CHANGED" or "REMOVED", {"id", "fields"}]')
            return session.refuse(call, invalid(wrong))
    collection = collections_of(session.knowledge.registry).get(name)
    if collection is None:
        return session.refuse(call, no_event(name))
    if not isinstance(fields, dict):
        return session.refuse(call, invalid(("fields", "Input should be a valid dictionary")))
    annotations = session.knowledge.registry.annotations(collection.kind)
    whole = dict(fields)
    if annotations.key is not None and "id" in body:
        whole.setdefault(annotations.key, body["id"])
    if annotations.operation is not None and annotations.operation not in whole:
        words = [text for text, operation in annotations.operations.items() if operation == word.lower()]
        # Of no listed word for "changed" the schema says nothing: the client has to choose it.
        if words:
            whole[annotations.operation] = words[0]

    def published(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
        if isinstance(outcome, Failed):
            return session.refuse(call, problem_of(outcome, "fields"))
        return session.reply(call, None)

    return [Publish(session.waiting(published), EventDraft(collection.kind, whole))]


def _get_events(session: TrueNasSession, call: Method) -> Iterable[Effect]:
    """Answer with all events that may be listened to, and whether ``*`` covers them."""
    registry = session.knowledge.registry
    return session.reply(
        call,
        {
            name: {
                "description": registry.documentation(one.kind),
                "wildcard_subscription": one.wildcard,
                "accepts": [],
                "returns": [],
            }
            for name, one in collections_of(registry).items()
            if session.access.may_read(one.kind)
        },
    )


METHODS: Final[MethodTable] = {
    **AUTH_METHODS,
    "core.ping": (_ping, False),
    "core.set_options": (_set_options, False),
    # Without a login the subscription says so in its own words.
    "core.subscribe": (_subscribe, False),
    "core.unsubscribe": (_unsubscribe, False),
    "core.get_jobs": (_get_jobs, True),
    "core.get_events": (_get_events, True),
    "core.job_abort": (_job_abort, True),
    "core.event_send": (_event_send, True),
}


def _legacy(hello: Hello, knowledge: Knowledge) -> TrueNasSession:
    return TrueNasSession(hello, knowledge, LEGACY, METHODS)


def _rpc(hello: Hello, knowledge: Knowledge) -> TrueNasSession:
    return TrueNasSession(hello, knowledge, RPC, METHODS)


TRUENAS: Final = Dialect(name="truenas", begin=_legacy, message_size=4 * MESSAGE_SIZE)
"""The row of ``/websocket``. The session closes what is too long in its own words; the server, above this."""
TRUENAS_RPC: Final = Dialect(name="truenas-rpc", begin=_rpc, message_size=4 * MESSAGE_SIZE)
"""The row of ``/api/current`` and ``/api/VERSION``."""
