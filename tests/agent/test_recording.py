from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clacks.agent import recording as recording_module
from clacks.bus import Bus, Subscription
from clacks.common.errors import CommandRefused, StoreError
from clacks.common.event import Event
from clacks.common.jsonrpc import FORBIDDEN, INVALID_EVENT, INVALID_PARAMS, UNAVAILABLE
from clacks.common.limits import Limits
from clacks.store import LogId
from tests.agent.recorders import Desk, recording
from tests.bus.house import MAKER, PHONE, REGISTRY, caller_of, house, phone, scenario, until

pytestmark = pytest.mark.net

LOG = "org.clacks.command.log"


def leave(id_: str = "n") -> Event:
    return REGISTRY.event(MAKER.event("NodeLeave", Id=id_))


async def events_of(desk: Desk) -> list[str]:
    return [entry.event.xml.decode() for entry in (await desk.store.log.read(limit=10_000)).entries]


async def recorded(desk: Desk, n: int) -> None:
    async with asyncio.timeout(20):
        while (await desk.store.log.status()).events < n:
            await asyncio.sleep(0.01)


async def callers(subscription: Subscription, n: int) -> list[str]:
    found = []
    while len(found) < n:
        found.append(caller_of(await anext(subscription)))
    return found


@scenario
async def test_what_is_published_is_recorded_with_what_its_message_said(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus(name="desk")
        before = time.time()
        await bus.publish(phone("1"))
        await bus.publish(leave(), properties={"room": "r1", "level": 3})
        await recorded(desk, 2)
        first, second = (await desk.store.log.read()).entries
        assert (first.event.kind, first.event.user, first.event.stored) == ("PhoneStatus", "admin", False)
        assert first.event.source == "urn:clacks:desk"
        assert first.event.xml == phone("1").xml
        assert before - 1 < first.event.time / 1e6 < time.time() + 1
        assert second.event.properties == {"room": "r1", "level": 3}
        assert second.event.key == "n"
        assert first.event.event_id != second.event.event_id
        assert first.id < second.id


@scenario
async def test_a_thousand_events_in_a_row_are_all_recorded_in_order(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()
        for n in range(1000):
            await bus.publish(phone(str(n)))
        await recorded(desk, 1000)
        found = [caller_of(REGISTRY.receive(xml)) for xml in await events_of(desk)]
        assert found == [str(n) for n in range(1000)]
        assert desk.bus.metrics.value("events_recorded") == 1000


async def arrived(desk: Desk, n: int) -> None:
    await until(lambda: desk.bus.metrics.value("events_delivered", type="PhoneStatus") >= n)


@scenario
async def test_events_that_come_one_by_one_share_a_commit_that_who_reads_does_not_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "_PAUSE", 3600.0)  # only who reads ends it
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()
        for n in range(3):
            await bus.publish(phone(str(n)))
            await arrived(desk, n + 1)
        assert (await desk.store.log.status()).events == 0
        assert [entry.event.xml for entry in (await desk.recorder.log.read()).entries] == [
            phone(str(n)).xml for n in range(3)
        ]
        await bus.publish(phone("3"))
        await arrived(desk, 4)
        page = await bus.call("getEvents", "-1h", address=LOG)
        assert [caller_of(REGISTRY.receive(event["xml"])) for event in page["events"]] == list("0123")
        await bus.publish(leave())
        await until(lambda: desk.bus.metrics.value("events_delivered", type="NodeLeave") >= 1)
        assert await desk.recorder.log.keys("NodeLeave") == ["n"]


@scenario
async def test_what_is_received_before_an_event_is_stored_stands_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "_PAUSE", 3600.0)
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()
        await bus.publish(phone("1"))
        await arrived(desk, 1)
        await bus.publish(phone("2"), stored=True)
        assert [caller_of(REGISTRY.receive(xml)) for xml in await events_of(desk)] == ["1", "2"]


@scenario
async def test_what_waits_for_others_is_recorded_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "_PAUSE", 3600.0)
    async with house() as h, recording(h, tmp_path) as desk:
        await (await h.bus()).publish(phone("1"))
        await arrived(desk, 1)
        await desk.recorder.close()
        assert len(await events_of(desk)) == 1


