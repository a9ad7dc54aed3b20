"""What networks do to the connections: cut, stall, slow down, half-close, answer and say nothing."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clacks.bus import Bus, BusState
from clacks.common.errors import ConnectionFailed
from tests.chaos.islands import NAMESPACES, broker_at, inside
from tests.chaos.ledger import Ledger, dropped_of
from tests.chaos.scenes import BOTH, Scale, Scene, limited, scene
from tests.chaos.town import PATIENCE, REGISTRY, limits_of, town, until
from tests.net.authorities import Authority
from tests.net.relay import Relay

Book = Callable[[Ledger], Ledger]


async def _again(s: Scene, began: float, case: str, book: Book, scale: Scale, links: int = 1) -> Ledger:
    """Wait until the consumer hears again, and close the account."""
    await until(lambda: s.ear.gaps)
    again = time.time()
    before = len(s.ear.journal.lines)
    await asyncio.sleep(scale.calm)
    await until(lambda: len(s.ear.journal.lines) > before)
    ledger = book(await s.ledger(case, faults=[(began, again)]))
    ledger.check_window(links)
    return ledger


@BOTH
@limited
async def test_a_connection_of_a_consumer_that_is_cut_is_made_again(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    async with (
        town(tmp_path) as this,
        Relay(this.port) as relay,
        scene(this, scale, consumer_port=relay.port) as s,
    ):
        began = time.time()
        relay.cut()
        await _again(s, began, "cut between consumer and broker", book, scale)


@BOTH
@limited
async def test_while_the_network_is_away_the_broker_lets_go_of_nothing_but_that_consumer(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """The consumer that is cut off misses what is said meanwhile: more than a window, and it knows from when
    to when. The other one misses nothing."""
    async with town(tmp_path) as this, Relay(this.port) as relay, scene(this, scale) as s:
        far = await this.bus(relay.port)
        ear = await this.ear(far)
        await until(lambda: len(ear.journal.lines) > 10)
        began = time.time()
        relay.shut()
        await until(lambda: far.state is BusState.RECONNECTING)
        await asyncio.sleep(scale.fault)
        relay.let_in()
        await until(lambda: ear.gaps)
        again = time.time()
        before = len(ear.journal.lines)
        await until(lambda: len(ear.journal.lines) > before)
        ledger = book(await s.ledger("network away from another consumer"))
        ledger.check_all_accounted()
        heard = {line[1] for line in ear.journal.lines if line[0] == "got"}
        first = next(line[1] for line in ear.journal.lines if line[0] == "got")
        sent = ledger.sent[[one.name for one in ledger.sent].index(first) :]
        missed = [one for one in sent if one.name not in heard]
        assert missed
        assert all(began - 1.0 <= one.at <= again for one in missed)
        gap = ear.gaps[0]
        assert gap.start.timestamp() <= began + 1.0
        assert gap.end.timestamp() >= max(one.at for one in missed) - 0.5


@BOTH
@limited
async def test_a_half_closed_connection_counts_as_lost(scale: Scale, tmp_path: Path, book: Book) -> None:
    async with (
        town(tmp_path) as this,
        Relay(this.port) as relay,
        scene(this, scale, consumer_port=relay.port) as s,
    ):
        began = time.time()
        relay.half_close()
        await _again(s, began, "half-close of the consumer's connection", book, scale)


@BOTH
@limited
async def test_delay_throttle_and_stall_lose_nothing_in_silence(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """A thin line fills the consumer's queue in the broker, which drops the oldest and says so."""
    limits = {} if scale.long else {"queue_events": 100}
    async with (
        town(tmp_path, limits=limits) as this,
        Relay(this.port) as relay,
        scene(this, scale, consumer_port=relay.port, rate=max(scale.rate, 1500)) as s,
    ):
        relay.delay = 0.02
        await asyncio.sleep(scale.calm)
        relay.delay, relay.rate = 0.0, 100_000
        await asyncio.sleep(scale.fault)
        relay.rate = 0
        relay.hold()
        await asyncio.sleep(scale.fault)
        relay.release()
        ledger = await s.ledger("delay 20 ms, 100 kB/s, stall")
        assert not s.ear.gaps, "the connection held"
    book(ledger).check_all_accounted()
    assert ledger.drops


