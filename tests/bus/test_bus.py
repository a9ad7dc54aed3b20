from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree

from clacks.bus import Bus, BusState, StateChange
from clacks.common import jsonrpc
from clacks.common.address import client_address
from clacks.common.errors import (
    CommandError,
    CommandRefused,
    CommandTimeout,
    ConnectionLost,
    InvalidEvent,
    LinkRefused,
    MalformedEvent,
    OutcomeUnknown,
    QuerySyntaxError,
)
from clacks.common.jsonrpc import Request
from clacks.common.limits import DEFAULT_LIMITS
from tests.bus.house import MAKER, PHONE, caller_of, house, phone, scenario, until

pytestmark = pytest.mark.net

STATUS = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus/f:Status = '{}'"


async def echo(request: Request, user: str, on_behalf_of: str | None) -> Any:
    return {"method": request.method, "params": request.params, "user": user, "for": on_behalf_of}


# -- events


@scenario
async def test_an_event_reaches_a_subscriber() -> None:
    async with house() as h:
        sender, receiver = await h.bus(), await h.bus()
        events = await receiver.subscribe(PHONE)
        assert await sender.publish(phone("7"))
        assert caller_of(await anext(events)) == "7"


@scenario
async def test_buses_beside_their_broker_get_the_event_that_it_accepted() -> None:
    async with house() as h:
        first, second = await h.bus(), await h.bus()
        async with await first.subscribe(PHONE) as one, await second.subscribe(PHONE) as other:
            for n in range(2):
                sent = phone(str(n))
                await first.publish(sent)
                event = await anext(one)
                assert await anext(other) is event
                assert (event is sent, event.xml) == (False, sent.xml)


@scenario
async def test_events_may_be_given_as_element_bytes_and_text() -> None:
    async with house() as h:
        bus = await h.bus()
        events = await bus.subscribe()
        element = MAKER.event("PhoneStatus", CallerId="1", ReceiverId="2", Status="s")
        text = etree.tostring(element, encoding="unicode")
        for form in (element, text, text.encode()):
            await bus.publish(form)
        for _ in range(3):
            assert caller_of(await anext(events)) == "1"


@scenario
async def test_an_invalid_event_is_refused_before_it_is_sent() -> None:
    async with house() as h:
        bus = await h.bus()
        with pytest.raises(InvalidEvent, match="PhoneStatus"):
            await bus.publish("<Event xmlns='http://www.gonicus.de/Events'><PhoneStatus/></Event>")
        with pytest.raises(MalformedEvent):
            await bus.publish(b"<Event")
        assert bus.metrics.total("events_published") == 0


@scenario
async def test_only_events_that_match_arrive_and_the_broker_selects_them() -> None:
    async with house() as h:
        bus = await h.bus()
        busy = await bus.subscribe(STATUS.format("busy"))
        free = await bus.subscribe(STATUS.format("free"))
        for n in range(4):
            await bus.publish(phone(str(n), ("busy", "free")[n % 2]))
        assert [caller_of(await anext(busy)) for _ in range(2)] == ["0", "2"]
        assert [caller_of(await anext(free)) for _ in range(2)] == ["1", "3"]
        assert h.broker.metrics.value("messages_delivered") == 4
        assert bus._subscriber._index is None


@scenario
async def test_where_the_broker_is_not_believed_the_client_selects() -> None:
    async with house() as h:
        bus = await h.bus(profile="generic")
        busy = await bus.subscribe(STATUS.format("busy"))
        free = await bus.subscribe(STATUS.format("free"))
        everything = await bus.subscribe()
        for n in range(4):
            await bus.publish(phone(str(n), ("busy", "free")[n % 2]))
        assert [caller_of(await anext(everything)) for _ in range(4)] == ["0", "1", "2", "3"]
        assert [caller_of(await anext(busy)) for _ in range(2)] == ["0", "2"]
        assert [caller_of(await anext(free)) for _ in range(2)] == ["1", "3"]
        # One link for the two that ask for one type, one for all types.
        assert len(bus._subscriber._taps) == 2
        await busy.close()
        await free.close()
        assert len(bus._subscriber._taps) == 1
        assert not bus._subscriber._indexed


