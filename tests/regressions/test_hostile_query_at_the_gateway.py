"""Found while the threat model was written: what queries of strangers cost at the gateway.

They had the budget of one's own, a second for each event, on the loop that all connections share; and a look
into the event log had no bound over all of its events.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from clacks.common.errors import QueryBudgetExceeded
from clacks.common.metrics import Metrics
from clacks.common.rights import parse_rights
from clacks.dialects.access import Access, Identity
from clacks.dialects.actions import Failed, Failure, Recalled, Since, Wanted
from clacks.dialects.delivered import Delivered
from clacks.gateway import fanout as module
from clacks.gateway.fanout import Fanout
from clacks.gateway.history import History
from clacks.net.web_outbox import Outbox
from clacks.store.api import NewEntry
from clacks.store.sqlite import SqliteStore
from tests.gateway.served import REGISTRY, phone

HOSTILE = "count(for $a in 1 to 100000, $b in 1 to 100000 return $a * $b) = 1"
RIGHTS = parse_rights(
    '[users.jane]\nroles = ["admin"]\n[users.joe]\nroles = ["few"]\n[roles.few]\nread = ["NodeLeave"]'
)


def fanout(loop: asyncio.AbstractEventLoop) -> Fanout:
    metrics = Metrics()
    return Fanout(REGISTRY, Outbox(loop, metrics), metrics, loop.time)


@pytest.mark.slow
def test_one_event_costs_a_hostile_query_a_fraction_of_a_second() -> None:
    async def run() -> float:
        wants = fanout(asyncio.get_running_loop()).judge(Wanted(xquery=HOSTILE))
        delivered = Delivered(phone("1"), "1-1", 0)
        begun = time.thread_time()
        assert not wants(delivered)
        return time.thread_time() - begun

    assert asyncio.run(run()) < 0.5  # 0.02 is the budget, 1 was


@pytest.mark.slow
def test_a_look_into_the_log_ends_soon_and_lets_others_work(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_JUDGED", 0.3)

    async def run() -> tuple[object, object, int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with SqliteStore(tmp_path / "log.db", sync="normal") as store:  # type: ignore[operator]
            xml = phone("1").xml
            await store.log.append(
                [NewEntry(f"e{n}", "PhoneStatus", "x", time.time_ns() // 1000, xml) for n in range(300)]
            )
            history = History(store.log, REGISTRY, 1000, lambda: int(time.time() * 1000))
            judge = fanout(asyncio.get_running_loop()).judge
            jane, joe = (Access(Identity(user), lambda: RIGHTS) for user in ("jane", "joe"))
            working = asyncio.ensure_future(others())
            hostile = Wanted(kinds=frozenset(["PhoneStatus"]), xquery=HOSTILE)
            outcome = await history.recall(jane, hostile, Since(ago=60_000), None, judge(hostile))
            working.cancel()
            plain = Wanted(kinds=frozenset(["PhoneStatus"]))
            unseen = await history.recall(joe, plain, Since(ago=60_000), None, judge(plain))
            seen = await history.recall(jane, plain, Since(ago=60_000), None, judge(plain))
        assert isinstance(seen, Recalled)
        assert len(seen.events) == 300
        return outcome, unseen, turns

    outcome, unseen, turns = asyncio.run(run())
    assert isinstance(outcome, Failed)
    assert outcome.why is Failure.LIMIT
    assert turns > 5
    assert unseen == Recalled(), "history is filtered by the rights of the reader"


def test_the_bound_is_over_all_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_JUDGED", -1.0)

    async def run() -> None:
        wants = fanout(asyncio.get_running_loop()).judge(Wanted(xquery="true()"))
        with pytest.raises(QueryBudgetExceeded):
            wants(Delivered(phone("1"), "1-1", 0))

    asyncio.run(run())
