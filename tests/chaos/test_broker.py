"""The broker is killed, stopped, restarted, replaced; its certificate and its users change."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

from clacks.bus import Bus, BusState
from clacks.common.rights import add_user
from tests.chaos.ledger import Ledger, dropped_of
from tests.chaos.part import Journal
from tests.chaos.scenes import BOTH, Scale, limited, scene
from tests.chaos.town import Town, got_of, settled, town, until

Book = Callable[[Ledger], Ledger]


async def _fall_and_rise(this: Town, scale: Scale, case: str, book: Book, **other: str) -> None:
    async with scene(this, scale) as s:
        began = time.time()
        await this.broker.kill()
        await asyncio.sleep(scale.fault)
        await this.up(**other)
        back = time.time()
        await until(lambda: s.ear.gaps)
        again = time.time()
        before = len(s.ear.journal.lines)
        await asyncio.sleep(scale.calm)
        await until(lambda: len(s.ear.journal.lines) > before)
        ledger = await s.ledger(
            case, faults=[(began, again)], note=f"consumer back after {again - back:.2f} s"
        )
    book(ledger).check_window()
    # "within a second"; a machine that runs other tests at the same time gets more.
    assert again - back < (1.0 if scale.long else 10.0)


@BOTH
@limited
async def test_what_a_killed_broker_takes_along_is_bounded_and_reported(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    async with town(tmp_path) as this:
        await _fall_and_rise(this, scale, "broker killed (-9)", book)


@BOTH
@limited
async def test_a_broker_that_comes_back_without_its_state_is_used_like_the_old_one(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    async with town(tmp_path) as this:
        await _fall_and_rise(
            this, scale, "broker restarted with another state", book, state_dir=str(tmp_path / "other")
        )


@BOTH
@limited
async def test_a_stopped_broker_loses_nothing_in_silence(scale: Scale, tmp_path: Path, book: Book) -> None:
    async with town(tmp_path) as this, scene(this, scale) as s:
        this.broker.send(signal.SIGSTOP)
        await asyncio.sleep(scale.fault)
        this.broker.send(signal.SIGCONT)
        await asyncio.sleep(scale.calm)
        ledger = await s.ledger(f"broker stopped (SIGSTOP) for {scale.fault:g} s")
        assert not s.ear.gaps, "the connection held"
    book(ledger).check_all_accounted()


@BOTH
@limited
async def test_a_stopped_consumer_costs_itself_events_that_the_broker_counts(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """A consumer as a process of its own, stopped: its window and its queue in the broker fill."""
    rate = 2000.0
    small = {} if scale.long else {"credit": 100}
    limits = {} if scale.long else {"queue_events": 200}
    journal = tmp_path / "journal"
    async with town(tmp_path, limits=limits) as this:
        other = await this.part("consumer", url=this.url(), journal=str(journal), limits=small)
        async with scene(this, scale, rate=rate) as s:
            other.send(signal.SIGSTOP)
            await asyncio.sleep(scale.fault)
            other.send(signal.SIGCONT)
            await asyncio.sleep(scale.calm)
            ledger = await s.ledger(f"consumer stopped (SIGSTOP) for {scale.fault:g} s")
        await settled(journal)
        ledger.received.append(got_of(Journal.read(journal)))
        ledger.dropped["stopped consumer"] = dropped_of((await other.ask())["metrics"])
    book(ledger).check_all_accounted()
    assert len(set(ledger.received[0])) == len(ledger.sent), "the other consumer did not wait for it"
    assert any("slow consumer" in reason for reason in ledger.dropped["broker"])


@BOTH
@limited
async def test_a_withdrawn_login_is_cut_off(scale: Scale, tmp_path: Path, book: Book) -> None:
    from clacks.cli import files
    from clacks.common.credentials import make_credentials
    from clacks.common.settings import Settings

    settings = Settings().changed(state_dir=tmp_path / "state")
    settings.state_dir.mkdir()

    def known(password: str | None) -> None:
        with files.changing(settings):
            found = files.read_credentials(settings)
            found = (
                found.without_user("reader")
                if password is None
                else found.joined(make_credentials("reader", password))
            )
            files.write_credentials(settings, found)

    known("secret")
    files.write_private(settings.rights_file, add_user("", "reader", ["admin"], "rights"))
    async with town(tmp_path) as this, scene(this, scale) as s:
        reader = Bus(this.url(user="reader:secret"))
        # A refused login is tried again after a minute: nobody waits for that here.
        reader._client._backoff.limit = 0.2
        async with reader:
            ear = await this.ear(reader)
            await until(lambda: len(ear.journal.lines) > 10)
            began = time.time()
            await asyncio.to_thread(known, None)
            await until(lambda: reader.state is BusState.RECONNECTING)
            cut = time.time() - began
            heard = len(ear.journal.lines)
            await asyncio.sleep(scale.fault)
            assert len(ear.journal.lines) == heard, "nothing is told to who may not log in"
            ledger = await s.ledger("credentials withdrawn", note=f"cut off after {cut:.1f} s")
            ear.task.cancel()
    book(ledger).check_all_accounted()
