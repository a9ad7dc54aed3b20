from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from proton import Condition

from clacks.amqp.connection import Closed, Opened
from clacks.amqp.messages import Message, decode, encode
from clacks.bus.calling import Caller
from clacks.common import jsonrpc
from clacks.common.errors import CommandRefused, CommandTimeout, ConnectionLost, LinkRefused, OutcomeUnknown
from clacks.common.jsonrpc import Request, Success
from tests.amqp.brokers import Script
from tests.bus.house import scenario, until
from tests.bus.test_links import PumpedLine

CORE = "org.clacks.command.core"


class World(PumpedLine):
    """A caller and a small broker, which plays the agent as well."""

    def __init__(self, script: Script | None = None) -> None:
        super().__init__(script)
        self.caller = Caller(self)

    def hand_on(self) -> None:
        for event in self.whole.events():
            if not isinstance(event, (Opened, Closed)):
                event.owner.on_link(event)

    async def call(self, timeout: float = 10.0) -> asyncio.Task[Any]:
        """Make a call and wait until it is on its way."""
        task = asyncio.ensure_future(self.caller.request(Request("x", (1,)), CORE, timeout, None))
        before = len(self.broker.got)
        while len(self.broker.got) == before and not task.done():
            await self.turn()
        return task

    async def turn(self) -> None:
        await asyncio.sleep(0)
        self.pump()

    async def again(self, script: Script | None = None) -> None:
        """Lose the connection and get a new one."""
        self.whole.lost("gone")
        self.hand_on()
        self.begin(script)
        self.caller.restore()
        for _ in range(3):
            await self.turn()

    @property
    def latest(self) -> Message:
        return decode(self.broker.got[-1][1])

    def answer(self, result: Any, message: Message | None = None) -> None:
        message = message or self.latest
        assert isinstance(message.correlation_id, str)
        assert message.reply_to is not None
        body = jsonrpc.encode(Success(result, message.correlation_id))
        sender = self.broker.senders[message.reply_to]
        sender.send(encode(Message(body=body, correlation_id=message.correlation_id)))
        self.pump()

    def settle(self, how: str, *arguments: str) -> None:
        incoming = self.broker.got[-1][2]
        assert incoming is not None
        getattr(incoming, how)(*arguments)
        self.pump()


@scenario
async def test_a_call_is_a_message_as_the_wire_wants_it() -> None:
    world = World()
    task = await world.call(timeout=30.0)
    address, _, incoming = world.broker.got[-1]
    message = world.latest
    assert address == CORE
    assert incoming is not None
    assert (message.subject, message.content_type, message.user_id) == ("x", "application/json", b"ann")
    assert message.reply_to == "dynamic-0"
    assert message.message_id == message.correlation_id
    assert jsonrpc.decode(message.body) == Request("x", (1,), message.message_id)
    assert message.ttl is not None
    assert 28_000 <= message.ttl <= 29_000  # it expires before its caller does
    world.settle("accept")
    world.answer("done")
    assert await task == "done"
    assert not world.caller._pending


@scenario
async def test_without_dynamic_nodes_answers_go_to_an_address_of_the_user() -> None:
    world = World(Script("RabbitMQ", "3.10.8", ()))
    task = await world.call()
    assert re.fullmatch(r"/topic/reply\.ann\.[0-9a-f]{32}", world.latest.reply_to or "")
    assert world.broker.got[-1][0] == f"/queue/{CORE}"
    world.answer("done")
    assert await task == "done"


@scenario
async def test_a_broker_that_refuses_to_make_a_node_gets_a_name_instead() -> None:
    world = World(Script("unknown", "1", refuse={"": "amqp:not-implemented"}))
    task = await world.call()
    assert (world.latest.reply_to or "").startswith("reply.ann.")
    world.answer("done")
    assert await task == "done"


@scenario
async def test_without_the_right_to_answers_calls_fail() -> None:
    world = World(Script(refuse={"": "amqp:unauthorized-access"}))
    with pytest.raises(LinkRefused, match="answers"):
        await (await world.call())


@scenario
async def test_a_refused_command_queue_fails_its_calls() -> None:
    world = World(Script(refuse={CORE: "amqp:unauthorized-access"}))
    with pytest.raises(LinkRefused) as caught:
        await (await world.call())
    assert caught.value.address == CORE


@scenario
async def test_a_call_not_yet_accepted_goes_out_again_with_its_id_and_a_new_reply_address() -> None:
    world = World()
    task = await world.call()
    first = world.latest
    await world.again(Script())
    second = world.latest
    assert second.message_id == first.message_id
    assert second.body == first.body
    assert second.reply_to in world.broker.senders
    world.answer("done", second)
    assert await task == "done"


@scenario
async def test_a_call_in_doubt_does_not_go_out_to_a_broker_that_knows_nothing_of_it() -> None:
    world = World()
    task = await world.call()
    await world.again(Script(product="artemis"))
    assert world.broker.got == []
    with pytest.raises(OutcomeUnknown):
        await task


@scenario
async def test_a_call_that_was_never_in_doubt_goes_out_to_any_broker() -> None:
    world = World()
    task = await world.call()
    world.settle("release")
    await world.again(Script(product="artemis"))
    await until(lambda: world.broker.got)
    world.answer("done")
    assert await task == "done"


