from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from clacks.amqp.messages import Message
from clacks.bus.subscription import Gap, Subscription
from clacks.common.errors import LinkRefused
from clacks.common.metrics import Metrics
from tests.bus.house import caller_of, phone, scenario


def subscription(events: int = 3, size: int = 1_000_000) -> tuple[Subscription, Metrics]:
    metrics = Metrics()
    return (
        Subscription(".", events=events, size=size, metrics=metrics, ended=lambda _: None),
        metrics,
    )


def give(to: Subscription, *callers: str) -> None:
    for caller in callers:
        event = phone(caller)
        to.put(event, Message(event.xml, subject=event.kind, user_id=b"ann"), "org.clacks.event")


@scenario
async def test_events_come_out_in_the_order_they_went_in() -> None:
    events, _ = subscription()
    give(events, "1", "2")
    await events.close()
    assert [caller_of(event) async for event in events] == ["1", "2"]


@scenario
async def test_the_oldest_are_dropped_and_counted_when_there_are_too_many() -> None:
    events, metrics = subscription(events=3)
    give(events, "1", "2", "3", "4", "5")
    assert events.waiting == 3
    await events.close()
    assert [caller_of(event) async for event in events] == ["3", "4", "5"]
    assert events.dropped == 2
    assert metrics.value("events_dropped", reason="reader too slow") == 2


@scenario
async def test_the_oldest_are_dropped_when_they_are_too_large_and_the_newest_stays() -> None:
    events, _ = subscription(events=100, size=5000)
    give(events, *(str(n) for n in range(10)))
    assert 0 < events.waiting < 5
    give(events, "x" * 10_000)
    assert events.waiting == 1
    assert events.dropped == 10


def test_a_drop_is_logged_but_not_each_of_them(caplog: pytest.LogCaptureFixture) -> None:
    events, _ = subscription(events=1)
    give(events, *(str(n) for n in range(100)))
    assert len(caplog.records) == 1
    assert "PhoneStatus" in caplog.text


@scenario
async def test_messages_say_who_sent_them() -> None:
    events, _ = subscription()
    give(events, "1")
    await events.close()
    [received] = [one async for one in events.messages()]
    assert (received.subject, received.user, received.address) == ("PhoneStatus", "ann", "org.clacks.event")
    assert caller_of(received.event) == "1"


@scenario
async def test_a_subscription_that_was_taken_away_says_so_after_its_last_event() -> None:
    events, _ = subscription()
    give(events, "1")
    events.end(LinkRefused("amqp:unauthorized-access", "no more"))
    assert caller_of(await anext(events)) == "1"
    for _ in range(2):
        with pytest.raises(LinkRefused, match="no more"):
            await anext(events)


@scenario
async def test_an_absence_becomes_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    events, _ = subscription()
    told: list[Gap] = []
    events.on_gap(told.append)
    events.back()
    assert events.gaps == ()
    since = datetime(2026, 1, 1, tzinfo=UTC)
    events.away(since, "broken")
    events.away(datetime.now(UTC), "still broken")
    events.back()
    [gap] = events.gaps
    await asyncio.sleep(0)
    assert told == [gap]
    assert (gap.start, gap.reason) == (since, "broken")
    assert gap.end > gap.start
    assert "events may be missing" in caplog.text


@scenario
async def test_the_oldest_gaps_are_forgotten() -> None:
    events, _ = subscription()
    for _ in range(150):
        events.away(datetime.now(UTC), "")
        events.back()
    assert len(events.gaps) == 100