@scenario
async def test_only_chosen_types_are_recorded_but_promised_ones_are(tmp_path: Path) -> None:
    for types in (["Node*"], ["NodeLeave"]):
        path = tmp_path / types[0].strip("*")
        async with house() as h, recording(h, path, types=tuple(types)) as desk:
            bus = await h.bus()
            await bus.publish(phone("1"))
            await bus.publish(phone("2"), stored=True)
            await bus.publish(leave())
            await recorded(desk, 2)
            kinds = [entry.event.kind for entry in (await desk.store.log.read()).entries]
            assert kinds == ["PhoneStatus", "NodeLeave"]


@scenario
async def test_a_stored_event_is_committed_published_and_answered_with_its_log_id(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()
        expires = datetime.now(UTC) + timedelta(hours=1)
        async with await bus.subscribe() as events:
            id_ = await bus.publish(phone("7"), stored=True, properties={"room": "r1"}, expires=expires)
            got = await anext(events.messages())
        (entry,) = (await desk.store.log.read()).entries
        assert str(entry.id) == id_
        assert entry.event.stored
        assert entry.event.user == "admin"
        assert got.event.xml == phone("7").xml == entry.event.xml
        assert got.properties["cloudEvents_id"] == entry.event.event_id
        assert got.properties["clacks_log_id"] == id_
        assert got.properties["clacks_on_behalf_of"] == "admin"
        assert got.properties["room"] == "r1"
        assert entry.event.expires == int(expires.timestamp() * 1000)
        # The recorder is a subscriber, too: its own publication does not come in twice.
        await bus.publish(phone("8"))
        await recorded(desk, 2)
        assert (await desk.store.log.status()).events == 2
        assert await desk.store.log.unpublished() == []


@scenario
async def test_the_same_request_again_gets_the_same_log_id_and_is_published_once(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()
        async with await bus.subscribe() as events:
            arguments: dict[str, Any] = {"data": phone("7").xml.decode(), "id": "mine", "time": 5}
            first = await bus.call("recordEvent", address=LOG, **arguments)
            again = await bus.call("recordEvent", address=LOG, **arguments)
            assert first == again
            await bus.publish(phone("8"))
            assert await callers(events, 2) == ["7", "8"]
        assert len(await events_of(desk)) >= 1


@scenario
async def test_what_may_not_be_published_is_not_recorded(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path) as desk:
        bus, reader = await h.bus(), await h.bus("reader")
        with pytest.raises(CommandRefused) as refused:
            await reader.publish(phone(), stored=True)
        assert refused.value.code == FORBIDDEN
        with pytest.raises(CommandRefused) as refused:
            await bus.call("recordEvent", "<Event/>", address=LOG)
        assert refused.value.code == INVALID_EVENT
        for properties in ({"cloudEvents_id": "x"}, {"clacks_log_id": "1-1"}, {"a": [1]}):
            with pytest.raises(CommandRefused) as refused:
                await bus.call("recordEvent", data=phone().xml.decode(), properties=properties, address=LOG)
            assert refused.value.code == INVALID_PARAMS
        with pytest.raises(ValueError, match="written by the bus itself"):
            await bus.publish(phone(), stored=True, properties={"cloudEvents_id": "x"})
        with pytest.raises(TypeError, match="room"):
            await bus.publish(phone(), stored=True, properties={"room": b"x"})
        assert await events_of(desk) == []


@scenario
async def test_a_second_recorder_with_sqlite_refuses_to_start_and_says_why(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path / "one"):
        with pytest.raises(StoreError, match=r"agent agent1 records the events of org\.clacks already"):
            async with recording(h, tmp_path / "two", user="agent2"):
                pass
        with pytest.raises(StoreError, match=r"in use by process \d+: a domain has one recorder"):
            async with recording(h, tmp_path / "one", user="agent2"):
                pass
    async with house() as h, recording(h, tmp_path / "two", user="agent2") as desk:
        await (await h.bus()).publish(phone(), stored=True)
        assert len(await events_of(desk)) == 1


@scenario
async def test_only_the_questions_of_others_about_the_recorder_are_in_the_audit_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with house() as h, recording(h, tmp_path / "one"):
        assert "getRecorder" not in caplog.text
        with pytest.raises(StoreError):
            async with recording(h, tmp_path / "two", user="agent2"):
                pass
        assert "method=getRecorder result=accepted" in caplog.text


@scenario
async def test_of_two_recorders_that_start_at_once_one_stays(tmp_path: Path) -> None:
    async with house() as h:
        desks = [recording(h, tmp_path / user, user=user) for user in ("agent1", "agent2")]
        begun = await asyncio.gather(*(desk.__aenter__() for desk in desks), return_exceptions=True)
        assert [type(one) for one in begun].count(StoreError) == 1
        for desk, one in zip(desks, begun):
            if isinstance(one, Desk):
                await (await h.bus()).publish(phone(), stored=True)
                assert len(await events_of(one)) == 1
                await desk.__aexit__(None, None, None)


@scenario
async def test_a_full_disk_is_told_to_who_was_promised_and_the_bus_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clacks.common.errors import StoreFull

    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()

        async def full(entries: Any) -> Any:
            raise StoreFull("no room on the disk")

        # What a real full disk does to the store is tests/store/test_sqlite.py; here, what becomes of that.
        append = desk.store.log.append
        monkeypatch.setattr(desk.store, "append", full)
        async with await bus.subscribe() as events:
            with pytest.raises(CommandRefused, match="the event log takes no events: no room") as refused:
                await bus.publish(phone("1"), stored=True)
            assert refused.value.code == UNAVAILABLE
            await bus.publish(phone("2"))
            assert await callers(events, 1) == ["2"]
            await until(lambda: desk.bus.metrics.value("events_dropped", reason="event log") == 1)
            monkeypatch.setattr(desk.store, "append", append)
            await bus.publish(phone("3"), stored=True)
            assert await callers(events, 1) == ["3"]


# -- reading


@scenario
async def test_events_are_read_by_time_type_and_query_page_by_page(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path, limits=Limits(log_page_events=4)) as desk:
        bus = await h.bus()
        ids = [await bus.publish(phone(str(n), "busy" if n % 2 else "free"), stored=True) for n in range(10)]
        await bus.publish(leave(), stored=True)

        async def numbers(**arguments: Any) -> list[str]:
            found = []
            answer = await bus.call("getEvents", address=LOG, **arguments)
            while True:
                found += [
                    caller_of(REGISTRY.receive(entry["xml"])) if entry["type"] == "PhoneStatus" else "leave"
                    for entry in answer["events"]
                ]
                assert len(answer["events"]) <= 4
                if not answer["more"]:
                    return found
                more = {**arguments, "after": answer["next"]}
                if more.pop("afterEvent", None) is not None:
                    more.pop("since")  # it counted only if there were no such event
                answer = await bus.call("getEvents", address=LOG, **more)

        everything = [str(n) for n in range(10)]
        assert await numbers(since="-1h") == [*everything, "leave"]
        assert await numbers(since=ids[7]) == ["8", "9", "leave"]
        assert await numbers(until=ids[1]) == ["0", "1"]
        assert await numbers(since="-1h", until="-1m") == []
        assert await numbers(kinds=["NodeLeave"]) == ["leave"]
        assert await numbers(xquery=PHONE) == everything
        assert await numbers(xquery=f"{PHONE}[f:Status = 'busy']") == ["1", "3", "5", "7", "9"]
        assert await numbers(xquery=f"{PHONE}[f:Status = 'busy']", after=ids[5]) == ["7", "9"]
        assert await numbers(
            xquery="declare variable $cloudEvents_type external; $cloudEvents_type = 'NodeLeave'"
        ) == ["leave"]
        assert await numbers(xquery="error()") == []
        event_id = (await bus.call("getEvents", address=LOG))["events"][2]["id"]
        assert await numbers(afterEvent=event_id, since="2999-01-01") == [*everything[3:], "leave"]
        assert await numbers(afterEvent="unknown", since=ids[8]) == ["9", "leave"]
        assert await numbers(limit=1) == [*everything, "leave"]
        for wrong in (
            {"since": "yesterday"},
            {"until": "x"},
            {"after": "5"},
            {"xquery": "for $"},
            {"limit": 0},
        ):
            with pytest.raises(CommandRefused) as refused:
                await bus.call("getEvents", address=LOG, **wrong)
            assert refused.value.code == INVALID_PARAMS
        assert (await desk.store.log.status()).events == 11


@scenario
async def test_a_reader_gets_only_types_that_it_may_read(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path):
        bus, reader = await h.bus(), await h.bus("reader")
        await bus.publish(leave(), stored=True)
        await bus.publish(phone("1"), stored=True)
        for arguments in ({}, {"kinds": ["NodeLeave", "PhoneStatus"]}, {"xquery": "exists(//*)"}):
            answer = await reader.call("getEvents", address=LOG, **arguments)
            assert [entry["type"] for entry in answer["events"]] == ["PhoneStatus"]
        with pytest.raises(CommandRefused) as refused:
            await reader.call("kvGet", "a", address=LOG)
        assert refused.value.code == FORBIDDEN


@scenario
async def test_a_query_that_costs_too_much_ends_the_page_and_not_the_agent(tmp_path: Path) -> None:
    hostile = "count(for $a in 1 to 100000, $b in 1 to 100000 return $a) = 0"
    async with house() as h, recording(h, tmp_path, limits=Limits(log_scan_seconds=0.1)):
        bus = await h.bus()
        for n in range(50):
            await bus.publish(phone(str(n)), stored=True)
        answer = await bus.call("getEvents", xquery=hostile, address=LOG)
        assert answer["events"] == []


@scenario
async def test_large_and_foreign_documents_come_back_as_they_were(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path):
        bus = await h.bus()
        texts = ["\u20ac" * 150_000, "x" * 900_000, "<&>\"'\U0001f600"]
        for text in texts:
            await bus.publish(phone(text), stored=True)
        async with await bus.subscribe(since="-1h") as events:
            assert await callers(events, 3) == texts


# -- key/value store, backup, pruning


@scenario
async def test_keys_and_values_over_the_bus(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path):
        bus = await h.bus()

        async def call(method: str, *args: Any) -> Any:
            return await bus.call(method, *args, address=LOG)

        assert await call("kvGet", "a") is None
        await call("kvSet", "a", "1")
        await call("kvSet", "ab", "\ud800", 100)
        assert await call("kvGet", "a") == "1"
        assert await call("kvGet", "ab") == "\ud800"
        assert await call("kvKeys", "a") == ["a", "ab"]
        assert await call("kvTtl", "a") == {"exists": True, "seconds": None}
        assert 90 < (await call("kvTtl", "ab"))["seconds"] <= 100
        assert await call("kvTtl", "b") == {"exists": False, "seconds": None}
        assert await call("kvDelete", "a") is True
        assert await call("kvDelete", "a") is False
        for wrong in (("kvSet", "a", "1", -1), ("kvSet", "a", 1)):
            with pytest.raises(CommandRefused) as refused:
                await call(*wrong)
            assert refused.value.code == INVALID_PARAMS
        with pytest.raises(CommandRefused, match="a value has at most") as refused:
            await call("kvSet", "a", "x" * 1_100_000)
        assert refused.value.code == UNAVAILABLE


@scenario
async def test_the_log_is_copied_and_pruned_by_command_while_it_is_in_use(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path) as desk:
        bus = await h.bus()
        for n in range(20):
            await bus.publish(phone(str(n)), stored=True)
        copy = Path(await bus.call("backupLog", "copy.sqlite", address=LOG))
        assert copy == tmp_path / "backups" / "copy.sqlite"
        with pytest.raises(CommandRefused, match="is there already"):
            await bus.call("backupLog", "copy.sqlite", address=LOG)
        for name in ("../x", "/tmp/x", ".x", "a/b", "..", "a\0b"):
            with pytest.raises(CommandRefused, match="without a folder"):
                await bus.call("backupLog", name, address=LOG)
        assert await bus.call("pruneLog", events=5, address=LOG) == 15
        status = await bus.call("getLogStatus", address=LOG)
        assert (status["events"], status["store"]) == (5, "SQLite")
        assert LogId.parse(status["first"]) < LogId.parse(status["last"])
        await bus.publish(phone("20"), stored=True)
        assert (await desk.store.log.status()).events == 6


# -- replay


@scenario
async def test_a_subscription_replays_and_goes_on_live_without_gap_or_double(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path, limits=Limits(log_page_events=50)):
        bus, other = await h.bus(), await h.bus()
        for n in range(300):
            await bus.publish(phone(str(n)), stored=n % 7 == 0)
        going = True

        async def go_on() -> int:
            n = 300
            while going or n < 600:
                await bus.publish(phone(str(n)), stored=n % 7 == 0)
                n += 1
                await asyncio.sleep(0)
            return n

        publishing = asyncio.ensure_future(go_on())
        async with await other.subscribe(PHONE, since="-1h") as events:
            found = await callers(events, 600)
            going = False
            total = await publishing
            found += await callers(events, total - 600)
            # The log and the bus may have another order where both kinds of publishing are mixed.
            assert sorted(found, key=int) == [str(n) for n in range(total)]
            assert events.gaps == ()
            assert events.dropped == 0


@scenario
async def test_replay_begins_after_a_log_id_and_at_a_time(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path):
        bus = await h.bus()
        first = await bus.publish(phone("1"), stored=True)
        await asyncio.sleep(0.01)
        between = datetime.now(UTC)
        await bus.publish(phone("2"), stored=True)
        for since in (first, between, between.isoformat(), LogId.parse(first).ms + 5):
            async with await bus.subscribe(since=since) as events:
                got = await anext(events.messages())
                assert caller_of(got.event) == "2"
                assert got.user == "admin"
                assert got.address == "org.clacks.event.PhoneStatus"
                await bus.publish(phone("live"))
                assert await callers(events, 1) == ["live"]
        async with await bus.subscribe(since=timedelta(hours=1), kinds=["NodeLeave"]) as events:
            await bus.publish(leave())
            assert (await anext(events)).kind == "NodeLeave"


@scenario
async def test_a_slow_reader_makes_the_replay_wait_and_loses_nothing(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path, limits=Limits(log_page_events=20)):
        bus = await h.bus()
        for n in range(200):
            await bus.publish(phone(str(n)), stored=True)
        async with await bus.subscribe(since="-1h", queue_events=10) as events:
            # Much more comes live meanwhile than can be held back.
            for n in range(200, 400):
                await bus.publish(phone(str(n)), stored=True)
            found = []
            while len(found) < 400:
                await asyncio.sleep(0)
                found += await callers(events, 1)
            assert found == [str(n) for n in range(400)]
            assert events.dropped == 0
            assert events.gaps == ()


@scenario
async def test_replay_without_a_recorder_is_refused_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clacks.bus.bus.PATIENCE", 0.2)
    async with house() as h:
        bus = await h.bus()
        with pytest.raises(CommandRefused, match="no agent on this domain records events") as refused:
            await bus.subscribe(since="-1h")
        assert refused.value.code == UNAVAILABLE
        with pytest.raises(CommandRefused, match="no agent on this domain records events"):
            await bus.publish(phone(), stored=True)


@scenario
async def test_who_may_not_read_the_log_is_told_so(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path):
        h.broker.set_rights(h.broker.rights.with_user("reader", ["reads"]))
        bus = await h.bus("reader")
        async with await bus.subscribe(kinds=["PhoneStatus"], since="-1h"):
            pass
        with pytest.raises(CommandRefused, match="no moment"):
            await bus.subscribe(kinds=["PhoneStatus"], since="lately")


@pytest.mark.slow
@scenario
async def test_what_was_missed_while_the_connection_was_away_is_replayed(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path):
        bus, other = await h.bus(), await h.bus()
        async with await other.subscribe(since="-1h", queue_events=5000) as events:
            sent = 0
            for _ in range(3):
                for _ in range(150):
                    await bus.publish(phone(str(sent)), stored=True)
                    sent += 1
                h.cut()
                for _ in range(50):
                    await bus.publish(phone(str(sent)), stored=True)
                    sent += 1
            found = await callers(events, sent)
            assert found == [str(n) for n in range(sent)]
            await bus.publish(phone("end"))
            assert await callers(events, 1) == ["end"]
            assert events.gaps == ()


@pytest.mark.slow
@scenario
async def test_a_gap_is_reported_when_nobody_can_replay_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clacks.bus.bus.PATIENCE", 0.2)
    monkeypatch.setattr("clacks.bus.replaying._PATIENCE", 0.3)
    async with house() as h:
        bus = await h.bus()
        async with recording(h, tmp_path):
            events = await bus.subscribe(since="-1h")
        h.cut()
        await until(lambda: len(events.gaps) == 1)
        other = await h.bus()
        await other.publish(phone("1"))
        assert await callers(events, 1) == ["1"]


@scenario
async def test_what_was_perhaps_not_published_is_published_after_a_restart(tmp_path: Path) -> None:
    async with house() as h:
        bus = await h.bus()
        async with recording(h, tmp_path) as desk:
            remembers, forgets = await bus.subscribe(since="-1h"), await bus.subscribe()
            await bus.publish(phone("1"), stored=True)
            # As if killed between commit and publication:
            confirmed = desk.bus.publish_confirmed

            async def never(*_: Any) -> bool:
                return await asyncio.Future()

            desk.bus.publish_confirmed = never  # type: ignore[method-assign,assignment]
            lost = asyncio.ensure_future(bus.publish(phone("2"), stored=True))
            await recorded(desk, 2)
            del confirmed
            await desk.recorder._services[-1].close(0.0)
        async with recording(h, tmp_path) as desk:
            assert LogId.parse(await lost) > LogId(0, 0)  # the same call, made again by the bus
            assert await callers(remembers, 2) == ["1", "2"]
            await until(lambda: not desk.recorder._doubtful)
            await bus.publish(phone("3"), stored=True)
            assert await callers(remembers, 1) == ["3"]
            assert await callers(forgets, 2) == ["1", "3"]  # perhaps a double: passed over
            assert (await desk.store.log.status()).events == 3


@scenario
async def test_a_bus_that_is_closed_ends_its_replays(tmp_path: Path) -> None:
    async with house() as h, recording(h, tmp_path, limits=Limits(log_page_events=2)):
        bus = await h.bus()
        for n in range(50):
            await bus.publish(phone(str(n)), stored=True)
        async with Bus(h.url(), registry=REGISTRY) as other:
            events = await other.subscribe(since="-1h", queue_events=4)
            assert await callers(events, 3) == ["0", "1", "2"]
        left = [caller_of(event) async for event in events]
        assert left == [str(n) for n in range(3, 3 + len(left))]


@scenario
async def test_send_event_stored_reaches_the_recorder_from_any_agent(tmp_path: Path) -> None:
    from clacks.agent.service import Agent
    from clacks.common.settings import Settings

    rights = tmp_path / "rights.toml"
    rights.write_text('[users.admin]\nroles = ["admin"]\n')
    async with house() as h, recording(h, tmp_path) as desk:
        bus, elsewhere = await h.bus(), await h.bus("agent2")
        async with Agent(elsewhere, REGISTRY, Settings(node="other", rights=rights)):
            id_ = await bus.call("sendEvent", phone("1").xml.decode(), True)
            (entry,) = (await desk.store.log.read(kinds=["PhoneStatus"])).entries
            assert (str(entry.id), entry.event.user) == (id_, "agent2")
        # On the agent that records itself the user is known.
        id_ = await bus.call("sendEvent", data=phone("2").xml.decode(), stored=True, address=LOG)
        entry = (await desk.store.log.read(kinds=["PhoneStatus"])).entries[1]
        assert (str(entry.id), entry.event.user) == (id_, "admin")
