"""One connection of a TrueNAS client: handshake, calls, subscriptions. The envelope is a `Wire`.

Subscriptions go by the name as it was subscribed to, argument included, because clients pair events with it
byte for byte. Several ids with one name share one subscription: the client calls all its matching callbacks
for each copy of an event, so there may be one only.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from clacks.common.rights import Rights
from clacks.dialects import actions
from clacks.dialects.access import NOBODY, Access
from clacks.dialects.actions import (
    Call,
    Close,
    Effect,
    Failed,
    Failure,
    Outcome,
    Result,
    Send,
    Wanted,
)
from clacks.dialects.session import Hello, Knowledge
from clacks.dialects.truenas.arguments import BadArgument, Target, target_of
from clacks.dialects.truenas.collections import CollectionForm, collections_of
from clacks.dialects.truenas.problems import (
    EXPIRED,
    NOT_AUTHENTICATED,
    SUBSCRIBE_NOT_AUTHORIZED,
    TOO_MANY_CALLS,
    Problem,
    bad_argument,
    no_event,
    no_method,
    no_service,
    problem_of,
)
from clacks.dialects.truenas.wire import (
    Answer,
    Broken,
    Connect,
    Message,
    Method,
    Ping,
    Subscribe,
    Unsubscribe,
    Wire,
)

__all__ = ["MOST_CALLS", "Continuation", "MethodTable", "TrueNasSession", "Words"]

MOST_CALLS: Final = 20
"""Calls of one connection that wait for their answer."""
STRANGER_SIZE: Final = 8192
"""Characters of a message of somebody without a login."""
MESSAGE_SIZE: Final = 65536
"""Characters of a message of somebody who logged in."""
MOST_SUBSCRIPTIONS: Final = 1000
MOST_PENDING: Final = 64
"""Calls that wait for a login to be decided, subscriptions to be granted, and the like."""

Continuation = Callable[["TrueNasSession", Outcome], Iterable[Effect]]
"""What a method does when the outcome of an effect of its comes."""

MethodTable = dict[str, tuple[Callable[["TrueNasSession", Method], Iterable[Effect]], bool]]
"""Methods by name: the function, and whether it needs a login."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is said when a subscription has begun or failed.

    Attributes:
        done: Given the problem, or None.
        ended: After the notice that it is over at once, because its argument is bad.
    """

    done: Callable[[Problem | None], Iterable[Effect]]
    ended: Callable[[], Iterable[Effect]] = tuple


class TrueNasSession:
    """The session of a client.

    Args:
        hello: The connection.
        knowledge: What all sessions share.
        wire: The envelope.
        methods: What can be called beside the commands of agents, which are ``clacks.COMMAND``.
        new_id: Makes ids of sessions and of subscriptions.
    """

    def __init__(
        self,
        hello: Hello,
        knowledge: Knowledge,
        wire: Wire,
        methods: MethodTable,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.hello = hello
        self.knowledge = knowledge
        self.access = hello.access
        self.id = new_id()
        self.wire = wire
        self._methods = methods
        self._services = {name.partition(".")[0] for name in methods} | {"clacks"}
        self._new_id = new_id
        self._greeted = not wire.handshake
        self._expired = False
        self._xml = False
        self._calls = 0
        self._names: dict[str, str] = {}  # id of a subscription: its name
        self._waiting: dict[int, Continuation] = {}
        self._number = 0

    @property
    def logged_in(self) -> bool:
        """Whether somebody is there whom rights could name."""
        return self.access.user != ""

    # -- what the gateway calls

    def opened(self) -> Iterable[Effect]:
        """Wait: the client speaks first."""
        return ()

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Take one message."""
        if isinstance(message, bytes):
            return [Close(1003)]
        if not self.logged_in and len(message) > STRANGER_SIZE:
            return [Close(1007, "Anonymous connection max message length is 8 kB")]
        if len(message) > MESSAGE_SIZE:
            return [Close(1009, "Max message length is 64 kB")]
        return self._take(self.wire.read(message))

    def _take(self, message: Message) -> Iterable[Effect]:
        match message:
            case None:
                return []
            case Broken(code, reason):
                return [Close(code, reason)]
            case Connect(accepted, features):
                return self._connect(accepted, features)
            case _ if not self._greeted:
                return [Send('{"msg":"failed","version":"1"}')]
            case Answer(text):
                return [Send(text)]
            case Ping(body):
                return [Send(_json(body))]
            case Method():
                return self._call(message)
            case Subscribe(number, name):
                return self.subscribe(number, name, self._legacy_words(number))
            case Unsubscribe(number):
                return self.unsubscribe(number)

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """Go on where an outcome was waited for."""
        if not isinstance(token, int):
            return []
        continuation = self._waiting.pop(token, None)
        return [] if continuation is None else continuation(self, outcome)

    def expired(self) -> Iterable[Effect]:
        """Be nobody's again: the subscriptions are gone, and the client is told so."""
        ended = sorted(set(self._names.values()))
        self.forget_login()
        self._expired = True
        return [Send(self.wire.ended(name, EXPIRED)) for name in ended]

    # -- for methods

    def waiting(self, continuation: Continuation) -> int:
        """Return a token, whose outcome ``continuation`` gets."""
        self._number += 1
        self._waiting[self._number] = continuation
        return self._number

    def reply(self, call: Method, value: Any) -> list[Effect]:
        """Answer a call."""
        return [Send(self.wire.result(call.id, value))] if call.wants_answer else []

    def refuse(self, call: Method, problem: Problem) -> list[Effect]:
        """Answer that a call failed."""
        return [Send(self.wire.failed(call.id, problem))] if call.wants_answer else []

    def let_in(self, access: Access) -> None:
        """Note a login."""
        if access.user != self.access.user:
            self._names.clear()
        self.access = access
        self._expired = False

    def forget_login(self) -> None:
        """Note that the login is over."""
        self.access = Access(NOBODY, Rights)
        self._names.clear()

    # -- handshake and calls

    def _connect(self, accepted: bool, features: frozenset[str]) -> Iterable[Effect]:
        if not accepted:
            return [Send('{"msg":"failed","version":"1"}')]
        self._greeted = True
        self._xml = "XML" in features
        return [Send(_json({"msg": "connected", "session": self.id}))]

    def _call(self, call: Method) -> Iterable[Effect]:
        row = self._methods.get(call.name)
        service, dot, method = call.name.rpartition(".")
        if row is None and not (service == "clacks" and method):
            # The name is looked up before the login, as the original does; what is there is no secret.
            return self._unknown(call, service, bool(dot), method)
        if (row is None or row[1]) and not self.logged_in:
            return self.refuse(call, EXPIRED if self._expired else NOT_AUTHENTICATED)
        if len(self._waiting) >= MOST_PENDING or self._calls >= MOST_CALLS:
            return self.refuse(call, TOO_MANY_CALLS)
        if row is not None:
            return row[0](self, call)
        return self.command(call, method, call.params)

    def _unknown(self, call: Method, service: str, dotted: bool, method: str) -> Iterable[Effect]:
        if not call.wants_answer:
            return []
        if not dotted:
            return [Send(self.wire.failed(call.id, Problem(74, "[EBADMSG] Invalid method name")))]
        problem = no_method(service, method) if service in self._services else no_service(service)
        return [Send(self.wire.unknown(call.id, problem))]

    def command(
        self,
        call: Method,
        method: str,
        params: list[Any],
        shown: Callable[[Any], Any] = lambda value: value,
        missing: Any = None,
    ) -> list[Effect]:
        """Call a command of an agent and answer with what it returns, as ``shown`` makes of it.

        ``missing``, if it is not None, is the answer where no agent has that command.
        """

        def answered(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
            session._calls -= 1
            if isinstance(outcome, Result):
                return session.reply(call, shown(outcome.value))
            assert isinstance(outcome, Failed)
            if outcome.why is Failure.UNKNOWN and missing is not None:
                return session.reply(call, missing)
            return session.refuse(call, problem_of(outcome))

        self._calls += 1
        return [Call(self.waiting(answered), method, params)]

    # -- subscriptions

    def new_subscription_id(self) -> str:
        """Return an id for a subscription, where the client does not bring its own."""
        return self._new_id()

    def subscribe(self, number: str, name: str, words: Words) -> Iterable[Effect]:
        """Subscribe to a name, under an id."""
        if not self.logged_in:
            return words.done(NOT_AUTHENTICATED if self.wire.rpc else SUBSCRIBE_NOT_AUTHORIZED)
        plain, colon, argument = name.partition(":")
        collection = collections_of(self.knowledge.registry).get(plain)
        if name == "*":
            target, shown = Target(Wanted(wildcard=True)), None
        elif collection is None:
            return words.done(no_event(plain))
        elif not self.access.may_read(collection.kind):
            return words.done(SUBSCRIBE_NOT_AUTHORIZED)
        else:
            shown = name
            try:
                target = target_of(collection, argument if colon else None, self.knowledge.registry)
            except BadArgument as bad:
                return self._ended(name, bad_argument(bad.name, str(bad)), words)
            if target.query and not self.access.may_query:
                return words.done(SUBSCRIBE_NOT_AUTHORIZED)
        if number not in self._names and len(self._names) >= MOST_SUBSCRIPTIONS:
            return words.done(Problem(28, f"[ENOSPC] at most {MOST_SUBSCRIPTIONS} subscriptions"))
        return self._begin(number, name, target, shown, words)

    def _begin(
        self, number: str, name: str, target: Target, shown: str | None, words: Words
    ) -> Iterable[Effect]:
        # An id that is in use moves to the new name.
        effects = list(self.unsubscribe(number)) if self._names.get(number, name) != name else []
        known = name in self._names.values()
        self._names[number] = name
        if known:
            return [*effects, *words.done(None)]

        def answered(session: TrueNasSession, outcome: Outcome) -> Iterable[Effect]:
            if not isinstance(outcome, Failed):
                return words.done(None)
            for other in [other for other, its in session._names.items() if its == name]:
                del session._names[other]
            if outcome.why is Failure.INVALID:
                return session._ended(name, bad_argument("xquery", outcome.text), words)
            return words.done(problem_of(outcome))

        form = CollectionForm(self.knowledge.registry.annotations, shown, self.wire.rpc, self._xml)
        token = self.waiting(answered)
        subscribing = actions.Subscribe(token, name, target.wanted, form, once=target.once, pace=target.pace)
        return [*effects, subscribing]

    def _ended(self, name: str, problem: Problem, words: Words) -> Iterable[Effect]:
        return [Send(self.wire.ended(name, problem)), *words.ended()]

    def unsubscribe(self, number: str) -> Iterable[Effect]:
        """End a subscription; nothing is said about it, unknown ids are passed over."""
        name = self._names.pop(number, None)
        if name is None or name in self._names.values():
            return []
        return [actions.Unsubscribe(name)]

    def _legacy_words(self, number: str) -> Words:
        def done(problem: Problem | None) -> Iterable[Effect]:
            if problem is not None:
                return [Send(self.wire.failed(number, problem))]
            return [Send(_json({"msg": "ready", "subs": [number]}))]

        return Words(done)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
