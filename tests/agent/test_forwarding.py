from __future__ import annotations

import asyncio
import threading
import time

import pytest

from clacks.agent import forwarding
from clacks.agent.service import Agent
from clacks.common.errors import CommandError, CommandRefused
from clacks.common.jsonrpc import FORBIDDEN, INVALID_PARAMS, METHOD_NOT_FOUND, UNAVAILABLE, Request
from tests.agent.towns import RIGHTS, Special, Town, town
from tests.bus.house import scenario, until

pytestmark = [pytest.mark.net, pytest.mark.slow]


async def met(*agents: Agent) -> None:
    """Wait until these agents know each other's commands."""
    await until(
        lambda: all(
            one.nodes.get(two.node) is not None and one.nodes.get(two.node).methods is not None  # type: ignore[union-attr]
            for one in agents
            for two in agents
        )
    )


@scenario
async def test_a_command_that_another_node_provides_is_forwarded_with_its_caller() -> None:
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two", special=True)
        await met(one, two)
        bus = await here.bus("reader")
        assert [await bus.call("whoami") for _ in range(4)] == [["reader", "two"]] * 4
        # A call to one node is carried out there or nowhere.
        with pytest.raises(CommandRefused) as error:
            await bus.call("whoami", node="one")
        assert error.value.code == METHOD_NOT_FOUND


@scenario
async def test_the_least_burdened_node_gets_a_forwarded_call() -> None:
    async with town() as here:
        one = await here.agent("one", workers=4)
        two, three = await here.agent("two", special=True), await here.agent("three", special=True)
        await met(one, two, three)
        table = one.nodes
        await until(lambda: all(node.load is not None for node in table))
        bus = await here.bus()
        for busy, idle in (("two", "three"), ("three", "two")):
            for name, load in ((busy, 9.0), (idle, 0.1)):
                node = table.get(name)
                assert node is not None
                node.load, node.workers = load, 8
            # Straight to its decision: the shared queue may hand the call to any of the three.
            asked = asyncio.to_thread(
                one._services[1]._handlers,  # type: ignore[arg-type]
                _request("whoami"),
                "admin",
                None,
            )
            assert (await (await asked)) == ["admin", idle]
        assert await bus.call("whoami") in (["admin", "two"], ["admin", "three"])


def _request(method: str, *params: object, deadline: float | None = None) -> Request:
    return Request(method, params, deadline=deadline)


@scenario
async def test_rights_of_the_caller_count_on_both_nodes() -> None:
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two", special=True)
        await met(one, two)
        two.commands.rights = one.commands.rights.with_user("reader", [])
        bus = await here.bus("reader")
        for _ in range(4):
            with pytest.raises(CommandRefused) as error:
                await bus.call("whoami")
            assert error.value.code == FORBIDDEN
            assert "reader may not call" in error.value.message


@scenario
async def test_an_agent_without_the_right_to_impersonate_forwards_nothing() -> None:
    rights = (
        RIGHTS + '[roles.agent]\npublish=["*"]\nread=["*"]\ncommands=["*"]\ncreate=["*"]\nannounce=["*"]\n'
    )
    async with town(rights) as here:
        one, two = await here.agent("one"), await here.agent("two", special=True)
        await met(one, two)
        handler = one._services[1]._handlers
        with pytest.raises(CommandError, match="agent1 may not act in the name of reader"):
            await (await asyncio.to_thread(handler, _request("whoami"), "reader", None))  # type: ignore[arg-type]


@scenario
async def test_a_node_that_was_killed_is_passed_over_while_the_table_still_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forwarding, "PATIENCE", 0.5)
    async with town() as here:
        one, two, three = (
            await here.agent("one"),
            await here.agent("two", special=True),
            await here.agent("three", special=True),
        )
        await met(one, two, three)
        node = one.nodes.get("two")
        assert node is not None
        await until(lambda: node.load is not None)
        node.load = -10.0  # the first choice
        # As a killed process: its links are gone, and it said nothing.
        for service in two._services:
            await service.close()
        handler = one._services[1]._handlers
        begin = time.monotonic()
        work = await asyncio.to_thread(handler, _request("whoami"), "reader", None)  # type: ignore[arg-type]
        assert await work == ["reader", "three"]
        assert time.monotonic() - begin > 0.4, "it was tried"
        for service in three._services:
            await service.close()
        work = await asyncio.to_thread(handler, _request("whoami"), "reader", None)  # type: ignore[arg-type]
        with pytest.raises(CommandError, match="was not carried out") as error:
            await work
        assert error.value.code == UNAVAILABLE


@scenario
async def test_firstresult_asks_one_after_the_other_until_one_has_a_result() -> None:
    async with town() as here:
        agents = [
            await here.agent("one"),
            await here.agent("two", {"fail": True}),
            await here.agent("three", {"bread": 1}),
        ]
        await met(*agents)
        bus = await here.bus()
        for _ in range(6):
            assert await bus.call("shopping", "bread") == "bread@three"
        assert await bus.call("shopping", "milk") is None
        assert await bus.call("shopping", "bread", node="one") is None
        with pytest.raises(CommandRefused) as error:
            await bus.call("shopping", 7)
        assert error.value.code == INVALID_PARAMS