@scenario
async def test_kinds_narrow_a_subscription() -> None:
    async with house() as h:
        bus = await h.bus()
        events = await bus.subscribe(kinds=["PhoneStatus", "ClientLeave"])
        await bus.publish(MAKER.event("ClientPoll"))
        await bus.publish(MAKER.event("ClientLeave", Id="c1"))
        await bus.publish(phone())
        assert [(await anext(events)).kind for _ in range(2)] == ["ClientLeave", "PhoneStatus"]


@pytest.mark.parametrize("profile", [None, "generic"])
def test_properties_are_variables_of_queries(profile: str | None) -> None:
    @scenario
    async def run() -> None:
        async with house() as h:
            bus = await h.bus(profile=profile)
            events = await bus.subscribe("declare variable $room external; $room = 'r1'")
            await bus.publish(phone("1"), properties={"room": "r2"})
            await bus.publish(phone("2"), properties={"room": "r1"})
            await bus.publish(phone("3"))
            await bus.publish(phone("4"), properties={"room": "r1"})
            assert [caller_of(await anext(events)) for _ in range(2)] == ["2", "4"]

    run()


@scenario
async def test_messages_carry_the_attributes_of_cloudevents() -> None:
    async with house() as h:
        sender, receiver = await h.bus("agent1", name="pc 1"), await h.bus()
        events = await receiver.subscribe()
        before = datetime.now(UTC)
        await sender.publish(phone())
        received = await anext(events.messages())
        assert received.user == "agent1"
        assert received.subject == "PhoneStatus"
        assert received.properties["cloudEvents_type"] == "PhoneStatus"
        assert received.properties["cloudEvents_source"] == "urn:clacks:pc%201"
        sent = datetime.fromisoformat(received.properties["cloudEvents_time"])
        assert before <= sent <= datetime.now(UTC)


@scenario
async def test_an_expired_event_is_not_delivered() -> None:
    async with house() as h:
        bus = await h.bus()
        events = await bus.subscribe()
        await bus.publish(phone("late"), expires=datetime.now(UTC) - timedelta(seconds=1))
        await bus.publish(phone("good"), expires=datetime.now(UTC) + timedelta(seconds=60))
        assert caller_of(await anext(events)) == "good"


@scenario
async def test_a_query_that_does_not_compile_is_refused_with_its_place() -> None:
    async with house() as h:
        bus = await h.bus()
        with pytest.raises(QuerySyntaxError) as caught:
            await bus.subscribe("for $x in")
        assert caught.value.code == "XPST0003"
        assert not bus._subscriber._parts


@scenario
async def test_without_the_right_to_publish_a_type_publish_says_so() -> None:
    async with house() as h:
        bus = await h.bus("reader")
        with pytest.raises(LinkRefused) as caught:
            await bus.publish(phone())
        assert caught.value.condition == "amqp:unauthorized-access"
        assert caught.value.address == "org.clacks.event.PhoneStatus"


@scenario
async def test_a_subscription_without_the_right_to_read_is_refused() -> None:
    async with house() as h:
        bus = await h.bus("reader")
        with pytest.raises(LinkRefused) as caught:
            await bus.subscribe(kinds=["ClientPoll"])
        assert caught.value.condition == "amqp:unauthorized-access"


@scenario
async def test_stored_is_refused_while_nobody_records() -> None:
    async with house() as h:
        bus = await h.bus()
        async with await bus.serve({"echo": echo}):
            with pytest.raises(CommandRefused, match="no agent on this domain records events"):
                await bus.publish(phone(), stored=True)


@scenario
async def test_publish_gives_up_after_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clacks.bus.publishing._PATIENCE", 0.2)
    async with house() as h:
        bus = await h.bus()
        await h.stop()
        await until(lambda: bus.state is BusState.RECONNECTING)
        assert await bus.publish(phone()) is False
        assert bus.metrics.value("events_dropped", reason="no connection") == 1


