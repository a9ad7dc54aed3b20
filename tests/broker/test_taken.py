"""A call that comes again is not carried out again: what the broker remembers of calls."""

from __future__ import annotations

from clacks.amqp.messages import Message
from clacks.broker.taken import REMEMBERED, Taken
from clacks.common.limits import Limits
from tests.broker.world import Peer, World

CORE = "org.clacks.command.core"


def call(id_: str = "id-1", reply_to: str = "$reply.1", body: bytes = b"call", **more: int) -> Message:
    return Message(body=body, message_id=id_, correlation_id=id_, reply_to=reply_to, **more)


class Agent(Peer):
    """An agent that keeps its container id over connections."""

    def __init__(self, world: World, name: str, *, hold: bool = False) -> None:
        super().__init__(world, "agent", container=name)
        self.hold = hold
        world.peers.append(self)
        world.run()
        self.receiver(CORE)


def outcome(peer: Peer) -> list[str]:
    return [found.name for _, found in peer.outcomes]


def test_a_call_that_was_taken_goes_to_the_same_agent_again() -> None:
    for _ in range(4):
        world = World()
        one, two = Agent(world, "one"), Agent(world, "two")
        caller = world.peer("joe")
        caller.send(caller.sender(CORE), call(), context=1)
        [taker] = [agent for agent in (one, two) if agent.got]
        for number in range(2, 6):
            # It lost its connection and never heard "accepted".
            caller.lose()
            caller = world.peer("joe")
            caller.send(caller.sender(CORE), call(reply_to=f"$reply.{number}"), context=1)
            assert outcome(caller) == ["accepted"]
        assert [message.reply_to for message in taker.messages] == [f"$reply.{n}" for n in range(1, 6)]
        assert sum(len(agent.got) for agent in (one, two)) == 5


def test_the_agent_may_have_reconnected_meanwhile() -> None:
    world = World()
    one = Agent(world, "one")
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), call(), context=1)
    assert len(one.got) == 1
    one.lose()
    other = Agent(world, "two")
    again = world.peer("joe")
    again.send(again.sender(CORE), call(reply_to="$reply.2"), context=1)
    assert outcome(again) == ["accepted"]
    world.wait(3)
    assert other.got == []
    back = Agent(world, "one")
    assert [message.reply_to for message in back.messages] == ["$reply.2"]
    # It stood in nobody's way.
    again.send(again.sender(CORE), call("id-2"), context=2)
    assert len(other.got) + len(back.got) == 2


def test_an_agent_that_never_comes_back_leaves_the_outcome_unknown_and_nobody_begins_anew() -> None:
    world = World()
    one = Agent(world, "one")
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), call(), context=1)
    one.lose()
    other = Agent(world, "two")
    again = world.peer("joe")
    again.send(again.sender(CORE), call(ttl=30_000), context=1)
    world.wait(31)
    assert outcome(again) == ["accepted"]
    assert other.got == []
    assert world.dropped("expired") == 1


def test_a_call_that_comes_again_while_an_agent_has_it_shares_its_fate() -> None:
    for verdict, expected in (("accept", "accepted"), ("reject", "rejected")):
        world = World()
        one, two = Agent(world, "one", hold=True), Agent(world, "two", hold=True)
        caller = world.peer("joe")
        caller.send(caller.sender(CORE), call(), context=1)
        again = world.peer("joe")
        again.send(again.sender(CORE), call(reply_to="$reply.2"), context=1)
        assert outcome(again) == []
        [taker] = [agent for agent in (one, two) if agent.got]
        assert len(one.got) + len(two.got) == 1
        incoming = taker.incoming[0]
        assert incoming is not None
        if verdict == "accept":
            incoming.accept()
        else:
            incoming.reject("amqp:internal-error", "no")
        world.run()
        assert outcome(again) == [expected]
        assert len(taker.got) == (2 if verdict == "accept" else 1)
        assert len(one.got) + len(two.got) == len(taker.got)


def test_a_call_that_an_agent_gives_back_goes_on_as_it_came_last() -> None:
    world = World()
    one = Agent(world, "one", hold=True)
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), call(), context=1)
    caller.lose()
    again = world.peer("joe")
    again.send(again.sender(CORE), call(reply_to="$reply.2"), context=1)
    two = Agent(world, "two")
    assert two.got == []
    one.lose()
    assert [message.reply_to for message in two.messages] == ["$reply.2"]
    assert outcome(again) == ["accepted"]


def test_a_call_that_waits_is_replaced_by_the_same_one_that_comes_again() -> None:
    world = World()
    # The broker has not noticed yet that the first connection is dead.
    caller, again = world.peer("joe"), world.peer("joe")
    caller.send(caller.sender(CORE), call(), context=1)
    again.send(again.sender(CORE), call(reply_to="$reply.2"), context=1)
    one = Agent(world, "one")
    assert [message.reply_to for message in one.messages] == ["$reply.2"]
    assert (outcome(caller), outcome(again)) == ([], ["accepted"])


def test_calls_of_two_users_with_one_id_are_two_calls() -> None:
    world = World()
    one = Agent(world, "one")
    for user in ("joe", "jane"):
        caller = world.peer(user)
        caller.send(caller.sender(CORE), call(), context=1)
    assert len(one.got) == 2


def test_calls_without_an_id_are_all_different() -> None:
    world = World()
    one = Agent(world, "one")
    caller = world.peer("joe")
    sender = caller.sender(CORE)
    for number in range(3):
        caller.send(sender, Message(body=b"call"), context=number)
    assert len(one.got) == 3


def test_the_memory_is_bounded_in_time_and_number() -> None:
    taken = Taken(most=3)
    for number in range(5):
        taken.note(number, ("a", "b"), float(number))
    assert len(taken) == 3
    assert taken.who(0, 5.0) is None
    assert taken.who(4, 5.0) == ("a", "b")
    assert taken.who(4, 4.0 + REMEMBERED) is None
    assert len(taken) == 0


def test_the_memory_outlives_the_queue() -> None:
    world = World(Limits(remembered_calls=10))
    one = Agent(world, "one")
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), call(), context=1)
    caller.lose()
    one.lose()
    world.wait(2)
    assert world.broker.queue(CORE) is None
    other = Agent(world, "two")
    again = world.peer("joe")
    again.send(again.sender(CORE), call(), context=1)
    assert other.got == []
