"""A TrueNAS client and a gateway in one process: effects go round, nothing is sent anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import NOBODY, Access, Identity
from clacks.dialects.actions import (
    ApiKey,
    Call,
    Close,
    Effect,
    Failed,
    Failure,
    LoggedIn,
    Login,
    Logout,
    MakeToken,
    Outcome,
    Password,
    Publish,
    Published,
    Result,
    ScramStep,
    Send,
    SessionToken,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from clacks.dialects.delivered import Delivered
from clacks.dialects.session import Hello, Knowledge
from clacks.dialects.truenas.methods import TRUENAS, TRUENAS_RPC

REGISTRY = SchemaRegistry(plugins=False)
NOW = 1_800_000_000_000
RIGHTS = parse_rights(
    """
[users.ann]
roles = ["admin"]
[users.bob]
roles = ["few"]
[roles.few]
read = ["PhoneStatus"]
commands = ["getMethods"]
"""
)

JOB: dict[str, Any] = {
    "Id": 79,
    "Method": "zfs.pool.scrub",
    "Arguments": ["vol1", "START"],
    "State": "WAITING",
    "Progress": {},
    "MessageIds": [],
    "Abortable": True,
    "Transient": False,
}


class Client:
    """One connection. What it is sent is in ``sent``, as values."""

    dialect = TRUENAS

    def __init__(self, user: str = "", *, secure: bool = True) -> None:
        self.rights: Rights = RIGHTS
        self.user = user
        hello = Hello(
            "/websocket", address="192.0.2.1", secure=secure, access=self.access(user), binding=b"b"
        )
        self.session = self.dialect.begin(hello, Knowledge(REGISTRY, "bus", lambda: NOW))
        self.sent: list[dict[str, Any]] = []
        self.closed: Close | None = None
        self.subscriptions: dict[object, Subscribe] = {}
        self.effects: list[Effect] = []
        self.results: dict[str, Outcome] = {}
        self.number = 0
        self.carry(self.session.opened())

    def access(self, user: str) -> Access:
        return Access(Identity(user) if user else NOBODY, lambda: self.rights)

    def carry(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            assert self.closed is None
            self.effects.append(effect)
            match effect:
                case Send(text):
                    self.sent.append(json.loads(text))
                case Close():
                    self.closed = effect
                case Login(token, credentials):
                    self.carry(self.session.answer(token, self.login(credentials)))
                case Logout():
                    self.user = ""
                    self.subscriptions.clear()
                case MakeToken(token):
                    self.carry(self.session.answer(token, Result("made")))
                case Subscribe(token, id):
                    assert effect.wanted.xquery != "("
                    self.subscriptions[id] = effect
                    self.carry(self.session.answer(token, Subscribed()))
                case Unsubscribe(id):
                    self.subscriptions.pop(id, None)
                case Publish(token):
                    outcome = self.results.get("publish", Published())
                    self.carry(self.session.answer(token, outcome))
                case Call(token, method):
                    outcome = self.results.get(method)
                    if outcome is None and method == "getJobs":
                        outcome = Failed(Failure.UNKNOWN)
                    if outcome is not None:
                        self.carry(self.session.answer(token, outcome))
                case _:
                    raise AssertionError(effect)

    def login(self, credentials: object) -> Outcome:
        match credentials:
            case Password(user, "secret") | ApiKey("1-good", user) if user in (*self.rights.users, None):
                self.user = user or "ann"
            case SessionToken("made"):
                self.user = "ann"
            case ScramStep(_, True, b"b"):
                return Result("r=1")
            case ScramStep(_, False, b"b"):
                self.user = "ann"
                return LoggedIn(self.access("ann"), "v=1")
            case Password("busy"):
                return Failed(Failure.BUSY)
            case _:
                return Failed(Failure.REFUSED)
        return LoggedIn(self.access(self.user))

    def event(self, kind: str, fields: dict[str, Any]) -> None:
        """Let an event happen, as the gateway delivers it."""
        delivered = Delivered(REGISTRY.from_json(kind, fields), "1-1", NOW, event_id="e-1")
        done = False
        for subscription in self.subscriptions.values():
            wanted = subscription.wanted
            if (
                (wanted.kinds is not None and kind not in wanted.kinds)
                or (wanted.wildcard and not REGISTRY.annotations(kind).wildcard)
                or (wanted.test is not None and not wanted.test(delivered))
                or (subscription.once and done)
            ):
                continue
            done = done or subscription.once
            encoded = subscription.form.encode(delivered, delivered.topic)
            assert encoded is not None
            self.sent.append(json.loads(encoded.head + subscription.splice + encoded.tail))

    def say(self, message: object) -> list[dict[str, Any]]:
        """Send a message; return what comes at once."""
        before = len(self.sent)
        self.carry(self.session.receive(message if isinstance(message, str | bytes) else json.dumps(message)))
        return self.sent[before:]


class Legacy(Client):
    def __init__(self, user: str = "", *, connect: bool = True, secure: bool = True) -> None:
        super().__init__(user, secure=secure)
        if connect:
            (answer,) = self.say({"msg": "connect", "version": "1", "support": ["1"], "features": []})
            assert answer["msg"] == "connected"

    def call(self, method: str, *params: object) -> Any:
        """Call a method; return the result, or the error."""
        self.number += 1
        (answer,) = self.say(
            {"msg": "method", "id": str(self.number), "method": method, "params": list(params)}
        )
        assert (answer["msg"], answer["id"]) == ("result", str(self.number))
        return answer["result"] if "result" in answer else answer["error"]

    def sub(self, name: str, number: str = "s") -> list[dict[str, Any]]:
        return self.say({"msg": "sub", "id": number, "name": name})


class Rpc(Client):
    dialect = TRUENAS_RPC

    def call(self, method: str, *params: object) -> Any:
        """Call a method; return the result, or the error."""
        answers = self.ask(method, *params)
        answer = answers[-1]
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", self.number)
        return answer["result"] if "result" in answer else answer["error"]

    def ask(self, method: str, *params: object) -> list[dict[str, Any]]:
        """Call a method; return all that comes."""
        self.number += 1
        return self.say({"jsonrpc": "2.0", "id": self.number, "method": method, "params": list(params)})