@BOTH
@limited
async def test_a_stalled_line_is_given_up_after_the_idle_time_and_made_again(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    """Nobody says that it is gone: only the silence does."""
    limits = {"idle_timeout": 5.0 if scale.long else 1.0}
    async with (
        town(tmp_path, limits=limits) as this,
        Relay(this.port) as relay,
        scene(this, scale, consumer_port=relay.port, limits=limits) as s,
    ):
        began = time.time()
        relay.hold()
        await until(lambda: s.listener.state is BusState.RECONNECTING)
        found = time.time() - began
        relay.release()
        ledger = await _again(s, began, f"stalled until the idle time ({found:.1f} s)", book, scale)
        assert s.ear.gaps[0].start.timestamp() <= began + 1.0, "from when the broker was last heard"
        assert ledger.doubled == 0


@BOTH
@limited
async def test_a_port_that_answers_and_never_speaks_is_given_up_and_tried_again(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    limits = {"login_timeout": 5.0 if scale.long else 0.4}
    silent = await asyncio.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    try:
        async with town(tmp_path) as this, Relay(this.port) as relay:
            with pytest.raises(ConnectionFailed, match="nothing comes"):
                await Bus(this.url(port), registry=REGISTRY, limits=limits_of(limits)).start()
            async with scene(this, scale, consumer_port=relay.port, limits=limits) as s:
                began = time.time()
                relay.redirect(port)
                relay.cut()
                accepted = relay.accepted
                await until(lambda: relay.accepted >= accepted + 2)
                relay.redirect(this.port)
                await _again(s, began, "port answers and never speaks", book, scale)
    finally:
        silent.close()


@BOTH
@limited
async def test_a_certificate_that_was_replaced_is_taken_if_its_authority_is_known(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    ours.mkdir()
    other.mkdir()
    good, wrong = Authority(ours), Authority(other)
    first, second = good.issue("127.0.0.1", file="first"), good.issue("127.0.0.1", file="second")
    foreign = wrong.issue("127.0.0.1")
    async with town(tmp_path, certificate=str(first)) as this:
        tls = this.broker.hello["ports"]["amqps"]
        async with Relay(tls) as relay:
            url = this.url(relay.port).replace("amqp://", "amqps://")
            async with Bus(url, registry=REGISTRY, ca=str(good.file)) as far:
                ear = await this.ear(far)
                async with scene(this, scale) as s:
                    await until(lambda: ear.journal.lines)
                    cases = ((second, True), (foreign, False), (first, True))
                    faults: list[tuple[float, float]] = []
                    drops = unheard = 0
                    for certificate, welcome in cases if scale.long else cases[:2]:
                        gaps, accepted, began = len(ear.gaps), relay.accepted, time.time()
                        # What this broker counted goes with it.
                        counted = dropped_of((await this.broker.ask())["metrics"])
                        drops += sum(counted.values())
                        unheard += sum(n for name, n in counted.items() if name.startswith("events_unheard"))
                        await this.broker.kill()
                        await this.up(certificate=str(certificate))
                        relay.redirect(this.broker.hello["ports"]["amqps"])
                        # The one without TLS is back with any certificate.
                        await until(lambda: len(s.ear.gaps) > len(faults))
                        faults.append((began, time.time()))
                        if welcome:
                            # A refused certificate makes the pauses between tries longer, up to 30 s.
                            await until(lambda gaps=gaps: len(ear.gaps) > gaps, 3 * PATIENCE)
                            before = len(ear.journal.lines)
                            await until(lambda before=before: len(ear.journal.lines) > before)
                        else:
                            await until(lambda accepted=accepted: relay.accepted > accepted + 1)
                            assert far.state is BusState.RECONNECTING, "no event to who cannot show who it is"
                    ledger = await s.ledger("broker restarted with another TLS certificate", faults=faults)
                    ledger.note = f"{len(faults)} times"
                    ledger.dropped["brokers before"] = {"events_unheard": unheard}
                    book(ledger).check_window()
                    names = [line[1] for line in ear.journal.lines if line[0] == "got"]
                    assert len(names) == len(set(names))
                    assert len(ear.gaps) == (2 if scale.long else 1)
                    # Between its first event and its last it lacks what its gaps say, and what was counted.
                    drops += sum(sum(dropped.values()) for dropped in (await this.dropped(far=far)).values())
                    sent = [one.name for one in ledger.sent]
                    heard = ledger.sent[sent.index(names[0]) : sent.index(names[-1])]
                    spans = [(gap.start.timestamp() - 1.0, gap.end.timestamp()) for gap in ear.gaps]
                    lacks = [one for one in heard if one.name not in set(names)]
                    untold = [one for one in lacks if not any(a <= one.at <= b for a, b in spans)]
                    assert len(untold) <= drops, (len(untold), drops, untold[:5], spans)


# -- network namespaces: packets vanish, nobody says anything


@NAMESPACES
@BOTH
@limited
async def test_packets_that_are_late_lost_doubled_and_out_of_order_cost_no_event(
    scale: Scale, tmp_path: Path, book: Book, island: tuple[str, str]
) -> None:
    """TCP sees to it; what the broker drops because the line has become thin it counts."""
    if shutil.which("tc") is None:
        pytest.skip("tc of iproute2 is not installed")
    bad = "netem delay 10ms 5ms loss 2% duplicate 1% reorder 5%"
    name, address = island
    command = f"tc qdisc add dev {name} root {bad}"
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this kernel has no netem: {done.stderr.strip()}")
    async with town(tmp_path) as here:
        await broker_at(here, address, inside(name))
        async with scene(here, scale) as s:
            await asyncio.sleep(scale.fault * 2)
            ledger = await s.ledger("2 % of the packets lost, 5 % out of order (netem)")
            assert not s.ear.gaps, "the connection held"
    book(ledger).check_all_accounted()


@NAMESPACES
@BOTH
@limited
async def test_a_wire_that_is_pulled_is_noticed_and_plugged_in_again(
    scale: Scale, tmp_path: Path, book: Book, island: tuple[str, str]
) -> None:
    name, address = island
    limits = {"idle_timeout": 5.0 if scale.long else 1.0, "login_timeout": 2.0}
    async with town(tmp_path) as here:
        await broker_at(here, address, inside(name), limits)
        async with scene(here, scale, limits=limits) as s:
            began = time.time()
            subprocess.run(["ip", "link", "set", name, "down"], check=True)
            await until(lambda: s.listener.state is BusState.RECONNECTING)
            found = time.time() - began
            await asyncio.sleep(scale.fault)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
            ledger = await _again(
                s,
                began,
                f"wire pulled (namespace), noticed after {found:.1f} s",
                book,
                scale,
                links=2,  # the publisher's, too
            )
            assert ledger.gaps[0]
