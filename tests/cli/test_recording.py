"""The event log of ``clacks up``, and what is left of it when that is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from clacks.bus import Bus
from clacks.common.components import AMQPEventConsumer
from clacks.common.errors import BusError, CommandError
from clacks.store import LogId
from tests.bus.house import REGISTRY, caller_of, phone
from tests.cli.processes import clacks, running

pytestmark = [pytest.mark.slow, pytest.mark.net]

ARGUMENTS = ("--tls-port", "0", "--user", "admin:secret")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_up_records_and_the_log_is_seen_replayed_copied_and_pruned(tmp_path: Path) -> None:
    with running("up", "--port", "0", *ARGUMENTS, home=tmp_path) as up:
        login = {"CLACKS_URL": up.url("amqp", "admin"), "CLACKS_PASSWORD": "secret"}
        for n in range(3):
            sent = ("PhoneStatus", f"CallerId={n}", "ReceiverId=2", "Status=busy")
            assert clacks("send", *sent, home=tmp_path, **login).returncode == 0
        listening = ("listen", "--since", "-1h", "-n", "3", "-f", "json", "--type", "PhoneStatus")
        heard = clacks(*listening, home=tmp_path, **login)
        assert [json.loads(line)["PhoneStatus"]["CallerId"] for line in heard.stdout.splitlines()] == [
            "0",
            "1",
            "2",
        ]
        got: list[str] = []
        with AMQPEventConsumer(
            up.url("amqp", "admin:secret"),
            xquery="declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus",
            callback=lambda data: got.append(str(data.PhoneStatus.CallerId)),
            since="-1h",
        ) as consumer:
            for _ in range(1000):
                if len(got) == 3:
                    break
                consumer.join(0.01)
        assert got == ["0", "1", "2"]
        wrong = clacks("listen", "--since", "lately", home=tmp_path, **login)
        assert (wrong.returncode, wrong.stdout) == (8, "")
        assert "no moment" in wrong.stderr
        copy = clacks("log", "backup", "copy.sqlite", home=tmp_path, **login)
        assert Path(copy.stdout.strip()).is_file()
        assert (
            clacks("log", "prune", "--older-than", "1h", home=tmp_path, **login).stderr
            == "removed 0 events\n"
        )
        assert clacks("log", "prune", "--keep-events", "1", home=tmp_path, **login).returncode == 0
        status = json.loads(clacks("log", "status", home=tmp_path, **login).stdout)
        assert 1 <= status["events"] <= 3  # the agent's own status may have come
        bad = clacks("log", "prune", "--older-than", "soon", home=tmp_path, **login)
        assert (bad.returncode, "--older-than" in bad.stderr) == (2, True)


def test_up_without_a_log_says_so(tmp_path: Path) -> None:
    with running("up", "--port", "0", *ARGUMENTS, "--no-record", home=tmp_path) as up:
        login = {"CLACKS_URL": up.url("amqp", "admin"), "CLACKS_PASSWORD": "secret"}
        refused = clacks("listen", "--since", "-1h", home=tmp_path, **login)
        assert refused.returncode == 8
        assert "no agent on this domain records events" in refused.stderr
        assert not list(tmp_path.rglob("log.sqlite"))


def test_nothing_stored_is_missing_or_doubled_when_everything_is_killed(tmp_path: Path) -> None:
    """Broker, agent and recorder are one process here: all of it is killed, again and again."""
    port = free_port()
    arguments = ("up", "--port", str(port), *ARGUMENTS)
    url = f"amqp://admin:secret@127.0.0.1:{port}/org.clacks"
    answered: dict[str, LogId] = {}
    received: list[str] = []

    async def clients(up: object, rounds: int) -> None:
        nonlocal running_now
        number = 0
        ending = False

        async def publish(bus: Bus) -> None:
            nonlocal number
            while not ending:
                number += 1
                name = str(number)
                try:
                    answered[name] = LogId.parse(await bus.publish(phone(name), stored=True))
                except (CommandError, BusError):
                    await asyncio.sleep(0.05)  # not answered: nothing is promised

        async def receive(bus: Bus) -> None:
            async with await bus.subscribe(
                kinds=["PhoneStatus"], since="-1h", queue_events=100_000
            ) as events:
                async for event in events:
                    received.append(caller_of(event))

        async with Bus(url, registry=REGISTRY) as sender, Bus(url, registry=REGISTRY) as receiver:
            listening = asyncio.ensure_future(receive(receiver))
            publishing = [asyncio.ensure_future(publish(sender)) for _ in range(4)]
            for _ in range(rounds):
                before = len(answered)
                while len(answered) < before + 200:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(kill_and_start)
            before = len(answered)
            while len(answered) < before + 50:
                await asyncio.sleep(0.01)
            ending = True
            await asyncio.gather(*publishing)
            async with asyncio.timeout(60):
                while not set(answered) <= set(received):
                    await asyncio.sleep(0.02)
            listening.cancel()

    running_now = running(*arguments, home=tmp_path)
    service = running_now.__enter__()

    def kill_and_start() -> None:
        nonlocal running_now, service
        service.process.send_signal(signal.SIGKILL)
        running_now.__exit__(None, None, None)
        running_now = running(*arguments, home=tmp_path)
        service = running_now.__enter__()

    try:
        asyncio.run(clients(service, 2))
    finally:
        running_now.__exit__(None, None, None)
    assert len(set(answered.values())) == len(answered)
    assert len(received) == len(set(received))
