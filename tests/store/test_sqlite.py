from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clacks.common.errors import StoreError, StoreFull
from clacks.common.limits import Limits
from clacks.store import LogId, Retention, open_store
from clacks.store.sqlite import SqliteStore
from tests.store.stores import Clock, SqliteKind, entry, scenario


@pytest.fixture
def kind(tmp_path: Path) -> SqliteKind:
    return SqliteKind(tmp_path / "log.sqlite")


@scenario
async def test_ids_do_not_repeat_when_the_clock_goes_back_even_over_a_restart(kind: SqliteKind) -> None:
    clock = Clock(2000.0)
    async with kind.store(clock) as store:
        (first,) = await store.log.append([entry(1)])
        clock.now = 1000.0
        (second,) = await store.log.append([entry(2)])
        assert (first.id, second.id) == (LogId(2_000_000, 0), LogId(2_000_000, 1024))
        await store.log.prune(Retention(events=0), 2_000_000)
    async with kind.store(clock) as store:  # everything was pruned, the last id is known all the same
        (third,) = await store.log.append([entry(3)])
        assert third.id == LogId(2_000_000, 2048)


@scenario
async def test_expired_events_and_values_go_when_it_is_pruned(kind: SqliteKind) -> None:
    clock = Clock(1000.0)
    async with kind.store(clock, Limits(kv_keys=2)) as store:
        await store.log.append([entry(1, expires=1_500_000), entry(2)])
        await store.values.set("a", "1", 500)
        clock.now = 1501.0
        assert (await store.log.read()).entries[0].event == entry(2)
        assert await store.log.prune(Retention(), 1_501_000) == 1
        assert (await store.log.status()).events == 1
        # Room is made before anybody is refused.
        await store.values.set("b", "1", 1)
        clock.now = 1503.0
        await store.values.set("c", "1")
        await store.values.set("d", "1")
        with pytest.raises(StoreFull, match="2 keys"):
            await store.values.set("e", "1")
        await store.values.set("c", "2")
        await store.values.delete("d")
        await store.values.set("e", "1")


@scenario
async def test_values_together_have_a_bound(kind: SqliteKind) -> None:
    async with kind.store(limits=Limits(kv_bytes=20)) as store:
        await store.values.set("a", "x" * 10)
        with pytest.raises(StoreFull, match="11 bytes"):
            await store.values.set("b", "x" * 10)
        await store.values.set("a", "x")
        await store.values.set("b", "x" * 10)


@scenario
async def test_the_file_is_for_its_owner_alone(kind: SqliteKind, monkeypatch: pytest.MonkeyPatch) -> None:
    os.umask(0)
    async with kind.store() as store:
        await store.log.append([entry(1)])
        modes = {path.name: path.stat().st_mode & 0o777 for path in kind.path.parent.iterdir()}
        copy = kind.path.with_name("copy")
        await store.backup(copy)
        assert copy.stat().st_mode & 0o777 == 0o600
    os.umask(0o022)
    assert set(modes.values()) == {0o600}, modes
    assert "log.sqlite-wal" in modes


@scenario
async def test_two_stores_on_one_file_are_refused(kind: SqliteKind) -> None:
    async with kind.store():
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
            await kind.store().start()
    async with kind.store():
        pass


@scenario
async def test_what_is_no_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    other, broken, newer = (tmp_path / name for name in ("other", "broken", "newer"))
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine(a)")
    broken.write_bytes(b"no database" * 1000)
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    for path in (other, broken, newer):
        before = path.read_bytes()
        with pytest.raises(StoreError):
            await open_store(path).start()
        assert path.read_bytes() == before
    with pytest.raises(StoreError, match="File exists"):
        await open_store(other / "log").start()


def test_addresses_that_mean_no_store_are_refused(tmp_path: Path) -> None:
    for address in ("", "sqlite:", ":memory:", "mysql:x"):
        with pytest.raises(StoreError):
            open_store(address)
    with pytest.raises(StoreError, match="full or normal"):
        SqliteStore(tmp_path / "a", sync="off")
    assert open_store("redis://user:secret@host/1").where == "redis://host/1"


