from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import PuppetSettings
from clacks.sources.puppet import PuppetSource, Seen

SCHEMAS = SchemaRegistry(plugins=False)
REAL = (Path(__file__).parent / "data" / "report.yaml").read_bytes()


class Watching:
    """A source that watches a folder, and what it sent."""

    def __init__(self, folder: Path, state: Path | None = None, refuse: int = 0) -> None:
        self.sent: list[Event] = []
        self._refuse = refuse
        settings = PuppetSettings(reports=folder, look_again=0.05)
        self.source = PuppetSource(SCHEMAS, settings, self._publish, state=state)

    async def _publish(self, event: Event) -> bool:
        self._refuse -= 1
        if self._refuse >= 0:
            return False
        self.sent.append(event)
        return True

    async def until(self, condition: Callable[[], bool]) -> None:
        running = asyncio.ensure_future(self.source.run())
        try:
            async with asyncio.timeout(20):
                while not condition():
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.wait([running])


def report(folder: Path, name: str, host: str = "vm", at: int = 0) -> Path:
    file = folder / host / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(REAL.replace(b"host: vm", f"host: {host}".encode()))
    if at:
        os.utime(file, ns=(at, at))
    return file


def hosts(watching: Watching) -> list[str]:
    return [event.to_dict()["Id"] for event in watching.sent]


def test_reports_that_were_there_at_the_first_start_are_not_sent_and_later_ones_are(tmp_path: Path) -> None:
    report(tmp_path / "r", "1.yaml", "old", at=1000)
    watching = Watching(tmp_path / "r")

    async def run() -> None:
        started = asyncio.ensure_future(watching.until(lambda: len(watching.sent) == 2))
        await asyncio.sleep(0.2)
        report(tmp_path / "r", "2.yaml", "one")
        report(tmp_path / "r", "3.yaml", "two")
        (tmp_path / "r" / "one" / "notes.txt").write_text("no report")
        await started

    asyncio.run(run())
    assert sorted(hosts(watching)) == ["one", "two"]


def test_what_came_while_it_did_not_run_is_sent_once(tmp_path: Path) -> None:
    folder, state = tmp_path / "r", tmp_path / "state" / "puppet.json"
    report(folder, "1.yaml", "first", at=1000)
    asyncio.run(Watching(folder, state).until(state.exists))
    report(folder, "2.yaml", "second", at=2000)
    report(folder, "3.yaml", "third", at=2000)
    again = Watching(folder, state)
    asyncio.run(again.until(lambda: len(again.sent) == 2))
    assert hosts(again) == ["second", "third"]
    report(folder, "4.yaml", "fourth", at=2000)
    once_more = Watching(folder, state)
    asyncio.run(once_more.until(lambda: bool(once_more.sent)))
    assert hosts(once_more) == ["fourth"]
    assert json.loads(state.read_text())["time"] == 2000


def test_a_bad_report_is_counted_and_the_next_one_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, state = tmp_path / "r", tmp_path / "puppet.json"
    state.write_text('{"time": 0, "names": []}')
    report(folder, "1.yaml", at=1000).write_bytes(b"[[[")
    report(folder, "2.yaml", "good", at=3 * 10**18)
    watching = Watching(folder, state)
    asyncio.run(watching.until(lambda: bool(watching.sent)))
    assert hosts(watching) == ["good"]
    assert watching.source.refused == 1
    assert "a report cannot be used" in caplog.text


def test_a_report_that_the_bus_did_not_take_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clacks.sources.puppet._AGAIN", 0.01)
    state = tmp_path / "puppet.json"
    state.write_text('{"time": 0, "names": []}')
    report(tmp_path / "r", "1.yaml")
    watching = Watching(tmp_path / "r", state, refuse=3)
    asyncio.run(watching.until(lambda: bool(watching.sent)))
    assert hosts(watching) == ["vm"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = report(tmp_path / "outside", "1.yaml", "secret")
    folder, state = tmp_path / "r", tmp_path / "puppet.json"
    state.write_text('{"time": 0, "names": []}')
    report(folder, "2.yaml", "mine")
    (folder / "mine" / "1.yaml").symlink_to(outside)
    (folder / "evil").symlink_to(outside.parent)
    watching = Watching(folder, state)
    asyncio.run(watching.until(lambda: bool(watching.sent)))
    assert hosts(watching) == ["mine"]


def test_of_two_reports_of_one_moment_both_are_new_until_seen() -> None:
    seen = Seen(5).with_report(7, "a")
    assert seen.new(7, "b")
    assert not seen.new(7, "a")
    assert not seen.new(6, "c")
    assert not seen.with_report(8, "b").new(7, "c")
