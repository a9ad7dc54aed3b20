"""Too much of everything: a stuck callback, a flood, a thousand consumers, a full disk, no descriptors; and
a clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clacks.bus import Bus, BusState
from clacks.common.components import AMQPEventConsumer
from clacks.common.errors import ClacksError, CommandRefused
from clacks.common.jsonrpc import UNAVAILABLE
from tests.chaos.ledger import Ledger, dropped_of
from tests.chaos.scenes import BOTH, Scale, limited, scene
from tests.chaos.town import REGISTRY, Town, account, got_of, quiet, sent_of, town, until

Book = Callable[[Ledger], Ledger]


@BOTH
@limited
async def test_a_consumer_that_is_stuck_in_its_callback_drops_its_oldest_and_counts_them(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    names: list[str] = []
    go_on = threading.Event()

    def stuck(data: Any) -> None:
        names.append(str(data.PhoneStatus.CallerId))
        if len(names) == 10:
            go_on.wait(120)

    async with town(tmp_path) as this:
        consumer = await asyncio.to_thread(
            AMQPEventConsumer, this.url(), callback=stuck, registry=REGISTRY, xquery="."
        )
        try:
            async with scene(this, scale, rate=max(scale.rate, 2000)) as s:
                await until(lambda: consumer.dropped > 100)
                await asyncio.sleep(scale.fault)
                ledger = await s.ledger("consumer stuck in its callback")
                go_on.set()
                wanted = len(ledger.sent) - consumer.dropped
                with contextlib.suppress(TimeoutError):
                    await until(lambda: len(names) >= wanted, 20)
                ledger.received.append(list(names))
                metrics = consumer._feed._bus.metrics
                ledger.dropped["stuck consumer"] = {"reader too slow": metrics.total("events_dropped")}
        finally:
            go_on.set()
            await asyncio.to_thread(consumer.close)
    book(ledger).check_all_accounted()
    assert len(set(ledger.received[0])) == len(ledger.sent), "nobody else waited for it"
    assert ledger.dropped["stuck consumer"]["reader too slow"] == consumer.dropped > 0


@BOTH
@limited
async def test_a_flood_at_ten_times_what_a_consumer_can_take_is_accounted_for(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """The reader takes 200 (400) events a second, the publisher sends ten times as many."""
    capacity = 400.0 if scale.long else 200.0
    async with town(tmp_path) as this:
        talker, listener = await this.bus(), await this.bus()
        ear = await this.ear(listener)
        slow = await this.ear(listener, pause=1 / capacity, queue_events=100)
        mouth = this.mouth(talker)
        await mouth.talk(capacity * 10, scale.calm + scale.fault * 3)
        await quiet(ear, slow)
        dropped = await this.dropped(publisher=talker, consumer=listener)
    ledger = account("flood at ten times the capacity", mouth, ear, slow, dropped=dropped)
    book(ledger).check_all_accounted()
    assert len(set(ledger.received[0])) == len(ledger.sent), "nobody else waited for it"
    assert ledger.drops


@BOTH
@limited
async def test_publishers_that_send_as_fast_as_they_can_are_held_back_or_counted(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """Several at once, each without a pause: credit holds them back; what is dropped is in the metrics."""
    async with town(tmp_path) as this, scene(this, scale, rate=0) as s:
        more = [this.mouth(await this.bus(), prefix) for prefix in ("f", "g")]
        talking = [asyncio.ensure_future(mouth.talk(0)) for mouth in more]
        await asyncio.sleep(scale.fault)
        for mouth in (s.mouth, *more):
            mouth.stop()
        await asyncio.gather(*talking)
        ledger = await s.ledger("three publishers without a pause")
        ledger.sent += sent_of(*(mouth.journal for mouth in more))
        ledger.dropped["others"] = {"all": sum(m.bus.metrics.total("events_dropped") for m in more)}
    book(ledger).check_all_accounted()


@BOTH
@limited
async def test_consumers_that_come_and_go_leave_nothing_behind(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """A thousand (twenty) with a filter each; every other one leaves without a word."""
    visitors, at_once = (1000, 50) if scale.long else (20, 10)
    query = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus[f:CallerId = '{}']"
    async with town(tmp_path) as this, scene(this, scale) as s:
        before = await this.broker.ask()

        async def visit(number: int) -> None:
            async with Bus(this.url(), registry=REGISTRY) as bus:
                await bus.subscribe(query.format(number))
                if number % 2:
                    bus._client._wire.abort()  # type: ignore[union-attr]  # as a machine that loses its power

        for number in range(0, visitors, at_once):
            await asyncio.gather(*(visit(n) for n in range(number, number + at_once)))

        async def gone() -> bool:
            told = (await this.broker.ask())["metrics"]
            return bool(told["connections"] == before["metrics"]["connections"])

        async with asyncio.timeout(60):
            while not await gone():
                await asyncio.sleep(0.05)
        after = await this.broker.ask()
        grown = (after["rss"] - before["rss"]) / 2**20
        ledger = await s.ledger(f"{visitors} consumers come and go", note=f"broker grew {grown:.1f} MiB")
    book(ledger).check_all_accounted()
    assert after["fds"] <= before["fds"] + 2
    assert grown < 60


@BOTH
@limited
async def test_a_thousand_consumers_are_back_within_ten_seconds(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """In four processes (two), so that the broker is not asked one after the other."""
    many, processes = (1000, 4) if scale.long else (20, 2)
    async with town(tmp_path) as this:
        crowds = await asyncio.gather(
            *(this.part("crowd", url=this.url(), count=many // processes) for _ in range(processes))
        )
        mouth = this.mouth(await this.bus())

        async def told() -> list[dict[str, Any]]:
            return list(await asyncio.gather(*(crowd.ask() for crowd in crowds)))

        async def all_have(count: int) -> bool:
            return all(len(got) >= count for crowd in await told() for got in crowd["got"])

        await mouth.talk(20, 0.5)
        await come_true(lambda: all_have(len(sent_of(mouth.journal))))
        await this.broker.kill()
        await asyncio.sleep(scale.fault / 2)
        await this.up()
        up = time.time()

        async def all_back() -> bool:
            now = await told()
            back = sum(len(crowd["backs"]) for crowd in now) >= many
            return back and sum(crowd["gaps"] for crowd in now) == many

        await come_true(all_back, 120)
        await mouth.talk(20, 1.5)
        with contextlib.suppress(TimeoutError):  # the account says what is missing
            await come_true(lambda: all_have(len(sent_of(mouth.journal))))
        now = await told()
        backs = [back - up for crowd in now for back in crowd["backs"]]
        ledger = Ledger(
            f"{many} consumers, broker killed",
            sent_of(mouth.journal),
            [got for crowd in now for got in crowd["got"]],
            await this.dropped(publisher=mouth.bus),
            note=f"back after {min(backs):.2f} to {max(backs):.2f} s",
        )
    book(ledger).check_all_accounted()
    assert _spread(backs) < 0.9, "jitter: they do not come in one instant"
    assert max(backs) < (10.0 if scale.long else 60.0)


async def come_true(condition: Callable[[], Awaitable[bool]], limit: float = 60.0) -> None:
    """Wait for what other processes tell."""
    async with asyncio.timeout(limit):
        while not await condition():
            await asyncio.sleep(0.1)


def _spread(moments: list[float]) -> float:
    """Return the share of those that came in the busiest tenth of the time."""
    begin, length = min(moments), (max(moments) - min(moments)) / 10 or 1.0
    tenths = [0] * 11
    for moment in moments:
        tenths[int((moment - begin) / length)] += 1
    return max(tenths) / len(moments)


# -- the machine


async def _exhausted(this: Town) -> list[asyncio.StreamWriter]:
    """Open connections until the broker takes no more."""
    held = []
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", this.port)
        except OSError:
            break
        held.append(writer)
    return held


@BOTH
@limited
async def test_without_file_descriptors_the_broker_goes_on_with_those_it_has(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    async with town(tmp_path, files=64, limits={"login_timeout": 30.0}) as this, scene(this, scale) as s:
        held = await _exhausted(this)
        try:
            late = Bus(this.url(), registry=REGISTRY)
            coming = asyncio.ensure_future(late.start(patient=True))
            before = len(s.ear.journal.lines)
            await asyncio.sleep(scale.fault)
            await until(lambda: len(s.ear.journal.lines) > before)
            assert (await this.broker.ask())["fds"] >= 60
            assert not coming.done()
        finally:
            for writer in held:
                writer.transport.abort()
        await asyncio.wait_for(coming, 60)
        await late.close()
        ledger = await s.ledger("file descriptors exhausted (64)")
        assert not s.ear.gaps
    book(ledger).check_all_accounted()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of a hundred megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


@BOTH
@limited
async def test_a_full_disk_under_the_event_log_refuses_and_counts_and_heals(
    scale: Scale, tmp_path: Path, book: Book, small_disk: Path
) -> None:
    async with town(tmp_path) as this:
        agent = await this.part(
            "agent",
            url=this.url(),
            state_dir=str(tmp_path / "agent"),
            node="recorder",
            log={"store": str(small_disk / "log.sqlite")},
        )
        async with scene(this, scale) as s:
            ballast = small_disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            refused = 0
            async with asyncio.timeout(60):
                while refused < 3:
                    name, event = s.mouth.event()
                    try:
                        await s.talker.publish(event, stored=True)
                    except CommandRefused as error:
                        refused += error.code == UNAVAILABLE
                    else:
                        s.mouth.journal.note("sent", name, repr(time.time()))
                    await asyncio.sleep(0.01)
            await asyncio.sleep(scale.fault)
            dropped = dropped_of((await agent.ask())["metrics"])
            ballast.unlink()
            healed, why = None, None
            end = time.monotonic() + 20
            while healed is None:
                try:
                    name, event = s.mouth.event()
                    healed = await s.talker.publish(event, stored=True)
                    s.mouth.journal.note("sent", name, repr(time.time()))
                except ClacksError as error:
                    why = error
                assert time.monotonic() < end, f"there is room again, and the log takes nothing: {why}"
                await asyncio.sleep(0.05)
            await s.silence()
            ledger = await s.ledger("disk full under the event log")
            ledger.note = f"{sum(dropped.values())} not recorded, as the agent says"
            known = {one.name for one in ledger.sent}
            assert set(got_of(s.ear.journal)) <= known, "refused, and published all the same"
    book(ledger).check_all_accounted()
    assert any("event log" in reason for reason in dropped), dropped


# -- the clock


def _faketime() -> str | None:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return str(found[0]) if found else None


@pytest.mark.skipif(_faketime() is None, reason="libfaketime is not installed (make setup-tools)")
@pytest.mark.tool
@BOTH
@limited
async def test_a_clock_that_jumps_costs_no_connection_and_no_event(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """The broker's clock jumps an hour ahead, then two hours back; its steady clock does not, as in life."""
    rate = tmp_path / "clock"
    rate.write_text("+0")
    async with town(tmp_path) as this:
        await this.broker.kill()
        await this.up_with(
            LD_PRELOAD=str(_faketime()),
            FAKETIME_TIMESTAMP_FILE=str(rate),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        async with scene(this, scale) as s:
            for jump in ("+3600", "-3600", "+0"):
                rate.write_text(jump)
                await asyncio.sleep(scale.fault)
            ledger = await s.ledger("the broker's clock jumps by an hour, both ways")
            assert not s.ear.gaps
            assert s.listener.state is BusState.CONNECTED
    book(ledger).check_all_accounted()