@scenario
async def test_firstresult_leaves_time_for_others_when_one_hangs() -> None:
    async with town() as here:
        agents = [
            await here.agent("one"),
            await here.agent("two", {"hang": 2.5}),
            await here.agent("three", {"bread": 1}),
        ]
        await met(*agents)
        for name, load in (("two", 0.1), ("three", 9.0)):  # the one that hangs is asked first
            node = agents[0].nodes.get(name)
            assert node is not None
            node.load, node.workers = load, 8
        asked = asyncio.to_thread(
            agents[0]._services[1]._handlers,  # type: ignore[arg-type]
            _request("shopping", "bread", deadline=asyncio.get_running_loop().time() + 4.0),
            "admin",
            None,
        )
        assert await (await asked) == "bread@three"
        assert here.shops["two"].calls == ["bread"]


async def _alone_failing(here: Town) -> None:
    bus = await here.bus()
    with pytest.raises(CommandRefused) as error:
        await bus.call("shopping", "bread")
    assert error.value.code == UNAVAILABLE
    assert isinstance(error.value.data, dict)
    assert sorted(error.value.data["nodes"]) == ["one", "two"]
    assert error.value.data["nodes"]["two"]["message"] == "closed"


@scenario
async def test_firstresult_tells_of_all_nodes_if_none_has_a_result() -> None:
    async with town() as here:
        await met(await here.agent("one", {"fail": True}), await here.agent("two", {"fail": True}))
        await _alone_failing(here)


@scenario
async def test_cumulative_asks_all_at_the_same_time_and_joins_answers_and_errors_by_node() -> None:
    async with town() as here:
        together = threading.Barrier(3)  # which breaks if one is asked after the other
        agents = [
            await here.agent("one", {"meet": together}),
            await here.agent("two", {"meet": together}),
            await here.agent("three", {"meet": together, "fail": True}),
        ]
        await met(*agents)
        bus = await here.bus("reader")
        found = await bus.call("everybody")
        assert found == {
            "one": {"result": "reader@one"},
            "two": {"result": "reader@two"},
            "three": {"error": {"code": -32050, "message": "sold out", "data": {"node": "three"}}},
        }
        here.shops["two"].stock.clear()
        assert await bus.call("everybody", node="two") == "reader@two"


@scenario
async def test_cumulative_tells_who_did_not_take_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "PATIENCE", 0.5)
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two")
        await met(one, two)
        for service in two._services:
            await service.close()
        found = await (await here.bus()).call("everybody")
        assert found["one"] == {"result": "admin@one"}
        assert "no agent took" in found["two"]["error"]["message"]


@scenario
async def test_a_forwarded_call_may_take_as_long_as_its_caller_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "FORWARD_TIME", 0.1)  # for callers that do not say
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two")
        await met(one, two)
        for shop in here.shops.values():
            shop.stock["hang"] = 0.6
        bus = await here.bus()
        answers = {"one": {"result": "admin@one"}, "two": {"result": "admin@two"}}
        assert await bus.call("everybody", timeout=15.0) == answers
        # The first of the two that is asked does not hang, the other one longer than the caller waits.
        here.shops["one"].stock["hang"] = 0.0
        here.shops["two"].stock["hang"] = 1.5
        found = await bus.call("everybody", timeout=1.0, node="one")
        assert found == "admin@one"
        asked = asyncio.to_thread(
            one._services[1]._handlers,  # type: ignore[arg-type]
            _request("everybody", deadline=asyncio.get_running_loop().time() + 0.5),
            "admin",
            None,
        )
        found = await (await asked)
        assert found["one"] == {"result": "admin@one"}
        assert "its answer is lost" in found["two"]["error"]["message"]


@scenario
async def test_a_call_whose_caller_has_gone_is_not_forwarded() -> None:
    async with town() as here:
        one, two = await here.agent("one"), await here.agent("two", special=True)
        await met(one, two)
        asked = asyncio.to_thread(
            one._services[1]._handlers,  # type: ignore[arg-type]
            _request("whoami", deadline=asyncio.get_running_loop().time() - 0.1),
            "admin",
            None,
        )
        with pytest.raises(CommandError) as error:
            await (await asked)
        assert "it was not carried out" in error.value.message


@scenario
async def test_what_nobody_provides_is_an_error() -> None:
    async with town() as here:
        await here.agent("one")
        with pytest.raises(CommandRefused) as error:
            await (await here.bus()).call("nothing")
        assert error.value.code == METHOD_NOT_FOUND


@scenario
async def test_forwarded_calls_do_not_starve_agents_that_forward_to_each_other() -> None:
    async with town() as here:
        one, two = await here.agent("one", workers=1), await here.agent("two", workers=1)
        here.shops["one"].stock["bread"] = 1

        one.commands.register(Special("one"))
        await met(one, two)
        await until(lambda: two.nodes.providers("whoami"))
        bus = await here.bus()
        found = await asyncio.gather(*(bus.call("whoami") for _ in range(40)))
        assert found == [["admin", "one"]] * 40
