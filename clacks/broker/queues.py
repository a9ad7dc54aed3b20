"""Queues: every message goes to one consumer, in turn, and is gone when that consumer says so.

::

    waiting --sent--> with a consumer --accepted--> gone         sender: accepted
       ^                   |----------- rejected--> gone         sender: rejected, with the consumer's reason
       |---- released -----|                                     (not to the same consumer at once)
       |---- modified, link lost --|                             delivery-count + 1
       '---- time is up --> gone                                 sender: rejected, clacks:expired

On a queue that answers late (``settles_late``: commands) the sender learns of the consumer's outcome; on
others it hears "accepted" when the message is in the queue.
"""

from __future__ import annotations

from collections import deque

from clacks.amqp.engine import Incoming, Outcome, Sender
from clacks.amqp.messages import with_delivery_count
from clacks.broker.refusal import EXPIRED, LIMIT, Refused
from clacks.broker.topics import Counts, Outlet
from clacks.broker.waiting import Total
from clacks.common.limits import Limits

__all__ = ["Consumer", "Queue", "Queued"]

_MOST_DELIVERIES = 10
"""Failed deliveries after which a message is given up: it may be what kills its consumers."""


class Queued:
    """A message in a queue."""

    __slots__ = ("avoid", "expires", "failures", "origin", "raw")

    def __init__(self, raw: bytes, expires: float | None, origin: Incoming | None) -> None:
        self.raw = raw
        self.expires = expires
        self.origin = origin
        self.failures = 0
        self.avoid: set[Consumer] = set()


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
        "_limits",
        "_postponed",
        "_size",
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
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._postponed)

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it."""
        return not self.consumers and not self.senders and not len(self)

    def put(self, raw: bytes, expires: float | None, origin: Incoming | None, now: float) -> None:
        """Take a message; ``origin`` is answered when its outcome is known.

        Raises:
            Refused: If the queue is full; ``origin`` is left to the caller.
        """
        if self._full(len(raw)):
            self.expire(now)
            if self._full(len(raw)):
                raise Refused(LIMIT, f"the queue {self.address} is full", "queue full")
        message = Queued(raw, expires, origin)
        if origin is not None and not self.settles_late:
            origin.accept()
            message.origin = None
        self._append(message)
        self.pump(now)

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
        if outcome.name == "accepted":
            if origin is not None:
                origin.accept()
        elif outcome.name == "rejected":
            if origin is not None:
                origin.reject(outcome.condition or "amqp:precondition-failed", outcome.description)
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

    def pump(self, now: float) -> None:
        """Hand messages to consumers with credit and room, each in turn."""
        while self._waiting and self.consumers:
            message = self._waiting[0]
            if message.expires is not None and now >= message.expires:
                self._expired(self._take())
                continue
            if message.origin is not None and not message.origin.wanted:
                # Its sender is gone, was never told "accepted", and sends it again when it comes back: two
                # copies would be two executions, by two agents that know nothing of each other.
                self._take()
                self._counts.drop("sender gone", "", self.address)
                continue
            consumer = self._next(message)
            if consumer is not None:
                self._send(self._take(), consumer)
            elif message.avoid:
                # Those who could take it have given it back: let others pass, and ask again later.
                self._postponed.append(self._waiting.popleft())
            else:
                return

    def credited(self, consumer: Consumer, now: float) -> None:
        """Note that a consumer has credit: it may be the one a postponed message waits for."""
        if self._postponed and consumer.credit > 0:
            welcome = [message for message in self._postponed if consumer not in message.avoid]
            self._postponed = [message for message in self._postponed if consumer in message.avoid]
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
            if consumer.credit > 0 and consumer not in message.avoid:
                if consumer.outlet.room > 0:
                    return consumer
                consumer.outlet.block(consumer)
        return None

    def _send(self, message: Queued, consumer: Consumer) -> None:
        consumer.credit -= 1
        consumer.outlet.room -= len(message.raw)
        consumer.delivered += 1
        self._counts.delivered.value += 1
        if consumer.settled:
            consumer.sender.send(message.raw)
            if message.origin is not None:
                message.origin.accept()
        else:
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
        if message.failures >= _MOST_DELIVERIES:
            if message.origin is not None:
                message.origin.reject("amqp:precondition-failed", "delivered too often without an outcome")
            self._counts.drop("delivered too often", "", self.address)
            return
        message.raw = with_delivery_count(message.raw, message.failures)
        self._append(message, front=True)

    def _expired(self, message: Queued) -> None:
        if message.origin is not None:
            message.origin.reject(EXPIRED, f"nobody took the message from {self.address} in time")
        self._counts.drop("expired", "", self.address)
