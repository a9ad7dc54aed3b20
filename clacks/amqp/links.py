"""The two ends of a link, as the engine hands them to a head, and what becomes of a message.

A raw pointer is used only while something here keeps its owner alive: ``Receiver.link`` and ``Sender.link``
hold the link. A delivery is settled exactly once, and never after its link was closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cproton_ffi import ffi, lib
from proton import Condition, Delivery, Link

if TYPE_CHECKING:
    from clacks.amqp.engine import Engine

__all__ = ["OUTCOMES", "Incoming", "Outcome", "Receiver", "Sender"]

# The calls of the hot path as names of this module: looking one up in ``lib`` costs half of what it does.
_pn_delivery: Final = lib.pn_delivery
_pn_delivery_settle: Final = lib.pn_delivery_settle
_pn_link_send: Final = lib.pn_link_send

_ACCEPTED: Final = int(lib.PN_ACCEPTED)
_RELEASED: Final = int(lib.PN_RELEASED)
_NEVER: Final = 2**63

OUTCOMES: Final = {
    _ACCEPTED: "accepted",
    _RELEASED: "released",
    int(lib.PN_REJECTED): "rejected",
    int(lib.PN_MODIFIED): "modified",
}
"""Names of the outcomes (3.4), by proton's number."""

# Settled deliveries need no identity: one tag serves them all (AMQP 1.0, 2.6.12: unique among the unsettled).
_TAG_TEXT: Final = ffi.new("char[]", b"\0")
_EMPTY_TAG: Final = ffi.new("pn_bytes_t *", {"size": 1, "start": _TAG_TEXT})[0]


class Outcome:
    """The peer's verdict on a message: ``accepted``, ``released``, ``rejected`` or ``modified``.

    ``failed`` and ``undeliverable`` belong to ``modified``: the peer tried and failed, or cannot take this
    message at all (3.4.5).
    """

    __slots__ = ("condition", "description", "failed", "name", "undeliverable")

    def __init__(
        self,
        name: str,
        condition: str = "",
        description: str = "",
        *,
        failed: bool = False,
        undeliverable: bool = False,
    ) -> None:
        self.name = name
        self.condition = condition
        self.description = description
        self.failed = failed
        self.undeliverable = undeliverable

    def __repr__(self) -> str:
        return f"Outcome({self.name!r}, {self.condition!r}, {self.description!r})"


