from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clacks.amqp.connection import Closed, Opened
from clacks.amqp.messages import Message, decode, encode
from clacks.bus.replies import Replies
from clacks.bus.serving import Service
from clacks.common import jsonrpc
from clacks.common.errors import CommandError, LinkRefused
from clacks.common.jsonrpc import Failure, Request, Success
from tests.amqp.brokers import Script
from tests.bus.house import scenario, until
from tests.bus.test_links import PumpedLine

CORE = "org.clacks.command.core"


async def echo(request: Request, user: str, on_behalf_of: str | None) -> Any:
    return [request.method, user, on_behalf_of]


class World(PumpedLine):
    """A service and a small broker, which plays the caller as well."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        super().__init__(script)
        self.replies = Replies(self)
        self.service = self.serve(**options)

    def serve(self, handlers: Any = echo, workers: int = 2, **options: Any) -> Service:
        options.setdefault("trust_users", False)
        service = Service(self, self.replies, handlers, (CORE,), workers, ended=lambda _: None, **options)
        service.restore()
        self.pump()
        return service

    def hand_on(self) -> None:
        for event in self.whole.events():
            if not isinstance(event, (Opened, Closed)):
                event.owner.on_link(event)

    @property
    def source(self) -> Any:
        return next(sender for address, sender in self.broker.senders.items() if address.endswith(CORE))

    def call(self, method: str = "x", **options: Any) -> None:
        id_ = options.pop("message_id", "id-1")
        body = options.pop("body", jsonrpc.encode(Request(method, (), id_)))
        options.setdefault("user_id", b"jane")
        options.setdefault("reply_to", "$reply.1")
        properties = options.pop("properties", None)
        message = Message(body=body, subject=method, message_id=id_, correlation_id=id_, **options)
        if properties is not None:
            message.properties = properties
        self.source.send_unsettled(encode(message), id_)
        self.pump()

    async def settle(self) -> None:
        """Let all that can run, run."""
        for _ in range(10):
            await asyncio.sleep(0)
            self.pump()

    def answers(self) -> list[tuple[str | None, Message, Success | Failure]]:
        found = []
        for address, raw, _ in self.broker.got:
            message = decode(raw)
            answer = jsonrpc.decode(message.body)
            assert isinstance(answer, (Success, Failure))
            found.append((address, message, answer))
        return found

    def outcomes(self) -> list[tuple[object, str]]:
        return [(context, outcome.name) for context, outcome in self.broker.outcomes]


@scenario
async def test_a_call_is_accepted_and_answered_to_its_caller() -> None:
    world = World()
    world.call(properties={"clacks_on_behalf_of": "bob"})
    await world.settle()
    assert world.outcomes() == [("id-1", "accepted")]
    [(address, message, answer)] = world.answers()
    assert (address, message.to) == (None, "$reply.1")  # over the relay
    assert message.correlation_id == "id-1"
    assert answer == Success(["x", "jane", "bob"], "id-1")


@scenario
async def test_there_is_credit_for_free_workers_and_no_more() -> None:
    gate = asyncio.Event()

    async def wait(request: Request, user: str, on_behalf_of: str | None) -> None:
        await gate.wait()

    world = World(handlers=wait, workers=3)
    world.pump()
    assert world.source.credit == 3
    for number in range(3):
        world.call(message_id=f"id-{number}")
    await world.settle()
    assert world.source.credit == 0
    assert world.service.running == 3
    gate.set()
    await world.settle()
    assert world.source.credit == 3


@scenario
async def test_the_broker_hears_that_a_call_is_taken_before_it_begins() -> None:
    heard: list[Any] = []

    async def look(request: Request, user: str, on_behalf_of: str | None) -> None:
        heard.extend(world.outcomes())

    world = World(handlers=look)
    world.call()
    await world.settle()
    assert heard == [("id-1", "accepted")]


@scenario
async def test_the_deadline_of_a_call_is_what_its_message_says() -> None:
    seen: list[float | None] = []

    async def look(request: Request, user: str, on_behalf_of: str | None) -> None:
        seen.append(request.deadline)

    world = World(handlers=look)
    now = asyncio.get_running_loop().time()
    world.call(ttl=90_000)
    world.call(message_id="id-2")
    await world.settle()
    assert seen[0] is not None
    assert now + 90.0 <= seen[0] <= asyncio.get_running_loop().time() + 90.0
    assert seen[1] is None


@scenario
async def test_a_call_that_comes_again_is_answered_where_its_caller_waits_now() -> None:
    times = 0

    async def count(request: Request, user: str, on_behalf_of: str | None) -> int:
        nonlocal times
        times += 1
        return times

    world = World(handlers=count)
    world.call()
    await world.settle()
    world.call(reply_to="$reply.2")
    await world.settle()
    assert [(message.to, answer) for _, message, answer in world.answers()] == [
        ("$reply.1", Success(1, "id-1")),
        ("$reply.2", Success(1, "id-1")),
    ]
    assert world.outcomes() == [("id-1", "accepted")] * 2
    assert world.source.credit == 2


@scenario
async def test_a_call_that_comes_again_while_it_runs_is_answered_once_at_the_new_place() -> None:
    gate = asyncio.Event()

    async def wait(request: Request, user: str, on_behalf_of: str | None) -> str:
        await gate.wait()
        return "done"

    world = World(handlers=wait)
    world.call()
    await world.settle()
    world.call(reply_to="$reply.2")
    await world.settle()
    gate.set()
    await world.settle()
    assert [message.to for _, message, _ in world.answers()] == ["$reply.2"]


@scenario
async def test_the_same_id_of_another_user_is_another_call() -> None:
    world = World()
    world.call()
    world.call(user_id=b"bob")
    await world.settle()
    assert [answer.result[1] for _, _, answer in world.answers() if isinstance(answer, Success)] == [
        "jane",
        "bob",
    ]


@pytest.mark.parametrize(
    ("script", "user", "trusted", "answered"),
    [
        (Script(), b"jane", False, True),
        (Script(), None, False, False),
        (Script("artemis", "2"), b"jane", False, False),
        (Script("artemis", "2"), b"jane", True, True),
        (Script("artemis", "2"), None, True, False),
        (Script(), b"\xff\xfe", False, False),
        (Script(), b"", False, False),
    ],
)
def test_calls_count_only_with_a_user_that_somebody_vouches_for(
    script: Script, user: bytes | None, trusted: bool, answered: bool
) -> None:
    @scenario
    async def run() -> None:
        world = World(script, trust_users=trusted)
        world.call(user_id=user)
        await world.settle()
        [(_, _, answer)] = world.answers()
        if answered:
            assert isinstance(answer, Success)
            assert world.outcomes() == [("id-1", "accepted")]
        else:
            assert isinstance(answer, Failure)
            assert answer.code == jsonrpc.FORBIDDEN
            assert world.outcomes() == [("id-1", "rejected")]
        assert world.source.credit == 2

    run()


@scenario
async def test_bytes_that_are_no_message_are_rejected_and_the_next_call_is_served() -> None:
    world = World()
    world.source.send_unsettled(b"\x00\x53", "bad")
    world.pump()
    await world.settle()
    world.call()
    await world.settle()
    assert world.outcomes() == [("bad", "rejected"), ("id-1", "accepted")]
    assert world.broker.outcomes[0][1].condition == "amqp:decode-error"


@scenario
async def test_a_body_that_is_no_call_is_answered_with_the_code_of_json_rpc() -> None:
    world = World()
    world.call(body=b"{", message_id="a")
    world.call(body=b'{"jsonrpc":"2.0","result":1,"id":1}', message_id="b")
    await world.settle()
    codes = [answer.code for _, _, answer in world.answers() if isinstance(answer, Failure)]
    assert codes == [jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST]


@scenario
async def test_a_notification_is_carried_out_and_not_answered() -> None:
    done: list[str] = []

    async def note(request: Request, user: str, on_behalf_of: str | None) -> None:
        done.append(request.method)

    world = World(handlers=note)
    world.call(body=jsonrpc.encode(Request("x", notification=True)))
    await world.settle()
    assert done == ["x"]
    assert world.answers() == []


@scenario
async def test_error_data_that_is_no_json_is_left_out() -> None:
    async def fail(request: Request, user: str, on_behalf_of: str | None) -> None:
        raise CommandError(1, "no", object())

    world = World(handlers=fail)
    world.call()
    await world.settle()
    assert [answer for _, _, answer in world.answers()] == [Failure(1, "no", None, "id-1")]


@scenario
async def test_plain_functions_run_in_threads_and_may_return_awaitables() -> None:
    async def later() -> str:
        return "later"

    world = World(handlers={"x": lambda request, user, behalf: later()})
    world.call()
    while not world.broker.got:
        await asyncio.sleep(0.001)
        world.pump()
    assert [answer for _, _, answer in world.answers()] == [Success("later", "id-1")]
    await world.service.close()


@scenario
async def test_rabbitmq_gets_all_answers_over_one_link() -> None:
    world = World(Script("RabbitMQ", "3.10.8", ()))
    world.call(reply_to="/topic/reply.jane.1", message_id="a")
    world.call(reply_to="/topic/reply.bob.2", message_id="b")
    await world.settle()
    sent = [(address, message.subject) for address, message, _ in world.answers()]
    assert sent == [("/exchange/amq.topic", "reply.jane.1"), ("/exchange/amq.topic", "reply.bob.2")]


@scenario
async def test_without_a_relay_every_reply_address_has_a_link_and_the_oldest_make_room() -> None:
    world = World(Script("artemis", "2", ()), trust_users=True, workers=100)
    for number in range(40):
        world.call(message_id=str(number), reply_to=f"reply-{number}")
    await world.settle()
    assert [address for address, _, _ in world.answers()] == [f"reply-{number}" for number in range(40)]
    assert len(world.replies._direct) == 32
    assert len(world.broker.gone) == 8


@scenario
async def test_answers_for_a_caller_that_has_gone_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    script = Script("artemis", "2", (), refuse={"gone": "amqp:not-found"})
    world = World(script, trust_users=True)
    world.call(reply_to="gone")
    await world.settle()
    assert world.answers() == []
    assert not world.replies._waiting
    assert "their caller has gone n=1" in caplog.text


@scenario
async def test_answers_wait_for_a_connection_but_not_without_end() -> None:
    world = World()
    world.whole.lost("gone")
    world.hand_on()
    for number in range(1500):
        world.replies.send("$reply.1", Message(body=jsonrpc.encode(Success(number, None))))
    world.begin(Script(credit=5000))
    world.replies.restore()
    for _ in range(20):
        world.pump()
    results = [answer.result for _, _, answer in world.answers() if isinstance(answer, Success)]
    assert results == list(range(500, 1500))


@scenario
async def test_a_refused_queue_is_an_error_for_who_starts_to_serve() -> None:
    world = World(Script(refuse={CORE: "amqp:unauthorized-access"}))
    with pytest.raises(LinkRefused, match="not here"):
        await world.service.agreed()


@scenario
async def test_a_queue_that_was_taken_away_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clacks.bus.serving._RETRY", 0.01)
    world = World()
    world.broker.engine.close_link(world.source, "amqp:internal-error", "oops")
    world.broker.senders.clear()
    world.pump()
    while not world.broker.senders:
        await asyncio.sleep(0.005)
        world.pump()
    world.pump()
    assert world.source.credit == 2


@scenario
async def test_a_closed_service_gives_its_link_up_and_takes_nothing_more() -> None:
    world = World()
    await world.service.close()
    world.pump()
    assert len(world.broker.gone) == 1
    await world.service.close()
    world.service.restore()
    world.pump()
    assert len(world.broker.senders) == 1
    await until(lambda: world.service.closed)