@scenario
async def test_a_copy_is_whole_while_others_write(kind: SqliteKind, tmp_path: Path) -> None:
    async with kind.store() as store:
        await store.log.append([entry(n) for n in range(2000)])
        await store.values.set("a", "1")
        going = True

        async def write() -> int:
            n = 2000
            while going:
                await store.log.append([entry(n)])
                n += 1
            return n

        writing = asyncio.ensure_future(write())
        await asyncio.sleep(0)
        copies = [tmp_path / f"copy{n}.sqlite" for n in range(5)]
        for path in copies:
            await store.backup(path)
        going = False
        last = await writing
        assert last > 2000
        with pytest.raises(StoreError, match="is there already"):
            await store.backup(copies[0])
        with pytest.raises(StoreError, match="No such file"):
            await store.backup(tmp_path / "no" / "copy")
    for path in copies:
        async with open_store(path) as copy:
            found = (await copy.log.read(limit=100_000)).entries
            assert [item.event for item in found] == [entry(n) for n in range(len(found))]
            assert len(found) >= 2000
            assert await copy.values.get("a") == "1"
    assert not list(tmp_path.glob(".*part"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 4 MB, or skip where nobody may make one: not root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk; the limit on file sizes below tests the same path")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def fill(store: object, start: int = 0) -> int:
    """Append until there is no room; return how many were."""
    n = start
    filler = {"fill": "x" * 20_000}
    while n < start + 10_000:
        try:
            await store.log.append([entry(n, properties=filler)])  # type: ignore[attr-defined]
        except StoreFull:
            return n
        n += 1
    raise AssertionError("there is room for everything")


@scenario
async def test_a_full_disk_is_said_and_survived(small_disk: Path) -> None:
    async with open_store(small_disk / "log.sqlite") as store:
        n = await fill(store)
        assert n > 50
        with pytest.raises(StoreFull):
            await store.values.set("a", "x" * 100_000)
        assert len((await store.log.read(limit=1000)).entries) > 20
        (small_disk / "log.sqlite").stat()
        # With room again it goes on, without a restart.
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        answers = await store.log.append([entry(n)])
        assert not answers[0].known
        found = (await store.log.read(limit=1000, size=10**9)).entries
        assert [item.event.event_id for item in found] == [f"id-{i}" for i in range(n + 1)]


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from tests.store.test_sqlite import fill
from clacks.store import open_store
async def main():
    async with open_store(Path(sys.argv[1])) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        n = await fill(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(n, await fill_again(store, n))
async def fill_again(store, n):
    from tests.store.stores import entry
    await store.log.append([entry(n)])
    return (await store.log.status()).events
asyncio.run(main())
"""


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_said_and_survived(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "log.sqlite")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    n, events = (int(word) for word in done.stdout.split())
    assert n > 10
    assert events == n + 1


WRITER = """
import asyncio, sys
from pathlib import Path
from clacks.store import open_store
from tests.store.stores import entry
async def main():
    start = int(sys.argv[2])
    async with open_store(Path(sys.argv[1]), sync="normal") as store:
        async def one(n):
            (answer,) = await store.log.append([entry(n, stored=True)])
            sys.stdout.write(f"{n} {answer.id}\\n")
            sys.stdout.flush()
        n = start
        while True:
            await asyncio.gather(*(one(n + i) for i in range(20)))
            n += 20
asyncio.run(main())
"""


@pytest.mark.slow
@scenario
async def test_nothing_answered_is_lost_by_kill_9_and_ids_never_repeat(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    answered: dict[int, LogId] = {}
    for round_ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round_ * 1_000_000)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(150 + 37 * round_)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines()
        process.wait()
        for line in [*lines, *rest]:
            if line.endswith("\n") or line in rest[:-1]:
                number, id_ = line.split()
                answered[int(number)] = LogId.parse(id_)
    assert len(answered) > 1000
    assert len(set(answered.values())) == len(answered)
    async with open_store(path) as store:
        found = {}
        page = await store.log.read(limit=10_000)
        while True:
            found.update({int(item.event.event_id[3:]): item.id for item in page.entries})
            if not page.more:
                break
            page = await store.log.read(after=page.next, limit=10_000)
        assert {n: found.get(n) for n in answered} == answered
        told = {item.id for item in await store.log.unpublished()}
        assert told == set(found.values())  # nobody ever said that one was published
