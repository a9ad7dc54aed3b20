from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from clacks.common.errors import ConnectionFailed, SettingsError
from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import CollectdSettings
from clacks.sources.collectd import CollectdSource
from clacks.sources.outbox import Outbox
from tests.sources.test_collectd_packets import IF, LOAD, part, text

SCHEMAS = SchemaRegistry(plugins=False)


def take(packets: list[bytes], **settings: object) -> tuple[list[Event], CollectdSource]:
    sent: list[Event] = []

    async def run() -> CollectdSource:
        async def publish(event: Event) -> None:
            sent.append(event)

        source = CollectdSource(SCHEMAS, CollectdSettings(**settings), publish)  # type: ignore[arg-type]
        running = asyncio.ensure_future(source._outbox.run())
        for packet in packets:
            source.take(packet, "192.0.2.1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        return source

    return sent, asyncio.run(run())


def test_a_measurement_becomes_an_event() -> None:
    sent, source = take([LOAD + IF])
    assert source.refused == 0
    assert sent[0].to_dict() == {
        "Host": "desk-1",
        "Plugin": "load",
        "Type": "load",
        "Time": 1_700_000_000.0,
        "Interval": 10,
        "Values": [0.5, 0.25, 0.125],
    }
    assert sent[1].to_dict()["PluginInstance"] == "eth0"


def test_plugins_that_nobody_wants_are_left_out() -> None:
    sent, source = take([LOAD + IF], plugins=("inter*",))
    assert [event.to_dict()["Plugin"] for event in sent] == ["interface"]
    assert source.refused == 0


def test_hostile_packets_and_names_are_counted_and_the_next_one_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    evil = text(0, "a\x01b") + LOAD[len(text(0, "desk-1")) :]
    bare = part(6, b"\0\1\1" + b"\0" * 8)
    sent, source = take([b"\xff" * 1400, evil, bare, b"", LOAD])
    assert source.refused == 3
    assert len(sent) == 1
    assert "a packet was refused" in caplog.text
    assert "192.0.2.1" in caplog.text


def test_a_flood_is_bounded_and_what_is_lost_is_counted() -> None:
    (event,), _ = take([LOAD])

    async def run() -> Outbox:
        async def publish(event: Event) -> None: ...

        outbox = Outbox(publish, most=50)
        for _ in range(1000):
            outbox.put(event)
        return outbox

    assert asyncio.run(run()).dropped == 950


@pytest.mark.net
def test_a_port_that_is_taken_and_missing_passwords_are_said(tmp_path: Path) -> None:
    async def run() -> None:
        async def publish(event: Event) -> None: ...

        with pytest.raises(ConnectionFailed, match="cannot listen on UDP"):
            await CollectdSource(SCHEMAS, CollectdSettings(host="192.0.2.254"), publish).run()
        with pytest.raises(SettingsError, match="needs passwords"):
            await CollectdSource(SCHEMAS, CollectdSettings(security="sign"), publish).run()
        with pytest.raises(SettingsError, match="No such file"):
            await CollectdSource(SCHEMAS, CollectdSettings(passwords=tmp_path / "no"), publish).run()

    asyncio.run(run())


CONFIGURATION = """
Hostname "desk-1"
BaseDir "{folder}"
PIDFile "{folder}/pid"
TypesDB "/usr/share/collectd/types.db"
Interval 0.5
LoadPlugin logfile
<Plugin logfile>
  File "{folder}/log"
</Plugin>
LoadPlugin load
LoadPlugin memory
LoadPlugin network
<Plugin network>
  <Server "127.0.0.1" "{port}">
    {security}
  </Server>
</Plugin>
"""


@pytest.mark.net
@pytest.mark.tool
@pytest.mark.slow
@pytest.mark.parametrize("security", ["none", "sign", "encrypt"])
def test_the_real_daemon_is_understood(security: str, tmp_path: Path) -> None:
    program = shutil.which("collectd", path="/usr/sbin:/usr/bin:/sbin")
    assert program, "collectd is missing: make setup-tools"
    (tmp_path / "users").write_text("jane: secret\n")
    lines = {
        "none": "",
        "sign": 'SecurityLevel Sign\nUsername "jane"\nPassword "secret"',
        "encrypt": 'SecurityLevel Encrypt\nUsername "jane"\nPassword "secret"',
    }

    async def run() -> None:
        heard: dict[str, Event] = {}
        both = asyncio.Event()

        async def publish(event: Event) -> None:
            heard[event.to_dict()["Plugin"]] = event
            if {"load", "memory"} <= set(heard):
                both.set()

        settings = CollectdSettings(host="127.0.0.1", port=0, security=security, passwords=tmp_path / "users")
        source = CollectdSource(SCHEMAS, settings, publish)
        running = asyncio.ensure_future(source.run())
        async with asyncio.timeout(30):
            while not source.port:
                await asyncio.sleep(0.01)
        configuration = tmp_path / "collectd.conf"
        configuration.write_text(
            CONFIGURATION.format(folder=tmp_path, port=source.port, security=lines[security])
        )
        daemon = subprocess.Popen([program, "-f", "-C", str(configuration)], stderr=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(30):
                await both.wait()
        finally:
            daemon.terminate()
            await asyncio.to_thread(daemon.wait, 20)
            running.cancel()
        load = heard["load"].to_dict()
        assert (load["Host"], load["Type"], load["Interval"]) == ("desk-1", "load", 0.5)
        assert len(load["Values"]) == 3
        memory = heard["memory"].to_dict()["TypeInstance"]
        assert memory in (
            "used",
            "free",
            "cached",
            "buffered",
            "slab_recl",
            "slab_unrecl",
        )
        assert source.refused == 0

    asyncio.run(run())
