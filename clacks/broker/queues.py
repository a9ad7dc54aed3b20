"""Queues: every message goes to one consumer, in turn, and is gone when that consumer says so.

::

    waiting --sent--> with a consumer --accepted--> gone         sender: accepted
       ^                   |----------- rejected--> gone         sender: rejected, with the consumer's reason
       |---- released -----|                                     (not to the same consumer at once)
       |---- modified, link lost --|                             delivery-count + 1
       '---- time is up --> gone                                 sender: rejected, clacks:expired

On a queue that answers late (``settles_late``: commands) the sender learns of the consumer's outcome; on
others it hears "accepted" when the message is in the queue.

What comes again under the same key on such a queue is the same call, whose sender lost its connection and
the outcome with it. It takes the place of the first one as long as nobody has that; it shares the fate of one
that is with a consumer; and if somebody has taken it, it goes to that consumer alone, to be answered again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from clacks.amqp.links import Incoming, Outcome, Sender
from clacks.amqp.messages import with_delivery_count
from clacks.broker.refusal import EXPIRED, LIMIT, Refused
from clacks.broker.taken import REMEMBERED, Taken, Who
from clacks.broker.topics import Counts, Outlet
from clacks.broker.waiting import Total
from clacks.common.limits import Limits

__all__ = ["Consumer", "Queue", "Queued"]

_MOST_DELIVERIES = 10
"""Failed deliveries after which a message is given up: it may be what kills its consumers."""


class Queued:
    """A message in a queue."""

    __slots__ = ("again", "avoid", "expires", "failures", "held", "key", "only", "origin", "raw", "stale")

    def __init__(
        self, raw: bytes, expires: float | None, origin: Incoming | None, key: Hashable = None
    ) -> None:
        self.raw = raw
        self.expires = expires
        self.origin = origin
        self.key = key
        """What tells the call from all others, or None."""
        self.failures = 0
        self.avoid: set[Consumer] = set()
        self.held = False
        """Whether a consumer has it and has not said what became of it."""
        self.stale = False
        """Whether it came again, and the later one counts."""
        self.again: Queued | None = None
        """What came again while this one is with a consumer."""
        self.only: Who | None = None
        """Who alone may have it."""

    def may_go_to(self, consumer: Consumer) -> bool:
        """Tell whether this consumer may have it."""
        return consumer not in self.avoid and (self.only is None or self.only == consumer.outlet.who)


class Consumer:
    """One outgoing link of a queue."""

    __slots__ = ("credit", "delivered", "outlet", "queue", "sender", "settled")

    def __init__(self, sender: Sender, outlet: Outlet, queue: Queue, *, settled: bool) -> None:
        self.sender = sender
        self.outlet = outlet
        self.queue = queue
        self.settled = settled
        self.credit = 0
        self.delivered = 0

    def pump(self, now: float) -> None:
        """Take what the queue has for this consumer."""
        self.queue.pump(now)

    def credited(self, now: float) -> None:
        """Note that the peer changed the credit or asks to drain."""
        self.credit = self.sender.credit
        self.queue.credited(self, now)
        if self.credit > 0 and self.sender.draining:
            self.sender.drained()
            self.credit = 0

    def outcome(self, context: object, outcome: Outcome, now: float) -> None:
        """Take the peer's word on a message that it had."""
        assert isinstance(context, Queued)
        self.queue.settled(self, context, outcome, now)

    def close(self, now: float) -> None:
        """Leave; what was not settled goes to others."""
        self.queue.leave(self, now)