class Incoming:
    """A message that its sender did not settle: say once what became of it.

    Calls after the link or the connection has gone do nothing: the sender has learned of it already.
    """

    __slots__ = ("_confirmed", "_delivery", "_receiver")

    def __init__(self, receiver: Receiver, delivery: Any) -> None:
        self._receiver = receiver
        self._delivery = delivery
        self._confirmed: Callable[[], None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is still somebody who waits to hear what became of it."""
        return self._delivery is not None and self._receiver.alive

    def accept(self) -> None:
        """Say that the message is taken."""
        self._finish(_ACCEPTED)

    def claim(self, confirmed: Callable[[], None]) -> bool:
        """Say that we want to take the message, and hear by ``confirmed`` that the peer has noted it.

        Until then the peer may not have heard of it and hand the message to somebody else; a link that goes
        meanwhile leaves us without the message (2.6.12: at least the receiver's half of exactly once). False
        if the link has gone already.
        """
        if self._delivery is None or not self._receiver.alive:
            return False
        self._confirmed = confirmed
        self._receiver.claims[self._delivery] = self
        lib.pn_delivery_update(self._delivery, _ACCEPTED)
        self._receiver.engine.touch()
        return True

    def noted(self) -> None:
        """Take the peer's word that it has noted our claim (the engine's call)."""
        confirmed, self._confirmed = self._confirmed, None
        self._finish(None)
        if confirmed is not None:
            confirmed()

    def release(self) -> None:
        """Give the message back unharmed: somebody else may have it."""
        self._finish(_RELEASED)

    def reject(self, condition: str, description: str) -> None:
        """Say that the message itself is bad; ``condition`` is an AMQP error condition."""
        if self._delivery is not None and self._receiver.alive:
            wrapper = Delivery.wrap(self._delivery)  # type: ignore[no-untyped-call]
            wrapper.local.condition = Condition(condition, description)
            wrapper.update(Delivery.REJECTED)
            self._finish(None)

    def _finish(self, state: int | None) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is None:
            return
        receiver = self._receiver
        receiver.unsettled.discard(self)
        if receiver.alive:
            if state is not None:
                lib.pn_delivery_update(delivery, state)
            lib.pn_delivery_settle(delivery)
            receiver.engine.touch()


class Receiver:
    """A link on which the peer sends to us.

    ``window`` messages of credit are given at `open` and given again as they are used, in batches of half
    a window; with a window of 0 the owner calls `grant` itself.
    """

    __slots__ = (
        "_batch",
        "_parts",
        "_ptr",
        "_size",
        "_used",
        "alive",
        "claims",
        "context",
        "engine",
        "link",
        "unsettled",
        "window",
    )

    def __init__(self, engine: Engine, link: Link, window: int, context: object = None) -> None:
        self.engine = engine
        self.link = link
        self.window = window
        self.context = context
        self.alive = True
        self.unsettled: set[Incoming] = set()
        self.claims: dict[Any, Incoming] = {}
        self._ptr = link._impl
        self._parts: list[bytes] = []
        self._size = 0
        self._used = 0
        self._batch = (window + 1) // 2 if window else _NEVER

    def open(self) -> None:
        """Send the attach, with our limit on the message size, and the first credit."""
        lib.pn_link_set_max_message_size(self._ptr, self.engine.limits.message_size)
        self.link.open()
        if self.window:
            lib.pn_link_flow(self._ptr, self.window)
        self.engine.touch()

    def grant(self, credit: int) -> None:
        """Allow the peer ``credit`` more messages."""
        if self.alive and credit > 0:
            lib.pn_link_flow(self._ptr, credit)
            self.engine.touch()

    @property
    def credit(self) -> int:
        """Messages that the peer may still send."""
        return int(lib.pn_link_credit(self._ptr)) if self.alive else 0


class Sender:
    """A link on which we send to the peer."""

    __slots__ = ("_open", "_ptr", "_tag", "alive", "context", "engine", "link")

    def __init__(self, engine: Engine, link: Link, context: object = None) -> None:
        self.engine = engine
        self.link = link
        self.context = context
        self.alive = True
        self._ptr = link._impl
        self._tag = 0
        self._open: dict[Any, object] = {}

    @property
    def credit(self) -> int:
        """Messages that the peer lets us send now, not counting those already handed over."""
        return int(lib.pn_link_credit(self._ptr)) if self.alive else 0

    @property
    def draining(self) -> bool:
        """Whether the peer asks us to use the credit now or give it up."""
        return bool(lib.pn_link_get_drain(self._ptr)) if self.alive else False

    @property
    def in_doubt(self) -> list[object]:
        """The contexts of the messages that were sent unsettled and have no outcome yet."""
        return list(self._open.values())

    def send(self, body: bytes) -> None:
        """Hand over one encoded message, settled: nobody will say what became of it.

        The caller has looked at `credit`.
        """
        ptr = self._ptr
        delivery = _pn_delivery(ptr, _EMPTY_TAG)
        _pn_link_send(ptr, body, len(body))
        _pn_delivery_settle(delivery)
        engine = self.engine
        if not engine.dirty:
            engine.touch()

    def send_unsettled(self, body: bytes, context: object) -> None:
        """Hand over one encoded message; its outcome comes back with ``context``."""
        ptr = self._ptr
        self._tag = tag = (self._tag + 1) & 0xFFFFFFFF
        # The bytes object lives until pn_delivery has copied it.
        text = tag.to_bytes(4, "big")
        pointer = ffi.from_buffer("char[]", text)
        delivery = lib.pn_delivery(ptr, ffi.new("pn_bytes_t *", {"size": 4, "start": pointer})[0])
        lib.pn_link_send(ptr, body, len(body))
        lib.pn_link_advance(ptr)
        self._open[delivery] = context
        self.engine.touch()

    def drained(self) -> None:
        """Give up the credit that is left, as the peer asked."""
        if self.alive:
            lib.pn_link_drained(self._ptr)
            self.engine.touch()
