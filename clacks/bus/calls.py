"""What may be said of a call at every moment: whether it goes out (again), and how it ends.

::

    waiting --sent--> sent --accepted--> taken --answer--> over
       ^               |  \\--answer-------------------------^
       |---released----|
       '---link lost---'                   taken --link lost, deadline--> outcome unknown

A call that was sent and lost its link before anybody accepted it is in doubt: it goes out again under the
same message id, so that whoever has carried it out already only answers again. If the deadline comes
meanwhile, nobody can say whether it was carried out. Nor can anybody if the broker is another one now, or was
restarted: what it knew of who had taken the call is gone.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from clacks.common.errors import CommandError, CommandTimeout, OutcomeUnknown
from clacks.common.jsonrpc import OUTCOME_UNKNOWN, TIMED_OUT

__all__ = ["Call", "CallInput", "CallMemory", "CallState", "Remembered"]


class CallState(enum.Enum):
    """Where a call stands."""

    WAITING = "waiting"
    SENT = "sent"
    TAKEN = "taken"
    OVER = "over"
    TIMED_OUT = "timed out"
    UNKNOWN = "unknown"


class CallInput(enum.Enum):
    """What can happen to a call."""

    SENT = "sent"
    ACCEPTED = "accepted"
    RELEASED = "released"
    LINK_LOST = "link lost"
    REPLY_LOST = "reply lost"
    DEADLINE = "deadline"
    STRANGER = "another broker"
    ANSWER = "answer"


# What is not here changes nothing: an outcome may come after the answer, an answer after the deadline.
_STEPS: Final = {
    (CallState.WAITING, CallInput.SENT): CallState.SENT,
    (CallState.WAITING, CallInput.ANSWER): CallState.OVER,  # the first sending was answered after all
    (CallState.WAITING, CallInput.DEADLINE): CallState.TIMED_OUT,
    (CallState.WAITING, CallInput.STRANGER): CallState.UNKNOWN,
    (CallState.SENT, CallInput.ACCEPTED): CallState.TAKEN,
    (CallState.SENT, CallInput.RELEASED): CallState.WAITING,
    (CallState.SENT, CallInput.LINK_LOST): CallState.WAITING,
    (CallState.SENT, CallInput.REPLY_LOST): CallState.WAITING,
    (CallState.SENT, CallInput.ANSWER): CallState.OVER,
    (CallState.SENT, CallInput.DEADLINE): CallState.TIMED_OUT,
    (CallState.TAKEN, CallInput.ANSWER): CallState.OVER,
    (CallState.TAKEN, CallInput.REPLY_LOST): CallState.UNKNOWN,
    (CallState.TAKEN, CallInput.DEADLINE): CallState.UNKNOWN,
}


@dataclass(slots=True)
class Call:
    """One call on its way.

    Attributes:
        id: Message id, correlation id and JSON-RPC id in one: nobody can guess it.
        method: Name of the command.
        address: The command queue, as the bus names it.
        body: The request as JSON-RPC 2.0.
        deadline: When the caller stops waiting, in seconds on the clock of the loop.
        on_behalf_of: For whom a gateway speaks, or None.
        taken_by: When the caller stops waiting for somebody to take it; the deadline if None.
        broker: The container id of the broker that got it first, if that broker remembers calls.
        context: Properties that carry the context of its trace.
        doubtful: Whether a sending of it lost its link before its outcome came.
    """

    id: str
    method: str
    address: str
    body: bytes
    deadline: float
    on_behalf_of: str | None = None
    taken_by: float | None = None
    broker: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    state: CallState = CallState.WAITING
    doubtful: bool = False

    @property
    def expires(self) -> float:
        """When nobody may take it any more."""
        return self.deadline if self.taken_by is None else min(self.deadline, self.taken_by)

    def step(self, what: CallInput) -> CallState:
        """Note what happened and return where the call stands now."""
        before = self.state
        self.state = _STEPS.get((before, what), before)
        if before is CallState.SENT and what in (CallInput.LINK_LOST, CallInput.REPLY_LOST):
            self.doubtful = True
        if self.state is CallState.TIMED_OUT and self.doubtful:
            self.state = CallState.UNKNOWN
        return self.state

    def failure(self) -> CommandError | None:
        """Return the error with which the call ended, or None if it has not ended in one."""
        if self.state is CallState.TIMED_OUT:
            return CommandTimeout(TIMED_OUT, f"no agent took {self.method} in time: it was not carried out")
        if self.state is CallState.UNKNOWN:
            return OutcomeUnknown(
                OUTCOME_UNKNOWN,
                f"the answer to {self.method} did not come: whether it was carried out is not known",
            )
        return None


@dataclass(slots=True)
class Remembered:
    """What an agent knows of a call that it has taken.

    ``answer`` is None while it runs. ``reply_to`` is where the caller waits, as said by the latest sending.
    """

    taken: float
    reply_to: str | None
    answer: bytes | None = None
    forgotten: bool = False
    """The answer was too large to keep."""


class CallMemory:
    """The calls of the last five minutes, so that none is carried out twice.

    Ids belong to the user that sent them: nobody gets at the answers of others with a copied id.
    """

    def __init__(
        self, *, seconds: float = 300.0, calls: int = 100_000, answer_bytes: int = 16 * 1024 * 1024
    ) -> None:
        self._seconds = seconds
        self._most = calls
        self._room = answer_bytes
        self._calls: OrderedDict[tuple[str, object], Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, user: str, id_: object, reply_to: str | None, now: float) -> Remembered | None:
        """Note a call that came; return what is known if it came before, else None."""
        self.expire(now)
        key = (user, id_)
        known = self._calls.get(key)
        if known is not None:
            known.reply_to = reply_to
            return known
        self._calls[key] = Remembered(now, reply_to)
        return None

    def finish(self, user: str, id_: object, answer: bytes) -> str | None:
        """Keep the answer of a call; return where its caller waits now."""
        known = self._calls.get((user, id_))
        if known is None:
            return None
        known.answer = answer
        self._room -= len(answer)
        if self._room < 0:
            for other in self._calls.values():
                if other.answer:
                    self._room += len(other.answer)
                    other.answer, other.forgotten = b"", True
                    if self._room >= 0:
                        break
        return known.reply_to

    def forget(self, user: str, id_: object) -> None:
        """Forget a call that was not begun after all: somebody else, or we, may get it again."""
        known = self._calls.pop((user, id_), None)
        if known is not None:
            self._room += len(known.answer or b"")

    def expire(self, now: float) -> None:
        """Forget what is older than five minutes, and the oldest if there are too many."""
        calls = self._calls
        while calls:
            key, oldest = next(iter(calls.items()))
            if now - oldest.taken < self._seconds and len(calls) < self._most:
                return
            del calls[key]
            self._room += len(oldest.answer or b"")
