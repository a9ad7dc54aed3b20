"""Reading the event log for a subscription: at its beginning (``since``) and after each loss of
connection."""

from __future__ import annotations

import asyncio
import base64
import logging
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from clacks.amqp.eventmessage import EVENT_CONTENT_TYPE
from clacks.amqp.messages import Message
from clacks.bus.joining import LOG_ID, Joint
from clacks.bus.recording import NOBODY_RECORDS, Ask
from clacks.bus.subscription import Gap, Item, Subscription
from clacks.common.address import event_address
from clacks.common.errors import (
    BusError,
    CommandError,
    CommandRefused,
    CommandTimeout,
    ConnectionLost,
    EventError,
    LinkRefused,
    OutcomeUnknown,
)
from clacks.common.jsonrpc import OUTCOME_UNKNOWN, UNAVAILABLE
from clacks.common.schema import SchemaRegistry
from clacks.store.ids import LogId

__all__ = ["Replay", "Since", "place_of", "since_text"]

log = logging.getLogger(__name__)

Since: TypeAlias = str | int | float | datetime | timedelta
"""From when: an ISO time or an aware datetime, a time ago (``"-1h"``, negative seconds, a timedelta), a log
id (after it)."""

_ANSWER: Final = 30.0  # seconds for one page
_PATIENCE: Final = 60.0  # seconds in which an agent that records must come back after a loss
_AGAIN: Final = 0.5
_EARLIER: Final = timedelta(seconds=2)  # clocks differ, and what was on its way is lost, too
_UNSEEN: Final = 5.0  # seconds for the log to show an event that was let go
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a document that travelled compressed


def since_text(since: Since) -> str | int | float:
    """Return ``since`` as the command ``getEvents`` takes it.

    Raises:
        ValueError: A datetime without a zone, a timedelta that points to the future.
    """
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ValueError("since needs a time with a zone: datetime.now(UTC)")
        return since.isoformat()
    if isinstance(since, timedelta):
        return -abs(since.total_seconds())
    return since


def place_of(since: object) -> tuple[int, int] | None:
    """Return ``since`` as a place in the log, or None if it is none but a time."""
    try:
        return LogId.parse(since) if isinstance(since, str) else None
    except ValueError:
        return None


