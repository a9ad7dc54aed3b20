"""The contract of every store."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clacks.common.errors import StoreError, StoreFull
from clacks.common.limits import Limits
from clacks.store import LogId, Retention
from tests.store.stores import Kind, entry, scenario


@scenario
async def test_what_is_appended_is_read_in_order_with_everything_it_had(kind: Kind) -> None:
    full = entry(
        1,
        "TopicMessage",
        user="jane",
        stored=True,
        key="a/b",
        expires=None,
        properties={"text": "x", "n": 1, "f": 0.5, "b": True, "no": None},
    )
    async with kind.store() as store:
        first = await store.log.append([full, entry(2)])
        second = await store.log.append([entry(3)])
        page = await store.log.read()
    assert [item.event for item in page.entries] == [full, entry(2), entry(3)]
    ids = [item.id for item in page.entries]
    assert ids == [answer.id for answer in (*first, *second)] == sorted(set(ids))
    assert not any(answer.known for answer in (*first, *second))
    assert (page.more, page.next) == (False, ids[-1])


@scenario
async def test_many_appends_at_once_keep_their_order(kind: Kind) -> None:
    async with kind.store() as store:
        answers = await asyncio.gather(*(store.log.append([entry(n)]) for n in range(300)))
        ids = [answer[0].id for answer in answers]
        assert ids == sorted(set(ids))
        page = await store.log.read(limit=1000)
    assert [item.event for item in page.entries] == [entry(n) for n in range(300)]


@scenario
async def test_the_same_event_again_gets_the_same_id_and_is_not_recorded_twice(kind: Kind) -> None:
    async with kind.store() as store:
        (first,) = await store.log.append([entry(1)])
    async with kind.store() as store:  # also after a restart
        (again,) = await store.log.append([entry(1)])
        twice = await store.log.append([entry(2), entry(2)])
        assert (again.id, again.known) == (first.id, True)
        assert [answer.known for answer in twice] == [False, True]
        assert twice[0].id == twice[1].id
        assert (await store.log.status()).events == 2


@scenario
async def test_an_id_that_somebody_copied_hides_no_other_event(kind: Kind) -> None:
    forged = entry(1)
    real = type(forged)(forged.event_id, forged.kind, forged.source, forged.time, b"<e>real</e>")
    async with kind.store() as store:
        await store.log.append([forged])
        (answer,) = await store.log.append([real])
        assert not answer.known
        assert await store.log.find("id-1") == answer.id
        assert await store.log.find("id-2") is None


@scenario
async def test_pages_join_without_gap_or_double(kind: Kind) -> None:
    async with kind.store() as store:
        await store.log.append([entry(n) for n in range(25)])
        found = []
        page = await store.log.read(limit=10)
        sizes = [len(page.entries)]
        found += page.entries
        while page.more:
            page = await store.log.read(after=page.next, limit=10)
            sizes.append(len(page.entries))
            found += page.entries
        assert sizes == [10, 10, 5]
        assert [item.event for item in found] == [entry(n) for n in range(25)]
        assert (await store.log.read(after=page.next)).entries == ()
        assert (await store.log.read(after=page.next)).next == page.next


@scenario
async def test_a_page_ends_where_its_bytes_end_but_holds_at_least_one(kind: Kind) -> None:
    async with kind.store() as store:
        await store.log.append([entry(n) for n in range(10, 20)])  # 9 bytes each
        page = await store.log.read(size=30)
        assert (len(page.entries), page.more, page.next) == (3, True, page.entries[-1].id)
        assert len((await store.log.read(size=1)).entries) == 1


@scenario
async def test_time_type_key_and_expiry_select(kind: Kind) -> None:
    async with kind.store() as store:
        early = await store.log.append([entry(1), entry(2, "NodeLeave"), entry(3, key="a")])
        await asyncio.sleep(0.02)
        middle = int(time.time() * 1000)
        await asyncio.sleep(0.02)
        await store.log.append(
            [entry(4, key="b"), entry(5, expires=middle - 1), entry(6, expires=middle + 60_000)]
        )

        async def numbers(**selection: object) -> list[int]:
            page = await store.log.read(**selection)  # type: ignore[arg-type]
            return [item.event.time % 100 for item in page.entries]

        assert await numbers(since=middle) == [4, 6]
        assert await numbers(until=middle) == [1, 2, 3]
        assert await numbers(until=early[1].id) == [1, 2]
        assert await numbers(after=early[1].id) == [3, 4, 6]
        assert await numbers(after=early[1].id, since=middle) == [4, 6]
        assert await numbers(since=early[0].id.ms, until=early[0].id.ms - 1) == []
        assert await numbers(since=-5, until=-1) == []
        assert await numbers(since=10**14) == []
        assert await numbers(kinds=["NodeLeave"]) == [2]
        assert await numbers(kinds=["PhoneStatus", "NodeLeave"]) == [1, 2, 3, 4, 6]
        assert await numbers(kinds=[]) == []
        assert await numbers(key="a") == [3]
        assert await numbers(key="a", kinds=["NodeLeave"]) == []
        assert await numbers(newest=True, limit=2) == [4, 6]
        assert await numbers(newest=True, limit=2, kinds=["PhoneStatus"], until=middle) == [1, 3]
        assert await numbers(limit=0) == []
        assert await store.log.keys("PhoneStatus") == ["a", "b"]
        assert await store.log.keys("NodeLeave") == []


@scenario
async def test_the_place_after_a_fruitless_search_is_the_end_of_the_log(kind: Kind) -> None:
    async with kind.store() as store:
        nothing = await store.log.read(after=LogId(7, 0))
        assert (nothing.entries, nothing.next, nothing.more) == ((), LogId(7, 0), False)
        answers = await store.log.append([entry(n) for n in range(3)])
        page = await store.log.read(kinds=["NodeLeave"])
        assert (page.entries, page.next) == ((), answers[-1].id)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from("ABC"), max_size=40),
    wanted=st.sets(st.sampled_from("ABCD")),
    limit=st.integers(1, 12),
)
def test_any_selection_by_type_is_what_a_walk_through_everything_finds(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], wanted: set[str], limit: int
) -> None:
    from tests.store.stores import SqliteKind

    @scenario
    async def check() -> None:
        async with SqliteKind(tmp_path_factory.mktemp("s") / "log.sqlite").store() as store:
            await store.log.append([entry(n, of) for n, of in enumerate(kinds)])
            right = [entry(n, of) for n, of in enumerate(kinds) if of in wanted]
            page = await store.log.read(kinds=wanted, limit=limit)
            found = list(page.entries)
            while page.more:
                page = await store.log.read(after=page.next, kinds=wanted, limit=limit)
                found += page.entries
            assert [item.event for item in found] == right
            newest = await store.log.read(kinds=wanted, limit=limit, newest=True)
            assert [item.event for item in newest.entries] == right[-limit:]

    check()


@scenario
async def test_the_oldest_goes_by_count_and_by_age(kind: Kind) -> None:
    async with kind.store() as store:
        answers = await store.log.append([entry(n, key=f"k{n}") for n in range(20)])
        now = answers[-1].id.ms
        assert await store.log.prune(Retention(), now) == 0
        assert await store.log.prune(Retention(events=5), now) == 15
        page = await store.log.read()
        assert [item.event.event_id for item in page.entries] == [f"id-{n}" for n in range(15, 20)]
        assert await store.log.keys("PhoneStatus") == [f"k{n}" for n in range(15, 20)]
        assert await store.log.find("id-1") is None
        status = await store.log.status()
        assert (status.events, status.first, status.last) == (5, answers[15].id, answers[-1].id)
        assert await store.log.prune(Retention(age=60), now + 59_000) == 0
        assert await store.log.prune(Retention(age=60), now + 61_000) == 5
        assert (await store.log.read()).entries == ()
        (late,) = await store.log.append([entry(1)])
        assert late.id > answers[-1].id
        assert not late.known


@scenario
async def test_the_oldest_goes_by_size(kind: Kind) -> None:
    async with kind.store() as store:
        for start in range(0, 3000, 500):
            await store.log.append(
                [entry(n, properties={"fill": "x" * 200}) for n in range(start, start + 500)]
            )
        before = await store.log.status()
        assert before.events == 3000
        went = await store.log.prune(Retention(size=before.size // 2), int(time.time() * 1000))
        after = await store.log.status()
        assert 1000 < went < 2500
        assert after.events == 3000 - went
        assert after.size <= before.size // 2
        assert (await store.log.read(newest=True, limit=1)).entries[0].event.event_id == "id-2999"


@scenario
async def test_what_was_promised_and_perhaps_not_published_is_told_after_a_restart(kind: Kind) -> None:
    async with kind.store() as store:
        answers = await store.log.append([entry(n, stored=n != 2) for n in range(5)])
        assert await store.log.unpublished() == [] or kind.name == "redis"
        store.log.published(answers[0].id)
        store.log.published(answers[3].id)
    async with kind.store() as store:
        left = await store.log.unpublished()
        # Of what comes after the first unpublished one more may be told than is: never less.
        assert {"id-1", "id-4"} <= {item.event.event_id for item in left} <= {"id-1", "id-3", "id-4"}
        for item in left:
            store.log.published(item.id)
    async with kind.store() as store:
        assert await store.log.unpublished() == []
        (answer,) = await store.log.append([entry(9, stored=True)])
        store.log.published(answer.id)
        await store.log.append([entry(10)])
    async with kind.store() as store:
        assert await store.log.unpublished() == []


@scenario
async def test_a_closed_store_says_so(kind: Kind) -> None:
    store = kind.store()
    await store.start()
    await store.close()
    await store.close()
    for attempt in (
        store.log.append([entry(1)]),
        store.log.read(),
        store.values.get("a"),
        store.log.status(),
    ):
        with pytest.raises(StoreError, match="closed"):
            await attempt


@scenario
async def test_values_are_set_read_and_removed(kind: Kind) -> None:
    async with kind.store() as store:
        values = store.values
        assert await values.get("a") is None
        assert await values.ttl("a") is None
        await values.set("a", "1")
        await values.set("", "")
        await values.set("schlüssel\ud800\0*", "wert \udfff\0")
        assert await values.get("a") == "1"
        assert await values.get("") == ""
        assert await values.get("schlüssel\ud800\0*") == "wert \udfff\0"
        assert await values.ttl("a") == math.inf
        await values.set("a", "2", 100)
        left = await values.ttl("a")
        assert left is not None
        assert 90 < left <= 100
        await values.set("a", "3")
        assert await values.ttl("a") == math.inf
        assert await values.delete("a")
        assert not await values.delete("a")
        assert await values.get("a") is None
    async with kind.store() as store:
        assert await store.values.get("") == ""


@scenario
async def test_a_value_is_gone_when_its_time_is_over(kind: Kind) -> None:
    async with kind.store() as store:
        await store.values.set("a", "1", 0.05)
        await asyncio.sleep(0.1)
        assert await store.values.get("a") is None
        assert await store.values.ttl("a") is None
        assert await store.values.keys() == []
        assert not await store.values.delete("a")
        for wrong in (0, -1, math.nan, math.inf):
            with pytest.raises(ValueError, match="time to live"):
                await store.values.set("a", "1", wrong)


@scenario
async def test_keys_are_found_by_their_beginning(kind: Kind) -> None:
    async with kind.store() as store:
        for key in ("a/1", "a/2", "b/1", "a*", "ä/1"):
            await store.values.set(key, "x")
        assert await store.values.keys("a/") == ["a/1", "a/2"]
        assert await store.values.keys("a*") == ["a*"]
        assert await store.values.keys() == ["a*", "a/1", "a/2", "b/1", "ä/1"]
        assert await store.values.keys("ä") == ["ä/1"]
        assert await store.values.keys("a", limit=2) == ["a*", "a/1"]
        assert await store.values.keys("c") == []


@scenario
async def test_too_long_keys_and_values_are_refused(kind: Kind) -> None:
    async with kind.store(limits=Limits(kv_key_bytes=3, kv_value_bytes=5)) as store:
        await store.values.set("äa", "12345")
        with pytest.raises(StoreFull, match="key has at most 3 bytes, not 4"):
            await store.values.set("ää", "1")
        with pytest.raises(StoreFull, match="value has at most 5 bytes"):
            await store.values.set("a", "123456")
