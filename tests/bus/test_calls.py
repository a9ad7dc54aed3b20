from __future__ import annotations

import pytest

from clacks.bus.calls import Call, CallInput, CallMemory, CallState
from clacks.common.errors import CommandTimeout, OutcomeUnknown

I = CallInput  # noqa: E741


def after(*inputs: CallInput) -> Call:
    call = Call("id", "getMethods", "org.clacks.command.core", b"{}", 30.0)
    for one in inputs:
        call.step(one)
    return call


@pytest.mark.parametrize(
    ("inputs", "state"),
    [
        ((), CallState.WAITING),
        ((I.SENT,), CallState.SENT),
        ((I.SENT, I.ACCEPTED), CallState.TAKEN),
        ((I.SENT, I.ACCEPTED, I.ANSWER), CallState.OVER),
        ((I.SENT, I.ANSWER, I.ACCEPTED), CallState.OVER),
        ((I.SENT, I.RELEASED), CallState.WAITING),
        ((I.SENT, I.LINK_LOST), CallState.WAITING),
        ((I.SENT, I.LINK_LOST, I.ANSWER), CallState.OVER),
        ((I.SENT, I.LINK_LOST, I.REPLY_LOST), CallState.WAITING),
        ((I.SENT, I.LINK_LOST, I.SENT, I.ACCEPTED, I.ANSWER), CallState.OVER),
        ((I.SENT, I.ACCEPTED, I.LINK_LOST), CallState.TAKEN),
        ((I.SENT, I.ACCEPTED, I.REPLY_LOST), CallState.UNKNOWN),
        ((I.SENT, I.ACCEPTED, I.DEADLINE), CallState.UNKNOWN),
        ((I.SENT, I.ACCEPTED, I.DEADLINE, I.ANSWER), CallState.UNKNOWN),
        ((I.DEADLINE,), CallState.TIMED_OUT),
        ((I.SENT, I.DEADLINE), CallState.TIMED_OUT),
        ((I.SENT, I.RELEASED, I.DEADLINE), CallState.TIMED_OUT),
        ((I.SENT, I.LINK_LOST, I.DEADLINE), CallState.UNKNOWN),
        ((I.SENT, I.LINK_LOST, I.SENT, I.DEADLINE), CallState.UNKNOWN),
    ],
)
def test_a_call_ends_as_its_history_says(inputs: tuple[CallInput, ...], state: CallState) -> None:
    assert after(*inputs).state is state


def test_only_a_call_that_nobody_can_have_taken_times_out() -> None:
    assert isinstance(after(I.SENT, I.DEADLINE).failure(), CommandTimeout)
    assert isinstance(after(I.SENT, I.LINK_LOST, I.DEADLINE).failure(), OutcomeUnknown)
    assert isinstance(after(I.SENT, I.ACCEPTED, I.REPLY_LOST).failure(), OutcomeUnknown)
    assert after(I.SENT, I.ACCEPTED, I.ANSWER).failure() is None
    assert "getMethods" in str(after(I.DEADLINE).failure())


def test_memory_knows_a_call_that_came_before() -> None:
    memory = CallMemory()
    assert memory.begin("ann", "1", "first", 0.0) is None
    known = memory.begin("ann", "1", "second", 1.0)
    assert known is not None
    assert known.answer is None
    assert memory.finish("ann", "1", b"done") == "second"  # the caller waits there now
    again = memory.begin("ann", "1", "third", 2.0)
    assert again is not None
    assert again.answer == b"done"


def test_memory_keeps_users_apart() -> None:
    memory = CallMemory()
    memory.begin("ann", "1", "a", 0.0)
    memory.finish("ann", "1", b"secret")
    assert memory.begin("bob", "1", "b", 1.0) is None


def test_memory_forgets_after_five_minutes() -> None:
    memory = CallMemory()
    memory.begin("ann", "1", "a", 0.0)
    assert memory.begin("ann", "1", "a", 299.0) is not None
    assert memory.begin("ann", "1", "a", 301.0) is None
    assert len(memory) == 1


def test_memory_has_room_for_so_many_calls() -> None:
    memory = CallMemory(calls=3)
    for n in range(10):
        memory.begin("ann", n, "a", float(n))
    assert len(memory) == 3
    assert memory.begin("ann", 9, "a", 10.0) is not None


def test_memory_gives_up_old_answers_before_it_grows() -> None:
    memory = CallMemory(answer_bytes=100)
    for n in range(3):
        memory.begin("ann", n, "a", 0.0)
        memory.finish("ann", n, b"x" * 60)
    first = memory.begin("ann", 0, "a", 0.0)
    last = memory.begin("ann", 2, "a", 0.0)
    assert first is not None
    assert last is not None
    assert (first.forgotten, first.answer) == (True, b"")
    assert (last.forgotten, last.answer) == (False, b"x" * 60)


def test_memory_gets_its_room_back_when_answers_grow_old() -> None:
    memory = CallMemory(answer_bytes=100)
    for n in range(5):
        memory.begin("ann", n, "a", n * 400.0)
        memory.finish("ann", n, b"x" * 90)
    last = memory.begin("ann", 4, "a", 1601.0)
    assert last is not None
    assert last.answer == b"x" * 90


def test_an_answer_to_a_call_that_was_forgotten_goes_where_the_message_said() -> None:
    assert CallMemory().finish("ann", "1", b"done") is None