class Replay:
    """Feeds a subscription from the log.

    Args:
        subscription: Holds live events back meanwhile; made with this joint.
        joint: Knows what was delivered.
        ask: Calls the agent that records.
        registry: The event types.
        domain: The domain of the bus.
        kinds: As `Bus.subscribe` got them.
    """

    def __init__(
        self,
        subscription: Subscription,
        joint: Joint[Item],
        ask: Ask,
        registry: SchemaRegistry,
        domain: str,
        kinds: Iterable[str] | None,
    ) -> None:
        self._subscription = subscription
        self._joint = joint
        self._ask = ask
        self._registry = registry
        self._domain = domain
        self._selection: dict[str, Any] = {}
        if subscription.xquery.strip() not in ("", "."):
            self._selection["xquery"] = subscription.xquery
        if kinds is not None:
            self._selection["kinds"] = sorted(set(kinds))
        self._cursor: str | None = None
        """Where the log was read up to, while it is read; None when live."""
        self._task: asyncio.Task[None] | None = None

    async def begin(self, since: Since) -> None:
        """Read the first page, and the others in the background: the reader must read meanwhile.

        Raises:
            CommandRefused: Nobody records, ``since`` means nothing, the rights do not suffice.
            OutcomeUnknown, ConnectionLost: The agent that records went away.
        """
        try:
            page = await self._page({"since": since_text(since)})
        except (CommandTimeout, LinkRefused):
            raise CommandRefused(UNAVAILABLE, f"{NOBODY_RECORDS}: nothing can be replayed") from None
        self._start(self._feed(page))

    def away(self) -> None:
        """Note that events do not come any more."""
        self._joint.hold()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def back(self, gap: Gap) -> None:
        """Note that events come again, and read what was missed."""
        self._start(self._resume(gap))

    def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()

    def _start(self, work: Any) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(_report)

    async def _page(self, place: Mapping[str, Any]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._ask("getEvents", {**self._selection, **place}, _ANSWER)
        return answer

    async def _feed(self, page: Mapping[str, Any], missing: Gap | None = None) -> None:
        """Deliver a page and all that follow it, then go live."""
        loop = asyncio.get_running_loop()
        unseen: float | None = None
        while True:
            for entry in page["events"]:
                await self._deliver(entry)
            self._cursor = page["next"]
            if not page["more"]:
                if not self._joint.incomplete:
                    break
                unseen = unseen if unseen is not None else loop.time() + _UNSEEN
                if loop.time() > unseen:
                    # Types that are not recorded, or an agent that records that lags behind.
                    now = datetime.now(UTC)
                    missing = missing or Gap(
                        now - timedelta(seconds=_UNSEEN), now, "too much to be held back"
                    )
                    self._subscription.report(missing)
                    break
                await asyncio.sleep(0.05)
            page = await self._patiently({"after": self._cursor})
        self._live()

    def _live(self) -> None:
        self._cursor = None
        for item in self._joint.settle():
            self._subscription.enqueue(item)

    async def _deliver(self, entry: Mapping[str, Any]) -> None:
        try:
            data = _document(entry)
            if not self._joint.replayed(entry["id"], data):
                return
            event = self._registry.receive(data, newer_ok=True)
        except (EventError, ValueError, zlib.error) as error:
            log.warning("a recorded event cannot be read id=%s: %s", entry.get("log"), error)
            return
        user = entry.get("user")
        message = Message(
            body=data,
            subject=event.kind,
            content_type=EVENT_CONTENT_TYPE,
            user_id=None if user is None else str(user).encode(),
        )
        message.properties = {
            "cloudEvents_specversion": "1.0",
            "cloudEvents_type": event.kind,
            "cloudEvents_source": entry["source"],
            "cloudEvents_id": entry["id"],
            "cloudEvents_time": entry["time"],
            **entry.get("properties", {}),
            LOG_ID: entry["log"],
        }
        await self._subscription.room()
        self._subscription.enqueue(
            self._subscription.item(event, message, event_address(self._domain, event.kind))
        )

    async def _patiently(self, place: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for a page until somebody answers: whoever records may have been restarted, too."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while True:
            try:
                return await self._page(place)
            except (CommandTimeout, OutcomeUnknown, LinkRefused, ConnectionLost):
                if loop.time() > deadline:
                    raise
            except CommandRefused as error:
                if error.code not in (UNAVAILABLE, OUTCOME_UNKNOWN) or loop.time() > deadline:
                    raise
            await asyncio.sleep(_AGAIN)

    async def _resume(self, gap: Gap) -> None:
        """Read what was missed, as far as that can be said, and go live."""
        anchor = self._joint.anchor
        place: dict[str, Any]
        if self._cursor is not None:
            place = {"after": self._cursor}
        else:
            place = {"since": (gap.start - _EARLIER).isoformat()}
            if anchor is not None:
                place["afterEvent"] = anchor
        try:
            await self._feed(await self._patiently(place))
        except (CommandError, BusError) as error:
            log.warning("what was missed cannot be replayed reason=%s", error)
            self._subscription.report(gap)
            self._live()
        else:
            log.info("replayed what was missed from=%s to=%s", gap.start.isoformat(), gap.end.isoformat())


def _document(entry: Mapping[str, Any]) -> bytes:
    if "xml" in entry:
        return str(entry["xml"]).encode("utf-8")
    packed = zlib.decompressobj()
    data = packed.decompress(base64.b64decode(entry["deflated"]), _LARGEST)
    if packed.unconsumed_tail:
        raise ValueError("larger than any event may be")
    return data


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("replay ended", exc_info=error)