class Queue:
    """One queue node.

    Attributes:
        owner: The connection that alone may read (a dynamic node), or None.
        senders: How many links send here.
        gone: Whether the node was deleted.
    """

    __slots__ = (
        "_counts",
        "_known",
        "_limits",
        "_postponed",
        "_size",
        "_taken",
        "_total",
        "_waiting",
        "address",
        "consumers",
        "gone",
        "owner",
        "senders",
        "settles_late",
    )

    def __init__(
        self,
        address: str,
        limits: Limits,
        total: Total,
        counts: Counts,
        *,
        settles_late: bool = False,
        owner: Outlet | None = None,
        taken: Taken | None = None,
    ) -> None:
        self.address = address
        self.settles_late = settles_late
        self.owner = owner
        self.senders = 0
        self.gone = False
        self.consumers: deque[Consumer] = deque()
        self._limits = limits
        self._total = total
        self._counts = counts
        self._waiting: deque[Queued] = deque()
        self._postponed: list[Queued] = []
        self._known: dict[Hashable, Queued] = {}
        self._taken = taken if taken is not None else Taken(limits.remembered_calls)
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._postponed)

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it."""
        return not self.consumers and not self.senders and not len(self)

    def put(
        self, raw: bytes, expires: float | None, origin: Incoming | None, now: float, key: Hashable = None
    ) -> None:
        """Take a message; ``origin`` is answered when its outcome is known.

        A ``key`` tells this call from all others, if it may come again.

        Raises:
            Refused: If the queue is full; ``origin`` is left to the caller.
        """
        if self._full(len(raw)):
            self.expire(now)
            if self._full(len(raw)):
                raise Refused(LIMIT, f"the queue {self.address} is full", "queue full")
        message = Queued(raw, expires, origin, key if self.settles_late else None)
        if origin is not None and not self.settles_late:
            origin.accept()
            message.origin = None
        if message.key is not None and not self._first(message, now):
            return
        self._append(message)
        self.pump(now)

    def _first(self, message: Queued, now: float) -> bool:
        """Tell whether a message is to be queued: none that came before shares its fate with it."""
        who = self._taken.who((self.address, message.key), now)
        if who is not None:
            self._for_taker(message, who, now)
            return True
        before = self._known.get(message.key)
        if before is not None and before.held:
            before.again = message
            return False
        if before is not None:
            before.stale = True
        self._known[message.key] = message
        return True

    def _for_taker(self, message: Queued, who: Who, now: float) -> None:
        """Let a call that was taken go to who took it alone: that one knows the answer."""
        if message.origin is not None:
            message.origin.accept()
            message.origin = None
        message.key, message.only = None, who
        message.expires = now + REMEMBERED if message.expires is None else message.expires

    def _over(self, message: Queued) -> Queued | None:
        """Forget a message, and return the same call that came again meanwhile."""
        if message.key is not None and self._known.get(message.key) is message:
            del self._known[message.key]
        again, message.again = message.again, None
        return again

    def _lost(self, message: Queued) -> None:
        """Let a message go that nobody had; the same call that came again takes its place."""
        again = self._over(message)
        if again is not None:
            self._known[again.key] = again
            self._append(again)

    def join(self, consumer: Consumer) -> None:
        """Let a consumer take part; it gets messages when it gives credit."""
        self.consumers.append(consumer)

    def leave(self, consumer: Consumer, now: float) -> None:
        """Let a consumer go; what it had and did not settle is redelivered, in its order."""
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        for context in reversed(consumer.sender.in_doubt):
            assert isinstance(context, Queued)
            self._failed(context)
        for message in (*self._waiting, *self._postponed):
            message.avoid.discard(consumer)
        self.pump(now)

    def settled(self, consumer: Consumer, message: Queued, outcome: Outcome, now: float) -> None:
        """Take a consumer's word on a message."""
        origin = message.origin
        message.held = False
        if outcome.name == "accepted":
            if origin is not None:
                origin.accept()
            self._was_taken(message, consumer, now)
        elif outcome.name == "rejected":
            again = self._over(message)
            for sender in (origin, again.origin if again is not None else None):
                if sender is not None:
                    sender.reject(outcome.condition or "amqp:precondition-failed", outcome.description)
            self._counts.drop("rejected by consumer", consumer.outlet.user, self.address)
        else:
            if outcome.name == "released":
                # 3.4.4: the delivery-count must not be incremented.
                message.avoid.add(consumer)
                self._append(message, front=True)
            else:
                if outcome.undeliverable:
                    message.avoid.add(consumer)
                if outcome.failed:
                    self._failed(message)
                else:
                    self._append(message, front=True)
            self.pump(now)

    def _was_taken(self, message: Queued, consumer: Consumer, now: float) -> None:
        if message.key is None:
            return
        self._taken.note((self.address, message.key), consumer.outlet.who, now)
        again = self._over(message)
        if again is not None:
            self._for_taker(again, consumer.outlet.who, now)
            self._append(again)
            self.pump(now)

    def pump(self, now: float) -> None:
        """Hand messages to consumers with credit and room, each in turn."""
        while self._waiting and self.consumers:
            message = self._waiting[0]
            if message.expires is not None and now >= message.expires:
                self._expired(self._take())
                continue
            if message.stale or (message.origin is not None and not message.origin.wanted):
                # Its sender is gone, was never told "accepted", and sends it again when it comes back: two
                # copies would be two executions, by two agents that know nothing of each other.
                self._lost(self._take())
                self._counts.drop("sender gone", "", self.address)
                continue
            consumer = self._next(message)
            if consumer is not None:
                self._send(self._take(), consumer, now)
            elif message.avoid or message.only is not None:
                # Those who could take it have given it back: let others pass, and ask again later.
                self._postponed.append(self._waiting.popleft())
            else:
                return

    def credited(self, consumer: Consumer, now: float) -> None:
        """Note that a consumer has credit: it may be the one a postponed message waits for."""
        if self._postponed and consumer.credit > 0:
            welcome = [message for message in self._postponed if message.may_go_to(consumer)]
            self._postponed = [message for message in self._postponed if not message.may_go_to(consumer)]
            self._waiting.extendleft(reversed(welcome))
        self.pump(now)

    def expire(self, now: float) -> None:
        """Give up what is too old, and offer again what everybody had released. Call it every second."""
        if self._postponed:
            for message in self._postponed:
                message.avoid.clear()
            self._waiting.extendleft(reversed(self._postponed))
            self._postponed.clear()
        old = [item for item in self._waiting if item.expires is not None and now >= item.expires]
        if old:
            gone = set(map(id, old))
            self._waiting = deque(item for item in self._waiting if id(item) not in gone)
            for message in old:
                self._account(-len(message.raw))
                self._expired(message)
        self.pump(now)

    def close(self, condition: str, description: str) -> None:
        """Give everything back to its senders: the queue goes."""
        self.gone = True
        for message in (*self._waiting, *self._postponed):
            if message.origin is not None:
                message.origin.reject(condition, description)
            self._counts.drop("queue gone", "", self.address)
        self._waiting.clear()
        self._postponed.clear()
        self._known.clear()
        self._account(-self._size)

    # -- inside

    def _full(self, size: int) -> bool:
        limits = self._limits
        return len(self) >= limits.queue_events or self._size + size > limits.queue_bytes or self._total.full

    def _next(self, message: Queued) -> Consumer | None:
        """Return whose turn it is and who can take the message; None if it has to wait."""
        consumers = self.consumers
        for _ in range(len(consumers)):
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.credit > 0 and message.may_go_to(consumer):
                if consumer.outlet.room > 0:
                    return consumer
                consumer.outlet.block(consumer)
        return None

    def _send(self, message: Queued, consumer: Consumer, now: float) -> None:
        consumer.credit -= 1
        consumer.outlet.room -= len(message.raw)
        consumer.delivered += 1
        self._counts.delivered.value += 1
        if consumer.settled:
            consumer.sender.send(message.raw)
            if message.origin is not None:
                message.origin.accept()
            self._was_taken(message, consumer, now)
        else:
            message.held = True
            consumer.sender.send_unsettled(message.raw, message)

    def _append(self, message: Queued, *, front: bool = False) -> None:
        if front:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)
        self._account(len(message.raw))

    def _take(self) -> Queued:
        message = self._waiting.popleft()
        self._account(-len(message.raw))
        return message

    def _account(self, size: int) -> None:
        self._size += size
        self._total.size += size

    def _failed(self, message: Queued) -> None:
        message.failures += 1
        message.held = False
        if message.failures >= _MOST_DELIVERIES:
            again = self._over(message)
            for sender in (message.origin, again.origin if again is not None else None):
                if sender is not None:
                    sender.reject("amqp:precondition-failed", "delivered too often without an outcome")
            self._counts.drop("delivered too often", "", self.address)
            return
        message.raw = with_delivery_count(message.raw, message.failures)
        self._append(message, front=True)

    def _expired(self, message: Queued) -> None:
        self._over(message)
        if message.origin is not None:
            message.origin.reject(EXPIRED, f"nobody took the message from {self.address} in time")
        self._counts.drop("expired", "", self.address)