@pytest.mark.slow
@scenario
async def test_a_flood_does_not_pile_up_in_memory_and_all_of_it_arrives() -> None:
    async with house() as h:
        sender, receiver = await h.bus(), await h.bus()
        events = await receiver.subscribe(queue_events=100_000)
        most = 0
        event = phone("x" * 1000)
        for _ in range(5000):
            await sender.publish(event)
            connection = sender.connection
            assert connection is not None
            most = max(most, connection.engine.backlog)
        await sender.flush()
        await until(lambda: events.waiting == 5000)
        assert most < 1024 * 1024


@scenario
async def test_flush_returns_when_the_socket_has_everything() -> None:
    async with house() as h:
        bus = await h.bus()
        events = await bus.subscribe(queue_events=100_000)
        for _ in range(500):
            await bus.publish(phone())
        await bus.flush()
        connection = bus.connection
        assert connection is not None
        assert connection.engine.backlog == 0
        await until(lambda: events.waiting == 500)


@scenario
async def test_a_slow_reader_loses_its_oldest_events_and_nobody_else_does() -> None:
    async with house() as h:
        sender, slow, quick = await h.bus(), await h.bus(), await h.bus()
        late = await slow.subscribe(queue_events=10)
        prompt = await quick.subscribe(queue_events=10_000)
        for n in range(200):
            await sender.publish(phone(str(n)))
        await until(lambda: prompt.waiting == 200)
        await until(lambda: late.dropped + late.waiting == 200)
        assert late.dropped == 190
        assert caller_of(await anext(late)) == "190"
        assert prompt.dropped == 0


# -- commands


@scenario
async def test_a_call_is_answered() -> None:
    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        async with await agent.serve({"echo": echo}):
            answer = await client.call("echo", 1, "two")
            assert answer == {"method": "echo", "params": [1, "two"], "user": "admin", "for": None}
            assert (await client.call("echo", a=1))["params"] == {"a": 1}


@scenario
async def test_positional_and_keyword_arguments_do_not_mix() -> None:
    async with house() as h:
        bus = await h.bus()
        with pytest.raises(CommandError) as caught:
            await bus.call("echo", 1, a=2)
        assert caught.value.code == jsonrpc.INVALID_PARAMS


@scenario
async def test_errors_of_the_remote_side_come_with_code_and_message() -> None:
    async def refuse(request: Request, user: str, on_behalf_of: str | None) -> Any:
        raise CommandError(4711, "not today", {"why": [1]})

    def fail(request: Request, user: str, on_behalf_of: str | None) -> Any:
        raise RuntimeError("secret detail")

    def unspeakable(request: Request, user: str, on_behalf_of: str | None) -> Any:
        return object()

    async with house() as h:
        bus = await h.bus()
        async with await bus.serve({"refuse": refuse, "fail": fail, "unspeakable": unspeakable}):
            with pytest.raises(CommandRefused) as caught:
                await bus.call("refuse")
            assert (caught.value.code, caught.value.message, caught.value.data) == (
                4711,
                "not today",
                {"why": [1]},
            )
            with pytest.raises(CommandRefused, match="the command failed") as caught:
                await bus.call("fail")
            assert "secret" not in str(caught.value)
            with pytest.raises(CommandRefused) as caught:
                await bus.call("unspeakable")
            assert caught.value.code == jsonrpc.INTERNAL_ERROR
            with pytest.raises(CommandRefused) as caught:
                await bus.call("unknown")
            assert caught.value.code == jsonrpc.METHOD_NOT_FOUND


@scenario
async def test_a_call_that_nobody_takes_times_out_as_not_carried_out() -> None:
    async with house() as h:
        bus = await h.bus()
        start = time.monotonic()
        with pytest.raises(CommandTimeout):
            await bus.call("echo", timeout=0.2)
        assert time.monotonic() - start < 5


@scenario
async def test_a_call_that_is_taken_and_not_answered_has_an_unknown_outcome() -> None:
    async def never(request: Request, user: str, on_behalf_of: str | None) -> Any:
        await asyncio.sleep(LONG)

    async with house() as h:
        bus = await h.bus()
        service = await bus.serve(never)
        with pytest.raises(OutcomeUnknown):
            await bus.call("x", timeout=0.2)
        await service.close(0.0)


LONG = 60.0


