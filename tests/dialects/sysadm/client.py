"""A SysAdm client and a gateway in one process: effects go round, nothing is sent anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import NOBODY, Access, Identity
from clacks.dialects.actions import (
    Close,
    Effect,
    EndToken,
    Failed,
    Failure,
    LoggedIn,
    Login,
    Logout,
    MakeToken,
    Password,
    Result,
    Send,
    SessionToken,
    SignedChallenge,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Wake,
)
from clacks.dialects.delivered import Delivered
from clacks.dialects.session import Hello, Knowledge
from clacks.dialects.sysadm.session import SysAdmSession

REGISTRY = SchemaRegistry(plugins=False)

RIGHTS = parse_rights(
    """
[users.ann]
roles = ["reader"]
[users.bob]
roles = ["few"]
[roles.few]
read = ["LifePreserver"]
"""
)

NOW = 1_800_000_000_000


class Client:
    """One connection. What it is sent is in ``sent``, as values."""

    def __init__(self, access: Access | None = None, **options: object) -> None:
        self.now = NOW
        self.rights: Rights = RIGHTS
        self.hostname = "bus.example"
        knowledge = Knowledge(REGISTRY, self.hostname, lambda: self.now, options=options)
        self.session = SysAdmSession(Hello("/", access=access or self.access("")), knowledge)
        self.sent: list[dict[str, Any]] = []
        self.closed: Close | None = None
        self.timers: dict[object, float] = {}
        self.subscriptions: dict[object, Subscribe] = {}
        self.last: dict[str, Delivered] = {}
        self.user = ""
        self.tokens: dict[str, str] = {}
        self.proofs: list[SignedChallenge] = []
        self.carry(self.session.opened())

    def access(self, user: str) -> Access:
        return Access(Identity(user) if user else NOBODY, lambda: self.rights)

    def carry(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            assert self.closed is None
            match effect:
                case Send(text):
                    assert text.startswith("{")
                    self.sent.append(json.loads(text))
                case Close():
                    self.closed = effect
                case Wake(token, seconds):
                    if seconds is None:
                        self.timers.pop(token, None)
                    else:
                        self.timers[token] = seconds
                case Login(token, credentials):
                    self.carry(self.session.answer(token, self.login(credentials)))
                case Logout():
                    self.user = ""
                    self.subscriptions.clear()
                case MakeToken(token, seconds, sliding=True, length=20):
                    assert seconds == 900
                    text = f"{len(self.tokens):020}"
                    self.tokens[text] = self.user
                    self.carry(self.session.answer(token, Result(text)))
                case EndToken(text):
                    self.tokens.pop(text, None)
                case Subscribe():
                    self.subscribe(effect)
                case Unsubscribe(id):
                    self.subscriptions.pop(id, None)
                case _:
                    raise AssertionError(effect)

    def login(self, credentials: object) -> LoggedIn | Failed:
        match credentials:
            case Password(user, "secret") if user in self.rights.users:
                self.user = user
            case SessionToken(text) if text in self.tokens:
                self.user = self.tokens[text]
            case SignedChallenge() as proof:
                self.proofs.append(proof)
                self.user = "ann"
            case _:
                return Failed(Failure.REFUSED)
        return LoggedIn(self.access(self.user))

    def subscribe(self, effect: Subscribe) -> None:
        (kind,) = effect.wanted.kinds or ()
        assert self.access(self.user).may_read(kind)
        self.subscriptions[effect.id] = effect
        if effect.last and kind in self.last:
            self.deliver(self.last[kind])
        self.carry(self.session.answer(effect.token, Subscribed()))

    def deliver(self, delivered: Delivered) -> None:
        for subscription in self.subscriptions.values():
            if delivered.kind in (subscription.wanted.kinds or ()):
                encoded = subscription.form.encode(delivered, delivered.topic)
                assert encoded is not None
                self.sent.append(json.loads(encoded.head + subscription.splice + encoded.tail))

    # -- what the client says

    def say(self, text: str | bytes) -> None:
        self.carry(self.session.receive(text))

    def ask(self, namespace: str, name: str, args: object = "", number: str = "x") -> list[dict[str, Any]]:
        """Send a request; return what comes at once."""
        before = len(self.sent)
        self.say(json.dumps({"namespace": namespace, "name": name, "id": number, "args": args}))
        return self.sent[before:]

    def log_in(self, user: str = "ann") -> str:
        (answer,) = self.ask("rpc", "auth", {"username": user, "password": "secret"})
        assert answer["name"] == "response"
        token = answer["args"][0]
        assert isinstance(token, str)
        return token

    def event(self, kind: str, fields: dict[str, Any], *, replayed: bool = False) -> Delivered:
        """Let an event happen."""
        delivered = Delivered(REGISTRY.from_json(kind, fields), "1-1", NOW, replayed=replayed)
        if not replayed:
            self.deliver(delivered)
        return delivered
