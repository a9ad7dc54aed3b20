from __future__ import annotations

import asyncio
import platform
from pathlib import Path

import psutil
import pytest

from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import HostSettings
from clacks.sources import host
from clacks.sources.host import HostSource, read_pools
from clacks.sources.host_readings import Counters, StateWatch, differences, parse_pools, state_event

SCHEMAS = SchemaRegistry(plugins=False)

# As printed by OpenZFS 2.1, by ZFS on Linux 0.7 and on FreeBSD.
OPENZFS = """\
NAME    SIZE  ALLOC   FREE  CKPOINT  EXPANDSZ   FRAG    CAP  DEDUP    HEALTH  ALTROOT
rpool   107G  12.8G  94.2G        -         -     3%    11%  1.00x    ONLINE  -
tank   21.8T  20.1T  1.70T        -     16.0E    41%    92%  1.00x  DEGRADED  /mnt
"""
OLD = """\
NAME   SIZE  ALLOC   FREE  EXPANDSZ   FRAG    CAP  DEDUP  HEALTH  ALTROOT
data  1.81T   603G  1.22T         -    12%    32%  1.00x  ONLINE  -
"""


def test_what_zpool_prints_is_read_whatever_its_columns() -> None:
    rpool, tank = parse_pools(OPENZFS)
    assert (rpool.name, rpool.columns["Size"], rpool.columns["Capacity"]) == ("rpool", "107G", "11%")
    assert (tank.columns["Health"], tank.columns["ExpandSz"], tank.columns["AltRoot"]) == (
        "DEGRADED",
        "16.0E",
        "/mnt",
    )
    (data,) = parse_pools(OLD)
    assert (data.columns["Frag"], data.columns["Dedup"], data.columns["AltRoot"]) == ("12%", "1.00x", "-")


def test_without_pools_and_with_nonsense_there_are_none() -> None:
    assert parse_pools("no pools available\n") == ()
    assert parse_pools("") == ()
    assert parse_pools("NAME SIZE\nonly-one-word\n") == ()
    assert [pool.name for pool in parse_pools(OLD.replace("data ", "my old data "))] == ["my old data"]


def test_a_pool_in_trouble_or_nearly_full_raises_the_priority() -> None:
    told = state_event(SCHEMAS, "nas", parse_pools(OPENZFS)).to_dict()
    assert told["Priority"] == 6
    assert [pool.get("Priority") for pool in told["Pool"]] == [None, 6]
    assert told["Pool"][1]["@name"] == "tank"
    assert "HostnameChanged" not in told
    full = parse_pools(OLD.replace("32%", "95%"))
    assert full[0].priority == 3
    assert parse_pools(OLD.replace("ONLINE", "SUSPENDED"))[0].priority == 10


def test_a_state_is_due_at_first_after_the_interval_and_at_each_change() -> None:
    watch = StateWatch(900.0)
    pools = parse_pools(OLD)
    assert watch.due("a", pools, 0.0) is False
    assert watch.due("a", parse_pools(OLD.replace("603G", "604G")), 10.0) is None
    assert watch.due("a", parse_pools(OLD.replace("ONLINE", "FAULTED")), 20.0) is False
    assert watch.due("b", parse_pools(OLD.replace("ONLINE", "FAULTED")), 30.0) is True
    assert watch.due("b", parse_pools(OLD.replace("ONLINE", "FAULTED")), 929.0) is None
    assert watch.due("b", parse_pools(OLD.replace("ONLINE", "FAULTED")), 930.0) is False


def test_differences_are_those_since_the_reading_before() -> None:
    before = {"eth0": Counters(100, 50), "gone": Counters(1, 1), "anew": Counters(500, 500)}
    now = {"eth0": Counters(130, 50), "new": Counters(7, 7), "anew": Counters(20, 600)}
    assert differences(before, now) == {
        "eth0": Counters(30, 0),
        "new": Counters(0, 0),
        "anew": Counters(20, 100),
    }


def test_the_events_of_this_machine_are_true() -> None:
    async def nothing(event: Event) -> None: ...

    async def run() -> tuple[Event, Event, Event | None]:
        source = HostSource(SCHEMAS, HostSettings(zpool=""), nothing)
        return await source.realtime(), await source.status(0.25), await source.state()

    realtime, status, state = asyncio.run(run())
    told = realtime.to_dict()
    assert told["VirtualMemory"]["Total"] == psutil.virtual_memory().total
    assert len(told["Cpu"]["Usage"]) == psutil.cpu_count()
    assert {item["@name"] for item in told["Interface"]} == set(psutil.net_io_counters(pernic=True))
    assert status.to_dict()["Latency"] == 0.25
    assert status.to_dict()["Id"] == platform.node()
    assert state is not None
    assert state.to_dict() == {"Hostname": platform.node(), "Pool": [], "Priority": 0}


def test_temperatures_are_told_by_core(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sensor:
        def __init__(self, label: str, current: float) -> None:
            self.label, self.current = label, current

    sensors = {
        "coretemp": [Sensor("Package id 0", 50.0), Sensor("Core 0", 41.5), Sensor("Core 1", 42.0)],
        "nvme": [Sensor("Composite", 35.0)],
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors, raising=False)
    assert host.read_temperatures() == {"0": 41.5, "1": 42.0}


@pytest.mark.slow
def test_pools_come_from_the_program_and_one_that_hangs_or_is_missing_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = tmp_path / "zpool"
    recorded.write_text(f"#!/bin/sh\n[ \"$1\" = list ] && cat <<'END'\n{OPENZFS}END\n")
    recorded.chmod(0o755)
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(host, "_ZPOOL_TIME", 0.3)

    async def run() -> None:
        assert [pool.name for pool in await read_pools(str(recorded))] == ["rpool", "tank"]
        assert await read_pools(str(stuck)) == ()
        assert await read_pools("no-such-zpool") == ()

    asyncio.run(run())


@pytest.mark.slow
def test_it_tells_as_often_as_it_should() -> None:
    sent: list[str] = []

    async def publish(event: Event) -> None:
        sent.append(event.kind)

    async def run() -> None:
        source = HostSource(SCHEMAS, HostSettings(realtime=0.1, zpool=""), publish)
        running = asyncio.ensure_future(source.run())
        async with asyncio.timeout(20):
            while sent.count("RealtimeReport") < 3:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(run())
    assert sent.count("SystemState") == 1
    assert "NodeStatus" not in sent, "an agent sends its own"
