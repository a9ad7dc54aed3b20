"""One connection of a SysAdm client: identify, log in, subscribe, listen.

The state is small enough to stand here whole::

    login: none --auth, auth_token--> (refused: none) --in--> --auth..., auth_clear, ran out--> none

Every request whose name begins with ``auth`` first drops the login that was, even if the new one fails, and
with the login go the subscriptions: events must not flow to somebody who is not there any more.
"""

from __future__ import annotations

import base64
import logging
import secrets
import string
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from clacks.dialects.access import Access
from clacks.dialects.actions import (
    Close,
    Effect,
    EndToken,
    Failed,
    LoggedIn,
    Login,
    Logout,
    MakeToken,
    Outcome,
    Password,
    Result,
    Send,
    SessionToken,
    SignedChallenge,
    Subscribe,
    Unsubscribe,
    Wake,
    Wanted,
)
from clacks.dialects.session import Dialect, Hello, Knowledge
from clacks.dialects.sysadm.envelope import (
    BAD_REQUEST,
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    BadRequest,
    Problem,
    Request,
    error,
    read,
    reply,
)
from clacks.dialects.sysadm.subsystems import FIXED, Subsystem, keeps_last, kind_of

__all__ = ["IDLE_SECONDS", "LOGIN_SECONDS", "SYSADM", "TOKEN_SECONDS", "SysAdmSession"]

_log = logging.getLogger(__name__)

LOGIN_SECONDS: Final = 30
"""Time to log in; after it the connection is closed, as the original server does."""
IDLE_SECONDS: Final = 30 * 60
"""Time since the last message of the client; the Qt client speaks every 90 seconds."""
TOKEN_SECONDS: Final = 15 * 60
"""How long a token is good after its last use."""
CHALLENGE_SECONDS: Final = 30
"""How long the text that ``auth_ssl`` has signed is good."""
MOST_NAMES: Final = 100
"""Names in one request to subscribe: there are no more event types in a usual domain."""

_LOGIN_TIMER: Final = "login timer"
_IDLE_TIMER: Final = "idle timer"


def _random_text() -> str:
    """Return 20 letters and digits that nobody can guess: 119 bits."""
    signs = string.ascii_letters + string.digits
    return "".join(secrets.choice(signs) for _ in range(20))


@dataclass(slots=True)
class _Subscribing:
    """A request to subscribe that waits for the outcomes of its subscriptions."""

    request: Request
    last: str
    waiting: int
    granted: int = 0