@scenario
async def test_two_agents_share_a_queue_and_a_node_has_its_own() -> None:
    def names(name: str) -> Any:
        async def handler(request: Request, user: str, on_behalf_of: str | None) -> str:
            return name

        return handler

    async with house() as h:
        one, two, client = await h.bus("agent1"), await h.bus("agent2"), await h.bus()
        await one.serve(names("one"), node="one")
        await two.serve(names("two"), node="two")
        assert {await client.call("who") for _ in range(10)} == {"one", "two"}
        assert {await client.call("who", node="two") for _ in range(5)} == {"two"}


@scenario
async def test_no_more_calls_run_than_there_are_workers() -> None:
    running = most = 0

    async def work(request: Request, user: str, on_behalf_of: str | None) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    async with house() as h:
        bus = await h.bus()
        await bus.serve(work, workers=3)
        await asyncio.gather(*(bus.call("x") for _ in range(20)))
        assert most == 3


@scenario
async def test_a_busy_agent_leaves_calls_to_others() -> None:
    gate = asyncio.Event()

    async def stuck(request: Request, user: str, on_behalf_of: str | None) -> str:
        await gate.wait()
        return "stuck"

    async def quick(request: Request, user: str, on_behalf_of: str | None) -> str:
        return "quick"

    async with house() as h:
        one, two, client = await h.bus("agent1"), await h.bus("agent2"), await h.bus()
        await one.serve(stuck, workers=1)
        first = asyncio.ensure_future(client.call("x"))
        await until(lambda: one._services[0].running == 1)
        await two.serve(quick, workers=1)
        assert [await client.call("x") for _ in range(5)] == ["quick"] * 5
        gate.set()
        assert await first == "stuck"


@scenario
async def test_plain_functions_run_in_threads_side_by_side() -> None:
    def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        time.sleep(0.1)
        return "done"

    async with house() as h:
        bus = await h.bus()
        await bus.serve(work, workers=4)
        start = time.monotonic()
        assert await asyncio.gather(*(bus.call("x") for _ in range(4))) == ["done"] * 4
        assert time.monotonic() - start < 0.35


@scenario
async def test_a_gateway_says_for_whom_it_speaks() -> None:
    async with house() as h:
        bus = await h.bus()
        await bus.serve(echo)
        answer = await bus.request(Request("echo"), on_behalf_of="jane")
        assert (answer["user"], answer["for"]) == ("admin", "jane")


@scenario
async def test_calls_are_refused_where_nobody_vouches_for_users() -> None:
    async with house() as h:
        client = await h.bus()
        doubtful = await h.bus("agent1", profile="generic")
        service = await doubtful.serve(echo)
        with pytest.raises(CommandRefused) as caught:
            await client.call("echo")
        assert caught.value.code == jsonrpc.FORBIDDEN
        await service.close()
        trusting = await h.bus("agent2", profile="generic", trust_users=True)
        await trusting.serve(echo)
        assert (await client.call("echo"))["user"] == "admin"


@scenario
async def test_a_client_has_a_queue_of_its_own() -> None:
    async with house() as h:
        agent, client = await h.bus(), await h.bus("agent1")
        address = client_address("org.clacks", "pc1")
        await client.serve(echo, address=address)
        assert (await agent.call("echo", address=address))["user"] == "admin"


@scenario
async def test_a_service_that_closes_lets_running_calls_finish() -> None:
    started = asyncio.Event()

    async def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        started.set()
        await asyncio.sleep(0.05)
        return "done"

    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        service = await agent.serve(work)
        call = asyncio.ensure_future(client.call("x"))
        await started.wait()
        await service.close()
        assert await call == "done"


@scenario
async def test_a_call_that_is_cut_off_has_an_unknown_outcome() -> None:
    async def work(request: Request, user: str, on_behalf_of: str | None) -> None:
        await asyncio.sleep(LONG)

    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        service = await agent.serve(work)
        call = asyncio.ensure_future(client.call("x"))
        await until(lambda: service.running)
        await service.close(0.05)
        with pytest.raises(CommandRefused) as caught:
            await call
        assert caught.value.code == jsonrpc.OUTCOME_UNKNOWN


