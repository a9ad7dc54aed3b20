from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clacks.agent.client_commands import ClientCommands
from clacks.agent.clients import ClientTable
from clacks.agent.methods import ClientMethod
from clacks.common.errors import (
    CommandError,
    CommandTimeout,
    ConnectionLost,
    LinkRefused,
    OutcomeUnknown,
)
from clacks.common.event import Event
from clacks.common.jsonrpc import (
    FORBIDDEN,
    INVALID_PARAMS,
    OUTCOME_UNKNOWN,
    TIMED_OUT,
    UNAVAILABLE,
    Request,
)
from clacks.common.rights import parse_rights
from tests.bus.house import REGISTRY, scenario

RIGHTS = parse_rights(
    """
[users.jane]
roles = ["desk"]
[users.joe]
roles = ["poor"]
[roles.desk]
commands = ["clientDispatch", "notifyUser", "client.dim*"]
publish = ["Notification"]
[roles.poor]
commands = ["clientDispatch", "notifyUser"]
"""
)


class Wire:
    """Takes the calls that go to clients."""

    def __init__(self) -> None:
        self.calls: list[tuple[Request, dict[str, Any]]] = []
        self.result: Any = "done"

    async def request(self, request: Request, **how: Any) -> Any:
        self.calls.append((request, how))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Desk:
    """The commands of an agent that knows two clients."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.published: list[Event] = []
        self.clients = ClientTable()
        self.loop = asyncio.get_running_loop()
        methods = [ClientMethod("dim", "dim", "dim(percent: integer)", "Dim it.")]
        for id_, users in (("pc1", ["ann"]), ("pc2", []), ("pc3", ["ann", "bob"])):
            self.clients.announced(id_, "a", id_.upper(), "machine", [], methods, self.loop.time())
            self.clients.session(id_, "a", users, self.loop.time())
        self.commands = ClientCommands(
            self.wire,
            "org.clacks",
            self.clients,
            rights=lambda: RIGHTS,
            registry=REGISTRY,
            publish=self.published.append,
            loop=lambda: self.loop,
            login="agent",
        )

    async def dispatch(self, user: str, *what: Any, deadline: float | None = None) -> Any:
        return await asyncio.to_thread(self.commands.clientDispatch, user, deadline, *what)


@scenario
async def test_a_client_carries_out_a_method_in_the_name_of_the_caller() -> None:
    desk = Desk()
    assert await desk.dispatch("jane", "pc1", "dim", 30) == "done"
    [(request, how)] = desk.wire.calls
    assert (request.method, tuple(request.params)) == ("dim", (30,))
    assert how["address"] == "org.clacks.client.pc1"
    assert how["on_behalf_of"] == "jane"
    assert how["timeout"] == 25.0


@scenario
async def test_a_client_may_take_as_long_as_the_caller_waits() -> None:
    desk = Desk()
    await desk.dispatch("jane", "pc1", "dim", 30, deadline=desk.loop.time() + 600.0)
    await desk.dispatch("jane", "pc1", "dim", 30, deadline=desk.loop.time() + 2.0)
    (_, long), (_, short) = desk.wire.calls
    assert 590.0 < long["timeout"] <= 600.0
    assert 0.0 < short["timeout"] <= 2.0
    assert short["patience"] <= 2.0
    with pytest.raises(CommandError) as error:
        await desk.dispatch("jane", "pc1", "dim", 30, deadline=desk.loop.time() - 1.0)
    assert error.value.code == TIMED_OUT
    assert len(desk.wire.calls) == 2


@pytest.mark.parametrize(
    ("user", "client", "method", "code"),
    [
        ("jane", "pc1", "reboot", FORBIDDEN),
        ("joe", "pc1", "dim", FORBIDDEN),
        ("jane", "pc9", "dim", INVALID_PARAMS),
        ("jane", "pc1", "dimmer", INVALID_PARAMS),
    ],
)
def test_who_may_not_or_asks_for_what_is_not_there_is_told_so(
    user: str, client: str, method: str, code: int
) -> None:
    @scenario
    async def run() -> None:
        desk = Desk()
        with pytest.raises(CommandError) as error:
            await desk.dispatch(user, client, method)
        assert error.value.code == code
        assert desk.wire.calls == []

    run()


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (OutcomeUnknown(OUTCOME_UNKNOWN, "x"), OUTCOME_UNKNOWN, "client pc1 took dim and did not answer"),
        (CommandTimeout(TIMED_OUT, "x"), TIMED_OUT, "it was not carried out"),
        (LinkRefused("amqp:not-found", "gone", "x"), UNAVAILABLE, "client pc1 cannot be reached"),
        (ConnectionLost("x"), UNAVAILABLE, "the bus cannot be used"),
    ],
)
def test_what_becomes_of_a_call_is_never_left_open(fault: Exception, code: int, words: str) -> None:
    @scenario
    async def run() -> None:
        desk = Desk()
        desk.wire.result = fault
        with pytest.raises(CommandError) as error:
            await desk.dispatch("jane", "pc1", "dim")
        assert error.value.code == code
        assert words in error.value.message

    run()


@scenario
async def test_a_notification_goes_out_and_names_the_clients_of_its_user() -> None:
    desk = Desk()
    notify = desk.commands.notifyUser
    assert notify("jane", "ann", "Lunch!", timeout=500) == ["pc1", "pc3"]
    assert notify("jane", "*", "Fire!") == ["pc1", "pc3"]
    assert notify("jane", "nobody", "Hello?") == []
    told = [event.to_dict() for event in desk.published]
    assert [(one["Target"], one["Body"]) for one in told] == [
        ("ann", "Lunch!"),
        ("*", "Fire!"),
        ("nobody", "Hello?"),
    ]
    with pytest.raises(CommandError) as error:
        notify("joe", "ann", "Lunch!")
    assert error.value.code == FORBIDDEN
    assert len(desk.published) == 3


@scenario
async def test_clients_are_shown_in_pages_with_their_sessions() -> None:
    desk = Desk()
    first = desk.commands.getClients(limit=2)
    assert list(first) == ["pc1", "pc2"]
    assert list(desk.commands.getClients(after="pc2")) == ["pc3"]
    assert first["pc1"]["name"] == "PC1"
    assert (first["pc1"]["sessions"], first["pc2"]["sessions"]) == (["ann"], [])
    assert desk.commands.getUserSessions() == {"pc1": ["ann"], "pc3": ["ann", "bob"]}
    assert desk.commands.getUserSessions("pc2") == {"pc2": []}
    assert list(desk.commands.getClientMethods("pc1")) == ["dim"]
    for limit in (0, 5001):
        with pytest.raises(CommandError) as error:
            desk.commands.getClients(limit=limit)
        assert error.value.code == INVALID_PARAMS