class SysAdmSession:
    """The session of a client.

    Args:
        hello: The connection.
        knowledge: What all sessions share. Of its options count ``error_code`` (``text``, or ``number`` as
            the guide has it) and ``auth_ssl`` (the folder of public keys: off unless there is one).
        role: What ``rpc/identify`` answers.
        challenge: Makes the text that ``auth_ssl`` has signed.
    """

    def __init__(
        self,
        hello: Hello,
        knowledge: Knowledge,
        role: str = "server",
        challenge: Callable[[], str] = _random_text,
    ) -> None:
        self._hello = hello
        self._knowledge = knowledge
        self._role = role
        self._code_as_number = knowledge.options.get("error_code") == "number"
        self._access: Access | None = hello.access if hello.access.user else None
        self._token: str | None = None
        self._subscribing: dict[int, _Subscribing] = {}
        self._number = 0
        self._make_challenge = challenge
        self._challenge: tuple[str, int] | None = None  # the text, and until when it is good (ms)

    @property
    def access(self) -> Access | None:
        """Who is logged in, or None."""
        return self._access

    # -- what the gateway calls

    def opened(self) -> Iterable[Effect]:
        """Start the clocks: nobody may stay without a login, or without a word."""
        yield Wake(_IDLE_TIMER, IDLE_SECONDS)
        if self._access is None:
            yield Wake(_LOGIN_TIMER, LOGIN_SECONDS)

    def receive(self, message: str | bytes) -> Iterable[Effect]:
        """Answer a request."""
        yield Wake(_IDLE_TIMER, IDLE_SECONDS)
        try:
            request = read(message)
        except BadRequest as bad:
            yield self._problem(bad.id, BAD_REQUEST)
            return
        namespace = request.namespace.lower()
        if namespace == "rpc" and request.name == "identify":
            yield Send(reply(request, {"type": self._role, "hostname": self._knowledge.hostname}))
        elif namespace == "rpc" and request.name.startswith("auth"):
            yield from self._authenticate(request)
        elif self._access is None:
            yield self._problem(request.id, UNAUTHORIZED)
        elif namespace == "events":
            yield from self._events(request)
        elif namespace == "rpc" and request.name == "query":
            yield Send(reply(request, self._subsystems(self._access)))
        else:
            yield self._problem(request.id, NOT_FOUND)

    def answer(self, token: Hashable, outcome: Outcome) -> Iterable[Effect]:
        """Go on where an effect's outcome was waited for."""
        match token:
            case "login timer":
                if self._access is None:
                    yield Close(1008, "no login")
            case "idle timer":
                yield Close(1000, "idle")
            case ("login", Request() as request):
                yield from self._login_answered(request, None, outcome)
            case ("token", Request() as request, str() as text):
                yield from self._login_answered(request, text, outcome)
            case ("made", Request() as request):
                yield from self._token_made(request, outcome)
            case ("subscribed", int() as number, str() as kind):
                yield from self._subscription_answered(number, kind, outcome)

    def expired(self) -> Iterable[Effect]:
        """Be nobody's again; the client learns it from the answer to its next request."""
        self._forget_login()
        yield Wake(_LOGIN_TIMER, LOGIN_SECONDS)

    # -- login

    def _authenticate(self, request: Request) -> Iterable[Effect]:
        if request.name == "auth_clear" and self._token is not None:
            yield EndToken(self._token)  # void everywhere, not only here
        if self._access is not None:
            self._forget_login()
            yield Logout()
            yield Wake(_LOGIN_TIMER, LOGIN_SECONDS)
        if request.name == "auth_clear":
            return  # no answer at all, the guide says
        match request.name, request.args:
            case "auth", {"username": str(user), "password": str(password)}:
                yield Login(("login", request), Password(user, password))
            case "auth_token", {"token": str(text)}:
                yield Login(("token", request, text), SessionToken(text))
            case (("auth" | "auth_token"), _):
                yield self._problem(request.id, BAD_REQUEST)
            case "auth_ssl", args if self._knowledge.options.get("auth_ssl"):
                yield from self._authenticate_by_key(request, args)
            case _:
                # Unknown ways to log in are no ways in.
                yield self._problem(request.id, UNAUTHORIZED)

    def _authenticate_by_key(self, request: Request, args: object) -> Iterable[Effect]:
        """Give a challenge, or look at a signed one.

        The client signs a text of the server's choice with the bare RSA operation, so whoever it talks to can
        have anything signed: that is why this is off. The challenge belongs to this connection, is good once,
        and for a short time.
        """
        now = self._knowledge.now()
        if not isinstance(args, dict) or "encrypted_string" not in args:
            self._challenge = (self._make_challenge(), now + CHALLENGE_SECONDS * 1000)
            yield Send(reply(request, {"test_string": self._challenge[0]}))
            return
        given, self._challenge = self._challenge, None
        try:
            signature = base64.b64decode(args["encrypted_string"], validate=True)
        except (TypeError, ValueError):
            yield self._problem(request.id, BAD_REQUEST)
            return
        if given is None or now >= given[1]:
            yield self._problem(request.id, UNAUTHORIZED)
        else:
            yield Login(("login", request), SignedChallenge(given[0], signature))

    def _login_answered(self, request: Request, text: str | None, outcome: Outcome) -> Iterable[Effect]:
        if not isinstance(outcome, LoggedIn):
            # Too many failures look the same: who guesses learns nothing.
            yield self._problem(request.id, UNAUTHORIZED)
            return
        self._access = outcome.access
        yield Wake(_LOGIN_TIMER, None)
        if text is None:
            yield MakeToken(("made", request), TOKEN_SECONDS, sliding=True, length=20)
        else:
            self._token = text
            yield Send(reply(request, [text, TOKEN_SECONDS]))

    def _token_made(self, request: Request, outcome: Outcome) -> Iterable[Effect]:
        if isinstance(outcome, Result) and isinstance(outcome.value, str):
            self._token = outcome.value
            yield Send(reply(request, [self._token, TOKEN_SECONDS]))
            return
        self._forget_login()
        yield Logout()
        yield Wake(_LOGIN_TIMER, LOGIN_SECONDS)
        yield self._problem(request.id, UNAUTHORIZED)

    def _forget_login(self) -> None:
        self._access = None
        self._token = None
        self._subscribing.clear()

    # -- events

    def _events(self, request: Request) -> Iterable[Effect]:
        assert self._access is not None
        if request.name not in ("subscribe", "unsubscribe"):
            yield self._problem(request.id, BAD_REQUEST)
            return
        args = [request.args] if isinstance(request.args, str) else request.args
        if (
            not isinstance(args, list)
            or not 0 < len(args) <= MOST_NAMES
            or not all(isinstance(name, str) for name in args)
        ):
            yield self._problem(request.id, BAD_REQUEST)
            return
        # A name that comes twice, in either spelling, is one subscription: the last spelling counts.
        known: dict[str, str] = {}
        for name in args:
            kind = kind_of(name, self._knowledge.registry)
            if kind is None:
                _log.info(
                    "unknown subsystem passed over name=%s user=%s", ascii(name[:80]), self._access.user
                )
            else:
                known.pop(kind, None)
                known[kind] = name
        if request.name == "unsubscribe":
            yield from self._unsubscribe(request, known)
        else:
            yield from self._subscribe(request, known, self._access)

    def _subscribe(self, request: Request, known: Mapping[str, str], access: Access) -> Iterable[Effect]:
        allowed = {kind: name for kind, name in known.items() if access.may_read(kind)}
        if known and not allowed:
            yield self._problem(request.id, FORBIDDEN)
            return
        if not allowed:
            yield Send(reply(request, {}))
            return
        # The reply names one subsystem, whatever was asked: the last known one.
        self._number += 1
        number, last = self._number, list(allowed.values())[-1]
        self._subscribing[number] = _Subscribing(request, last, len(allowed))
        for kind, name in allowed.items():
            yield Subscribe(
                ("subscribed", number, kind),
                kind,
                Wanted(kinds=frozenset({kind})),
                Subsystem(name),
                # Twice is one copy of each event, but the last one comes again: who asks wants to see it.
                last=keeps_last(kind, self._knowledge.registry),
            )

    def _subscription_answered(self, number: int, kind: str, outcome: Outcome) -> Iterable[Effect]:
        waiting = self._subscribing.get(number)
        if waiting is None:
            return  # of a login that is over
        waiting.waiting -= 1
        if isinstance(outcome, Failed):
            _log.info("subscription refused kind=%s why=%s", kind, outcome.why.value)
        else:
            waiting.granted += 1
        if waiting.waiting:
            return
        del self._subscribing[number]
        if waiting.granted:
            yield Send(reply(waiting.request, {waiting.request.name: waiting.last}))
        else:
            yield self._problem(waiting.request.id, FORBIDDEN)

    def _unsubscribe(self, request: Request, known: Mapping[str, str]) -> Iterable[Effect]:
        for kind in known:
            yield Unsubscribe(kind)
        last = list(known.values())[-1] if known else None
        yield Send(reply(request, {} if last is None else {request.name: last}))

    def _subsystems(self, access: Access) -> dict[str, str]:
        """Return what there is to listen to: the Qt client asks as a ping, others may want to know."""
        fixed = {name: kind for name, kind in FIXED.items() if "_" not in name}
        others = {kind: kind for kind in self._knowledge.registry.kinds if kind not in fixed.values()}
        names = sorted(name for name, kind in (fixed | others).items() if access.may_read(kind))
        return {f"events/{name}": "read" for name in names}

    # -- words

    def _problem(self, id: str, problem: Problem) -> Effect:  # noqa: A002 - the word of the wire
        return Send(error(id, problem, as_number=self._code_as_number))


def _begin(hello: Hello, knowledge: Knowledge) -> SysAdmSession:
    return SysAdmSession(hello, knowledge)


SYSADM: Final = Dialect(
    name="sysadm",
    begin=_begin,
    origins=frozenset({"sysadm-client", "sysadm-server"}),
    ping=0.0,  # the client counts on no WebSocket pings, and its own messages keep the line open
)
"""The row of the gateway's table. The words are what Qt clients send for an Origin."""