@scenario
async def test_an_accepted_call_does_not_go_out_again() -> None:
    world = World()
    task = await world.call()
    world.settle("accept")
    await world.again()
    assert world.broker.got == []
    with pytest.raises(OutcomeUnknown):
        await task


@scenario
async def test_a_call_that_was_in_doubt_at_its_deadline_has_an_unknown_outcome() -> None:
    world = World()
    task = await world.call(timeout=0.05)
    await world.again()
    with pytest.raises(OutcomeUnknown):
        await task


@scenario
async def test_a_call_that_nobody_accepted_was_not_carried_out() -> None:
    world = World()
    with pytest.raises(CommandTimeout):
        await (await world.call(timeout=0.05))


@scenario
async def test_the_broker_may_say_earlier_that_nobody_took_it() -> None:
    world = World()
    task = await world.call()
    world.settle("reject", "clacks:expired", "nobody took it")
    with pytest.raises(CommandTimeout):
        await task


@scenario
async def test_a_refused_call_says_why() -> None:
    world = World()
    task = await world.call()
    world.settle("reject", "amqp:unauthorized-access", "a call must say its user")
    with pytest.raises(CommandRefused, match="must say its user") as caught:
        await task
    assert caught.value.code == jsonrpc.FORBIDDEN


@scenario
async def test_a_call_that_was_given_back_goes_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clacks.bus.calling._AGAIN", 0.01)
    world = World()
    task = await world.call()
    first = world.latest
    world.settle("release")
    while len(world.broker.got) < 2:
        await world.turn()
    assert world.latest.message_id == first.message_id
    world.answer("done")
    assert await task == "done"


@scenario
async def test_the_end_of_the_reply_node_does_not_lose_calls_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clacks.bus.calling._AGAIN", 0.01)
    world = World()
    task = await world.call()
    first = world.latest
    world.broker.engine.close_link(world.broker.senders["dynamic-0"], "amqp:resource-deleted", "away")
    while len(world.broker.got) < 2:
        await world.turn()
    assert world.latest.reply_to != first.reply_to
    world.answer("done")
    assert await task == "done"


RABBITMQ = Script(product="RabbitMQ", version="3.10.8", capabilities=())


def end_link(world: World) -> None:
    """End the link that the latest message came over, as RabbitMQ does with a message it does not like."""
    session = world.broker.receivers[f"/queue/{CORE}"].link.session
    session.condition = Condition("amqp:precondition-failed", "user_id is another's")
    session.close()
    world.broker.engine.touch()
    world.pump()


@scenario
async def test_a_call_that_loses_its_link_is_refused_and_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clacks.bus.calling._AGAIN", 0.01)
    world = World(RABBITMQ)
    task = await world.call()
    end_link(world)
    with pytest.raises(CommandRefused, match="user_id is another's") as caught:
        await task
    assert caught.value.code == jsonrpc.FORBIDDEN
    assert len(world.broker.got) == 1
    other = await world.call()
    world.answer("the next is sent as ever")
    assert await other == "the next is sent as ever"


@scenario
async def test_of_several_calls_the_one_that_loses_the_link_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clacks.bus.calling._AGAIN", 0.01)
    world = World(RABBITMQ)
    tasks = [await world.call() for _ in range(3)]
    ids = [decode(body).message_id for _, body, _ in world.broker.got]
    end_link(world)
    # One at a time: the first is refused, the others are found to be good.
    while len(world.broker.got) < 4:
        await world.turn()
    await world.turn()
    assert len(world.broker.got) == 4
    assert world.latest.message_id == ids[0]
    end_link(world)
    for count in (5, 6):
        while len(world.broker.got) < count:
            await world.turn()
        await world.turn()
        assert len(world.broker.got) == count
        world.settle("accept")
        world.answer(count)
    with pytest.raises(CommandRefused):
        await tasks[0]
    assert [await task for task in tasks[1:]] == [5, 6]
    # After that they go together again.
    together = [await world.call(), await world.call()]
    assert len(world.broker.got) == 8
    for task in together:
        task.cancel()


@scenario
async def test_answers_that_make_no_sense_are_passed_over() -> None:
    world = World()
    task = await world.call()
    good = world.latest
    sender = world.broker.senders["dynamic-0"]
    strange = [
        b"\x00",
        encode(Message(body=b"not json", correlation_id=good.correlation_id)),
        encode(Message(body=jsonrpc.encode(Success(1, "other")), correlation_id="other")),
        encode(Message(body=good.body, correlation_id=good.correlation_id)),
    ]
    for raw in strange:
        sender.send(raw)
    world.pump()
    assert not task.done()
    world.answer("done")
    assert await task == "done"


@scenario
async def test_closing_fails_calls_as_their_history_says() -> None:
    world = World()
    taken = await world.call()
    world.settle("accept")
    sent = await world.call()
    waiting = asyncio.ensure_future(world.caller.request(Request("x"), "elsewhere", 10.0, None))
    await asyncio.sleep(0)
    world.caller.close()
    for task in (taken, sent):
        with pytest.raises(OutcomeUnknown):
            await task
    with pytest.raises(ConnectionLost):
        await waiting
    with pytest.raises(ConnectionLost):
        await world.caller.request(Request("x"), CORE, 10.0, None)