@scenario
async def test_cancelling_a_call_leaves_nothing_behind() -> None:
    async with house() as h:
        bus = await h.bus()
        call = asyncio.ensure_future(bus.call("x"))
        await until(lambda: bus._caller._pending)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not bus._caller._pending


# -- the connection comes and goes


@scenario
async def test_a_subscription_goes_on_after_the_connection_broke_and_knows_its_gap() -> None:
    async with house() as h:
        bus = await h.bus()
        events = await bus.subscribe(STATUS.format("busy"))
        await bus.publish(phone("before"))
        assert caller_of(await anext(events)) == "before"
        h.cut()
        await until(lambda: events.gaps)
        assert bus.state is BusState.CONNECTED
        await bus.publish(phone("other", "free"))
        await bus.publish(phone("after"))
        assert caller_of(await anext(events)) == "after"
        [gap] = events.gaps
        assert gap.start <= gap.end


@pytest.mark.slow
@scenario
async def test_everything_comes_back_when_the_broker_does() -> None:
    async with house() as h:
        bus, agent = await h.bus(), await h.bus("agent1")
        events = await bus.subscribe(PHONE)
        await agent.serve(echo)
        await h.stop()
        await until(lambda: bus.state is BusState.RECONNECTING)
        waiting = asyncio.ensure_future(bus.publish(phone("patient")))
        call = asyncio.ensure_future(bus.call("echo"))
        await h.start()
        assert await waiting
        assert (await call)["user"] == "admin"
        await until(lambda: events.gaps)
        await bus.publish(phone("again"))
        seen = {caller_of(await anext(events))}
        if "again" not in seen:
            seen.add(caller_of(await anext(events)))
        assert "again" in seen


@scenario
async def test_a_call_in_execution_when_the_callers_connection_breaks_has_an_unknown_outcome() -> None:
    gate = asyncio.Event()

    async def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        await gate.wait()
        return "done"

    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        service = await agent.serve(work)
        call = asyncio.ensure_future(client.call("x"))
        await until(lambda: service.running)
        await asyncio.sleep(0.05)  # the acceptance travels to the caller
        h.cut()
        with pytest.raises(OutcomeUnknown):
            await call
        gate.set()


@pytest.mark.slow
@scenario
async def test_an_agent_answers_over_a_new_connection_what_it_took_over_the_old_one() -> None:
    gate = asyncio.Event()

    async def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        await gate.wait()
        return "done"

    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        service = await agent.serve(work)
        call = asyncio.ensure_future(client.call("x"))
        await until(lambda: service.running)
        await asyncio.sleep(0.05)
        assert h.server is not None
        for link in list(h.server._sockets):
            if link.peer is not None and link.peer.user == "agent1":
                link.abort()
        await until(lambda: agent.state is BusState.RECONNECTING)
        gate.set()
        assert await call == "done"


@scenario
async def test_a_call_that_is_sent_twice_is_carried_out_once() -> None:
    times = 0

    async def work(request: Request, user: str, on_behalf_of: str | None) -> int:
        nonlocal times
        times += 1
        return times

    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        service = await agent.serve(work)
        assert await client.call("x") == 1
        [(_, id_)] = service._memory._calls
        caller = client._caller
        call = asyncio.ensure_future(caller.request(Request("x"), "org.clacks.command.core", 5.0, None))
        await asyncio.sleep(0)
        # The second call pretends to be the first, sent again.
        [pending] = caller._pending.values()
        assert pending.call.id != id_
        assert await call == 2
        message = caller._message(replace_id(pending.call, id_), 5.0)
        outlet = caller._outlets["org.clacks.command.core"]
        assert outlet.sender is not None
        answers: list[bytes] = []
        caller._answered = answers.append  # type: ignore[method-assign]
        outlet.sender.send_unsettled(message, id_)
        await until(lambda: answers)
        assert b'"result":1' in answers[0]
        assert times == 2


def replace_id(call: Any, id_: Any) -> Any:
    return replace(call, id=id_)


