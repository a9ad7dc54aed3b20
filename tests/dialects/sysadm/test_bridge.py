from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest

from clacks.dialects.actions import (
    Effect,
    EventDraft,
    Join,
    Leave,
    LoggedIn,
    Login,
    MakeToken,
    Members,
    Result,
    Send,
    Tell,
)
from clacks.dialects.session import Hello, Knowledge
from clacks.dialects.sysadm.bridge import BridgeSession
from clacks.gateway.rooms import Rooms

from .client import NOW, REGISTRY, Client

numbers = itertools.count(1)


class Peer:
    """A peer of the bridge, with the room of its gateway."""

    def __init__(self, rooms: Rooms, origin: str = "sysadm-client", login: bool = True) -> None:
        self.rooms = rooms
        hello = Hello("/", headers={"origin": origin})
        self.session = BridgeSession(
            hello, Knowledge(REGISTRY, "bridge", lambda: NOW), lambda: str(next(numbers))
        )
        self.sent: list[str] = []
        self.carry(self.session.opened())
        if login:
            self.log_in()

    def log_in(self) -> None:
        request = {
            "namespace": "rpc",
            "name": "auth",
            "id": "a",
            "args": {"username": "ann", "password": "x"},
        }
        self.say(json.dumps(request))

    def carry(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(text):
                    self.sent.append(text)
                case Join():
                    self.rooms.join(effect, self)
                case Leave(room):
                    self.rooms.leave(room, self)
                case Tell(room, name, text):
                    self.rooms.tell(room, name, text)
                case Login(token):
                    self.carry(self.session.answer(token, LoggedIn(Client().access("ann"))))
                case MakeToken(token):
                    self.carry(self.session.answer(token, Result("t" * 20)))

    def met(self, token: object, members: Members) -> None:
        self.carry(self.session.answer(token, members))

    def told(self, text: str) -> None:
        self.sent.append(text)

    def say(self, text: str) -> None:
        self.carry(self.session.receive(text))

    def identify(self, kind: str) -> None:
        answer = {
            "namespace": "rpc",
            "name": "response",
            "id": "sysadm_bridge_request_ident",
            "args": {"type": kind},
        }
        self.say(json.dumps(answer))

    @property
    def lists(self) -> list[list[str]]:
        """All lists of connections that it was told, in their order."""
        found: list[dict[str, Any]] = [json.loads(text) for text in self.sent if text.startswith("{")]
        return [one["args"]["available_connections"] for one in found if one["name"] == "bridge"]


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


def test_the_bridge_says_that_it_is_one(rooms):
    peer = Peer(rooms, login=False)
    peer.say('{"namespace":"rpc","name":"identify","id":"x","args":""}')
    assert json.loads(peer.sent[-1])["args"]["type"] == "bridge"


def test_a_peer_is_asked_what_it_is_and_told_who_is_there(rooms):
    client = Peer(rooms)
    questions = [json.loads(text) for text in client.sent if '"identify"' in text]
    assert [one["id"] for one in questions] == ["sysadm_bridge_request_ident"]
    assert client.lists == [[]]


def test_clients_hear_of_servers_and_servers_of_clients(rooms):
    client, other, server = Peer(rooms), Peer(rooms), Peer(rooms, "sysadm-server")
    assert len(client.lists[-1]) == 1
    assert client.lists[-1] == other.lists[-1]
    assert len(server.lists[-1]) == 2
    rooms.leave_all(server)
    assert client.lists[-1] == []
    assert client.lists.count([]) == 2


def test_an_unchanged_list_is_not_sent_again(rooms):
    server = Peer(rooms, "sysadm-server")
    client = Peer(rooms)
    before = len(client.lists)
    Peer(rooms)
    assert len(client.lists) == before
    assert len(server.lists) == 3


def test_what_a_peer_says_it_is_counts(rooms):
    client, other = Peer(rooms), Peer(rooms)
    other.identify("server")
    assert len(client.lists[-1]) == 1
    assert len(other.lists[-1]) == 1


def test_a_frame_goes_on_with_the_name_of_its_sender(rooms):
    client, server = Peer(rooms), Peer(rooms, "sysadm-server")
    (name,) = client.lists[-1]
    (own,) = server.lists[-1]
    client.say(f"{name}\n" + '{"namespace":"rpc"}')
    assert server.sent[-1] == f"{own}\n" + '{"namespace":"rpc"}'


def test_nobody_reaches_his_like_or_somebody_unknown(rooms):
    client, other, _ = Peer(rooms), Peer(rooms), Peer(rooms, "sysadm-server")
    server = Peer(rooms, "sysadm-server")
    names = server.lists[-1]
    before = len(other.sent)
    for name in (*names, "nobody", "x" * 1000):
        client.say(f"{name}\nbody")
        assert json.loads(client.sent[-1])["args"]["code"] == "404"
    assert len(other.sent) == before


def test_a_stranger_sends_nothing_on(rooms):
    server = Peer(rooms, "sysadm-server")
    stranger = Peer(rooms, login=False)
    assert server.lists == [[]]
    stranger.say("anybody\nbody")
    assert json.loads(stranger.sent[-1])["args"]["code"] == "401"


def test_who_logs_out_is_gone(rooms):
    server, client = Peer(rooms, "sysadm-server"), Peer(rooms)
    assert len(server.lists[-1]) == 1
    client.say('{"namespace":"rpc","name":"auth_clear","id":"x","args":""}')
    assert server.lists[-1] == []


def test_each_change_is_an_event_on_the_bus():
    drafts: list[EventDraft] = []
    rooms = Rooms(drafts.append)
    server = Peer(rooms, "sysadm-server")
    Peer(rooms)
    rooms.leave_all(server)
    assert [len(draft.fields["Connection"]) for draft in drafts] == [1, 2, 1]
    for draft in drafts:
        REGISTRY.from_json(draft.kind, draft.fields)


def test_a_bridge_is_a_server_beside_that(rooms):
    client = Peer(rooms)
    client.say('{"namespace":"events","name":"publish","id":"x","args":[]}')
    assert json.loads(client.sent[-1])["args"]["code"] == "400"
