"""Every process is killed in turn while events flow: what was stored is there after the replay, once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from clacks.bus import Bus
from clacks.common.errors import BusError, CommandError
from clacks.store import LogId
from tests.chaos.islands import NAMESPACES, broker_at, inside, plug
from tests.chaos.ledger import Ledger, Sent, dropped_of
from tests.chaos.part import Journal
from tests.chaos.scenes import BOTH, Scale, limited
from tests.chaos.town import REGISTRY, Part, Town, got_of, settled, town, until
from tests.net.relay import Relay

Book = Callable[[Ledger], Ledger]


class _Street:
    """Broker, agent that records, publisher and consumer, each a process."""

    def __init__(self, this: Town, scale: Scale, folder: Path) -> None:
        self.this = this
        self.scale = scale
        self.folder = folder
        self.said: list[Path] = []
        self.heard = folder / "heard"
        self.agent: Part
        self.consumer: Part
        self.publisher: Part

    async def start_agent(self, port: int | None = None) -> None:
        self.agent = await self.this.part(
            "agent", url=self.this.url(port), state_dir=str(self.folder / "agent"), node="recorder"
        )

    async def start_consumer(self) -> None:
        """Go on after the last event of its journal; from the beginning if there is none."""
        seen = [line[3] for line in Journal.read(self.heard) if line[0] == "got" and line[3]]
        self.consumer = await self.this.part(
            "consumer",
            url=self.this.url(),
            journal=str(self.heard),
            since=str(max(map(LogId.parse, seen))) if seen else "-1h",
        )

    async def start_publisher(self) -> None:
        self.said.append(self.folder / f"said{len(self.said)}")
        self.publisher = await self.this.part(
            "publisher",
            url=self.this.url(),
            journal=str(self.said[-1]),
            prefix=f"p{len(self.said)}-",
            rate=self.scale.rate,
            # A recorder commits some hundreds a second on a disk; the others are published plainly.
            stored_every=5 if self.scale.long else 1,
        )

    def stored(self) -> list[str]:
        """Return what was answered: that is promised."""
        return [line[1] for path in self.said for line in Journal.read(path) if line[0] == "stored"]

    async def more(self, count: int) -> None:
        """Wait until so many more are stored, and the consumer has them."""
        wanted = len(self.stored()) + count
        await until(lambda: len(self.stored()) >= wanted, 120)


@BOTH
@limited
async def test_what_was_stored_survives_a_kill_of_every_process_in_turn(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    count = int(scale.rate * 0.3)
    async with town(tmp_path) as this:
        street = _Street(this, scale, tmp_path)
        await street.start_agent()
        await street.start_consumer()
        began = time.monotonic()
        await street.start_publisher()
        await street.more(count)
        await this.broker.kill()
        await this.up()
        await street.more(count)
        await street.agent.kill()
        await street.start_agent()
        await street.more(count)
        await street.consumer.kill()
        await street.start_consumer()
        await street.more(count)
        await street.publisher.kill()
        await street.start_publisher()
        await street.more(count)
        took = time.monotonic() - began
        await street.publisher.ask(stop=True)
        await settled(street.said[-1], 1.0)
        promised = street.stored()
        heard: set[str] = set()

        def complete() -> bool:
            heard.update(got_of(Journal.read(street.heard)))
            return heard >= set(promised)

        with contextlib.suppress(TimeoutError):  # the account says what is missing
            await until(complete, 60)
        await settled(street.heard, 1.0)
        received = got_of(Journal.read(street.heard))
        ledger = Ledger(
            "stored=True, every process killed in turn",
            [],
            [received],
            note=f"{len(promised):,} answered, {len(promised) / took:.0f}/s with the outages",
        )
        again = {line[1] for line in Journal.read(street.heard) if line[0] == "again"}
    missing = set(promised) - set(received)
    ledger.note += f", {len(missing)} of them missing"
    # What was not answered is promised nothing; if it came all the same it counts as sent.
    ledger.sent = [Sent(name, 0.0) for name in {*promised, *received}]
    book(ledger)
    assert not missing, f"{ledger.line()} {sorted(missing)[:5]}"
    assert ledger.doubled == 0, ledger.line()
    assert not again & set(promised), "of stored events the place in the log says what was had"


async def _account_of_stored(street: _Street, title: str) -> Ledger:
    """Stop the publisher, wait until all that was answered is read, and account for it."""
    await street.publisher.ask(stop=True)
    await settled(street.said[-1], 1.0)
    promised = street.stored()
    await until(lambda: set(promised) <= set(got_of(Journal.read(street.heard))), 60)
    received = got_of(Journal.read(street.heard))
    return Ledger(
        title,
        [Sent(name, 0.0) for name in {*promised, *received}],
        [received],
        {"consumer": dropped_of((await street.consumer.ask())["metrics"])},
        note=f"{len(promised):,} answered",
    )


@BOTH
@limited
async def test_a_cut_between_broker_and_agent_loses_nothing_that_was_stored_and_restores_calls(
    scale: Scale, tmp_path: Path, book: Book
) -> None:
    async with town(tmp_path) as this, Relay(this.port) as relay:
        street = _Street(this, scale, tmp_path)
        await street.start_agent(relay.port)
        await street.start_consumer()
        await street.start_publisher()
        caller = Bus(this.url(), registry=REGISTRY)
        async with caller:
            await street.more(50)
            for _ in range(3 if scale.long else 1):
                relay.shut()
                # Nobody serves now: the call waits in the broker, and is carried out when the agent is back.
                pending = asyncio.ensure_future(caller.call("getMethods", timeout=60))
                await asyncio.sleep(scale.fault)
                assert not pending.done()
                relay.let_in()
                assert "getMethods" in await pending
                await street.more(50)
        ledger = await _account_of_stored(street, "cut between broker and agent, stored=True")
    book(ledger).check_all_accounted()


@NAMESPACES
@BOTH
@limited
async def test_a_wire_pulled_between_broker_and_agent_loses_nothing_that_was_stored(
    scale: Scale, tmp_path: Path, book: Book, island: tuple[str, str]
) -> None:
    """The agent lives on the island. No reset comes: both sides notice by the silence alone."""
    name, address = island
    limits = {"idle_timeout": 5.0 if scale.long else 1.0}
    async with town(tmp_path) as this:
        await broker_at(this, address.rpartition(".")[0] + ".1", limits=limits)
        street = _Street(this, scale, tmp_path)
        street.agent = Part(
            "agent",
            inside(name),
            url=this.url(),
            state_dir=str(tmp_path / "agent"),
            node="recorder",
            limits=limits,
        )
        this.parts.append(street.agent)
        await street.agent.start()
        await street.start_consumer()
        await street.start_publisher()
        async with Bus(this.url(), registry=REGISTRY) as caller:
            await street.more(50)
            plug(name, "down")
            await asyncio.sleep(limits["idle_timeout"])  # what was answered before is told
            stored = len(street.stored())
            await asyncio.sleep(limits["idle_timeout"] + scale.fault)
            assert len(street.stored()) == stored > 0, "nobody records"
            pending = asyncio.ensure_future(caller.call("getMethods", timeout=60))
            await asyncio.sleep(0)
            plug(name, "up")
            assert "getMethods" in await pending
            await street.more(50)
        ledger = await _account_of_stored(
            street, "wire pulled between broker and agent (namespace), stored=True"
        )
    book(ledger).check_all_accounted()


@BOTH
@limited
async def test_filters_subscriptions_and_pending_calls_are_there_after_the_broker_was_killed(
    scale: Scale, tmp_path: Path
) -> None:
    query = (
        "declare namespace f='http://www.gonicus.de/Events'; "
        "./f:Event/f:PhoneStatus[ends-with(f:CallerId, '7')]"
    )
    served = asyncio.Event()

    async def slow(request: object, user: str, on_behalf_of: str | None) -> str:
        served.set()
        return "done"

    async with town(tmp_path) as this:
        talker, listener, server = await this.bus(), await this.bus(), await this.bus()
        ear = await this.ear(listener, xquery=query)
        mouth = this.mouth(talker)
        await mouth.talk(100, 0.3)
        await this.broker.kill()
        # Made while there is no broker: it waits, and is carried out once when there is one.
        waiting = asyncio.ensure_future(talker.call("work", timeout=60, address="org.clacks.command.own"))
        serving = asyncio.ensure_future(server.serve(slow, queue="own"))
        await asyncio.sleep(scale.fault)
        assert not waiting.done()
        await this.up()
        await until(lambda: ear.gaps)
        try:
            assert await waiting == "done"
        except (BusError, CommandError) as error:
            raise AssertionError(f"a call that nobody had begun: {error}") from error
        await (await serving).close()
        before = len(got_of(ear.journal))
        await mouth.talk(100, 0.5)
        await until(lambda: len(got_of(ear.journal)) > before)
        assert served.is_set()
        assert all(name.endswith("7") for name in got_of(ear.journal))
