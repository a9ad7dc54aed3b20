"""Calls and answers, on every broker."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pytest

from clacks.common import jsonrpc
from clacks.common.errors import CommandError, CommandRefused, CommandTimeout, OutcomeUnknown
from clacks.common.jsonrpc import Request
from tests.contract.brokers import ContractBroker
from tests.contract.serving_process import serving_process
from tests.contract.table import Cell
from tests.contract.words import (
    CALLS,
    agent_on,
    callers,
    each,
    hello,
    next_event,
    phone,
    seen_by_broker,
    until,
)


async def test_a_call_is_answered(broker: ContractBroker, rights_file: Path) -> None:
    async with (
        broker.bus("agent") as bus,
        agent_on(bus, broker, "n1", rights_file),
        broker.bus("ann") as caller,
    ):
        assert await caller.call("add", 2, 3) == 5
        assert await caller.call("add", one=2, other=40) == 42
        assert await caller.call("getSessionUser") == "ann"
        assert await caller.call("where", node="n1") == "n1"
        assert "add" in await caller.call("getMethods")


async def test_an_event_sent_by_the_agent_carries_on_to_subscribers(
    broker: ContractBroker, rights_file: Path
) -> None:
    async with (
        broker.bus("agent") as bus,
        agent_on(bus, broker, "n1", rights_file),
        broker.bus("ann") as caller,
    ):
        events = await caller.subscribe(CALLS)
        await caller.call("sendEvent", phone("by agent"))
        assert callers([await next_event(events)]) == ["by agent"]
        with pytest.raises(CommandRefused) as caught:
            await caller.call("sendEvent", phone().replace("CallerId", "Caller"))
        assert caught.value.code == jsonrpc.INVALID_EVENT
        assert "/Event/PhoneStatus" in caught.value.message
        await hello(caller, events, mark="nothing came between")


async def test_the_errors_of_a_command_reach_its_caller(broker: ContractBroker) -> None:
    def refuse(request: Request, user: str, on_behalf_of: str | None) -> None:
        raise CommandError(-32050, "the lamp is broken", {"lamp": 7})

    def crash(request: Request, user: str, on_behalf_of: str | None) -> None:
        raise ZeroDivisionError("a secret of the agent")

    async with broker.bus("agent") as bus, broker.bus("ann") as caller:
        await bus.serve({"dim": refuse, "crash": crash})
        with pytest.raises(CommandRefused, match="the lamp is broken") as caught:
            await caller.call("dim", 50)
        assert (caught.value.code, caught.value.data) == (-32050, {"lamp": 7})
        with pytest.raises(CommandRefused) as caught:
            await caller.call("crash")
        assert caught.value.code == jsonrpc.INTERNAL_ERROR
        assert "secret" not in str(caught.value)


async def test_an_unknown_method_is_refused(broker: ContractBroker, rights_file: Path) -> None:
    async with (
        broker.bus("agent") as bus,
        agent_on(bus, broker, "n1", rights_file),
        broker.bus("ann") as caller,
    ):
        with pytest.raises(CommandRefused) as caught:
            await caller.call("fly")
        assert caught.value.code == jsonrpc.METHOD_NOT_FOUND
        with pytest.raises(CommandRefused) as caught:
            await caller.call("add", "two")
        assert caught.value.code == jsonrpc.INVALID_PARAMS


async def test_a_call_that_nobody_takes_times_out(broker: ContractBroker, cell: Cell) -> None:
    async with broker.bus("agent") as agent, broker.bus("ann") as caller:
        async with await agent.serve(lambda *_: "warm"):
            assert await caller.call("warm") == "warm"  # so the link is there and has credit
        # Where the broker itself accepts calls nobody can say whether an agent got it.
        assert caller.profile is not None
        error = OutcomeUnknown if caller.profile.accepts_early else CommandTimeout
        with pytest.raises(error):
            await caller.call("add", 1, 2, timeout=2.0)
        cell(f"`{error.__name__}`")


async def test_a_call_that_timed_out_is_not_carried_out_later(broker: ContractBroker) -> None:
    taken: list[str] = []

    async def note(request: Request, user: str, on_behalf_of: str | None) -> str:
        taken.append(request.method)
        return "done"

    async with broker.bus("agent") as bus, broker.bus("ann") as caller:
        with pytest.raises((CommandTimeout, OutcomeUnknown)):
            await caller.call("late", timeout=0.4)
        await bus.serve(note)
        assert await caller.call("in time") == "done"
        assert taken == ["in time"]


async def test_the_outcome_of_a_call_that_takes_too_long_is_unknown(broker: ContractBroker) -> None:
    finish = asyncio.Event()

    async def slow(request: Request, user: str, on_behalf_of: str | None) -> str:
        await finish.wait()
        return "done"

    async with broker.bus("agent") as bus, broker.bus("ann") as caller:
        await bus.serve({"slow": slow, "quick": lambda *_: "quick"})
        with pytest.raises(OutcomeUnknown):
            await caller.call("slow", timeout=0.4)
        finish.set()
        # The answer that comes too late is not taken for that of another call.
        assert await caller.call("quick") == "quick"


async def test_two_agents_share_the_calls_and_none_is_lost(broker: ContractBroker, rights_file: Path) -> None:
    async with (
        broker.bus("agent") as one,
        broker.bus("agent") as other,
        agent_on(one, broker, "n1", rights_file),
        agent_on(other, broker, "n2", rights_file),
        broker.bus("ann") as caller,
    ):
        nodes = Counter(await each(*(caller.call("where") for _ in range(60))))
        assert sum(nodes.values()) == 60
        assert set(nodes) == {"n1", "n2"}
        assert min(nodes.values()) >= 10
        assert await caller.call("where", node="n2") == "n2"


async def test_an_agent_that_is_busy_leaves_calls_to_others(broker: ContractBroker) -> None:
    release = threading.Event()
    began: list[str] = []

    def block(request: Request, user: str, on_behalf_of: str | None) -> str:
        began.append(request.method)
        release.wait(20)
        return "busy agent"

    async with broker.bus("agent") as one, broker.bus("agent") as other, broker.bus("ann") as caller:
        try:
            await one.serve({"work": block}, workers=1)
            first = asyncio.create_task(caller.call("work"))
            await until(lambda: began)
            await other.serve({"work": lambda *_: "idle agent"}, workers=1)
            assert await each(*(caller.call("work") for _ in range(5))) == ["idle agent"] * 5
        finally:
            release.set()
        assert await first == "busy agent"


async def test_an_agent_that_stops_finishes_its_calls_and_gives_back_the_rest(broker: ContractBroker) -> None:
    release = threading.Event()
    began: list[str] = []

    def block(request: Request, user: str, on_behalf_of: str | None) -> str:
        began.append(request.method)
        release.wait(20)
        return "first agent"

    async with broker.bus("agent") as one, broker.bus("agent") as other, broker.bus("ann") as caller:
        try:
            service = await one.serve({"work": block}, workers=1)
            calls = [asyncio.create_task(caller.call("work")) for _ in range(3)]
            await until(lambda: began)
            stopping = asyncio.create_task(service.close())
            await other.serve({"work": lambda *_: "second agent"})
            done = [await call for call in calls if call is not calls[0]]
        finally:
            release.set()
        await stopping
        assert sorted([await calls[0], *done]) == ["first agent", "second agent", "second agent"]
        assert began == ["work"]


async def test_a_call_accepted_by_an_agent_that_is_killed_has_an_unknown_outcome(
    broker: ContractBroker,
) -> None:
    async with broker.bus("ann") as caller:
        async with serving_process(broker) as agent:
            call = asyncio.create_task(caller.call("hang", timeout=3))
            await agent.says("taken hang")
            await agent.kill()
        taken: list[str] = []
        async with broker.bus("agent") as bus:
            # Another agent does not get it: it may have been carried out.
            await bus.serve(
                {"hang": lambda request, *_: taken.append(request.method), "see": lambda *_: "ok"}
            )
            assert await caller.call("see") == "ok"
            with pytest.raises(OutcomeUnknown):
                await call
            assert taken == []


async def test_a_call_goes_to_another_agent_when_the_first_is_killed_before_it_accepts(
    broker: ContractBroker,
) -> None:
    async with broker.bus("agent") as bus, broker.bus("ann") as caller:
        async with serving_process(broker) as agent:
            assert await caller.call("where") == "process"
            await agent.says("taken where")
            await agent.stop()
            call = asyncio.create_task(caller.call("where"))
            await asyncio.sleep(0)
            await seen_by_broker(caller)
            await agent.kill()
        await bus.serve({"where": lambda *_: "survivor"})
        async with asyncio.timeout(20):
            assert await call == "survivor"


async def test_a_call_says_who_makes_it_and_for_whom(broker: ContractBroker) -> None:
    seen: list[tuple[str, str | None]] = []

    def note(request: Request, user: str, on_behalf_of: str | None) -> None:
        seen.append((user, on_behalf_of))

    async with broker.bus("agent") as bus, broker.bus("ann") as ann, broker.bus() as admin:
        await bus.serve(note)
        await ann.call("note")
        await admin.request(Request("note", ()), on_behalf_of="jane")
    assert seen == [("ann", None), ("admin", "jane")]


async def test_an_answer_of_half_a_megabyte_arrives_whole(broker: ContractBroker) -> None:
    async with broker.bus("agent") as bus, broker.bus("ann") as caller:
        await bus.serve({"echo": lambda request, *_: request.params[0]})
        text = "ä" * 500_000
        assert await caller.call("echo", text) == text


async def test_many_calls_side_by_side_get_their_own_answers(broker: ContractBroker) -> None:
    async with broker.bus("agent") as bus, broker.bus("ann") as caller:
        await bus.serve({"echo": lambda request, *_: request.params[0]}, workers=4)
        answers = await each(*(caller.call("echo", number) for number in range(100)))
        assert answers == list(range(100))