@scenario
async def test_changes_of_state_can_be_watched() -> None:
    async with house() as h:
        bus = Bus(h.url())
        seen: list[StateChange] = []
        end = bus.on_state(seen.append)
        collected: list[BusState] = []

        async def collect() -> None:
            async for change in bus.states():
                collected.append(change.state)

        watcher = asyncio.ensure_future(collect())
        await asyncio.sleep(0)
        await bus.start()
        h.cut()
        await until(lambda: any(c.state is BusState.RECONNECTING for c in seen))
        await until(lambda: bus.state is BusState.CONNECTED)
        await bus.close()
        await watcher  # ends by itself
        states = [change.state for change in seen]
        assert states[:3] == [BusState.CONNECTING, BusState.CONNECTED, BusState.RECONNECTING]
        assert states[-2:] == [BusState.CONNECTED, BusState.CLOSED]
        assert collected == states
        assert seen[1].reason.startswith("clacks")
        assert seen[2].reason
        assert len(seen) == len(collected)
        end()
        end()


@scenario
async def test_a_closed_bus_says_so() -> None:
    async with house() as h:
        bus = await h.bus()
        events = await bus.subscribe()
        call = asyncio.ensure_future(bus.call("x"))
        await until(lambda: bus._caller._pending)
        await bus.close()
        with pytest.raises((ConnectionLost, OutcomeUnknown)):
            await call
        assert [event async for event in events] == []
        for use in (bus.publish(phone()), bus.subscribe(), bus.call("x"), bus.serve(echo)):
            with pytest.raises(ConnectionLost):
                await use
        await bus.close()


@scenario
async def test_a_bus_that_was_never_started_says_so() -> None:
    bus = Bus("amqp://a:b@localhost/org.clacks")
    for use in (bus.publish(phone()), bus.subscribe(), bus.call("x"), bus.serve(echo)):
        with pytest.raises(ConnectionLost, match="async with"):
            await use
    await bus.close()


@pytest.mark.slow
@scenario
async def test_silence_of_a_broker_that_hangs_is_noticed() -> None:
    quiet = replace(DEFAULT_LIMITS, idle_timeout=0.4)
    async with house() as h:
        bus = await h.bus(limits=quiet)
        assert h.server is not None
        for link in list(h.server._sockets):
            if link._timer is not None:
                link._timer.cancel()  # no more heartbeats; the socket stays open
        await until(lambda: bus.metrics.value("connections_lost") == 1)
        await until(lambda: bus.state is BusState.CONNECTED)


@pytest.mark.slow
@scenario
async def test_a_call_that_waits_for_an_agent_survives_a_broken_connection_and_is_carried_out_once() -> None:
    times = 0

    async def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        nonlocal times
        times += 1
        return "done"

    async with house() as h:
        agent, client = await h.bus("agent1"), await h.bus()
        service = await agent.serve(work)
        await service.close()  # the queue is there, nobody serves it
        call = asyncio.ensure_future(client.call("x"))
        await until(lambda: [p for p in client._caller._pending.values() if p.call.state.value == "sent"])
        h.cut()
        await until(lambda: [p for p in client._caller._pending.values() if p.call.doubtful])
        await until(lambda: [p for p in client._caller._pending.values() if p.call.state.value == "sent"])
        await until(lambda: agent.state is BusState.CONNECTED)
        await agent.serve(work)
        assert await call == "done"
        await asyncio.sleep(0.1)
        assert times == 1


@pytest.mark.slow
@scenario
async def test_a_call_sent_again_after_a_loss_is_not_carried_out_by_two_agents() -> None:
    times = 0

    async def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        nonlocal times
        times += 1
        return "done"

    async with house() as h:
        one, two, client = await h.bus("agent1"), await h.bus("agent2"), await h.bus()
        service = await one.serve(work)
        await service.close()
        call = asyncio.ensure_future(client.call("x"))
        for _ in range(3):
            await until(lambda: [p for p in client._caller._pending.values() if p.call.state.value == "sent"])
            h.cut()
            await until(lambda: client.state is BusState.RECONNECTING)
            await until(lambda: client.state is BusState.CONNECTED)
        await until(lambda: one.state is BusState.CONNECTED and two.state is BusState.CONNECTED)
        # Each copy that is left in the queue goes to another agent.
        await one.serve(work, workers=1)
        await two.serve(work, workers=1)
        assert await call == "done"
        await asyncio.sleep(0.1)
        assert times == 1
