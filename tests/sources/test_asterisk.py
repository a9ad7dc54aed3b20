from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from clacks.common.backoff import Backoff
from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import AsteriskSettings
from clacks.sources.asterisk import AsteriskSource
from tests.sources.test_calls import conversation

pytestmark = pytest.mark.net

SCHEMAS = SchemaRegistry(plugins=False)


class Asterisk:
    """A server that speaks the manager interface and plays what it is given to each who logs in."""

    def __init__(self, *plays: bytes, secret: str = "secret", stay: bool = True) -> None:
        self.plays = list(plays)
        self.actions: list[dict[str, str]] = []
        self.logins = 0
        self._secret = secret
        self._stay = stay

    async def __aenter__(self) -> Asterisk:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Asterisk Call Manager/5.0.1\r\n")
        try:
            while True:
                text = (await reader.readuntil(b"\r\n\r\n")).decode()
                action = dict(line.split(": ", 1) for line in text.split("\r\n") if line)
                self.actions.append(action)
                writer.write(self._answer(action))
                if action["Action"] == "Login" and self.logins:
                    if self.plays:
                        writer.write(self.plays.pop(0))
                    await writer.drain()
                    if not self._stay and self.plays:
                        writer.close()
                        return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, action: dict[str, str]) -> bytes:
        id_ = f"ActionID: {action['ActionID']}\r\n" if "ActionID" in action else ""
        if action["Action"] == "Challenge":
            return f"Response: Success\r\n{id_}Challenge: 4711\r\n\r\n".encode()
        if action["Action"] == "Login":
            key = hashlib.md5(f"4711{self._secret}".encode()).hexdigest()
            if action["Key"] != key:
                return f"Response: Error\r\n{id_}Message: Authentication failed\r\n\r\n".encode()
            self.logins += 1
            return f"Response: Success\r\n{id_}Message: Authentication accepted\r\n\r\n".encode()
        if action["Action"] == "QueueSummary" and "Queue" in action:
            summary = f"Event: QueueSummary\r\nQueue: {action['Queue']}\r\nCallers: 3\r\nHoldTime: 7\r\n\r\n"
            return f"Response: Success\r\n{id_}\r\n{summary}".encode()
        return f"Response: Success\r\n{id_}\r\n".encode()


def listen(
    asterisk: Asterisk, until: Callable[[AsteriskSource, list[Event]], bool], **more: Any
) -> list[Event]:
    sent: list[Event] = []

    async def run() -> None:
        async def publish(event: Event) -> None:
            sent.append(event)

        async with asterisk:
            settings = AsteriskSettings(host="127.0.0.1", port=asterisk.port, country="49", area="2932")
            source = AsteriskSource(
                SCHEMAS, settings, "secret", publish, backoff=Backoff(first=0.01, limit=0.05), **more
            )
            running = asyncio.ensure_future(source.run())
            try:
                async with asyncio.timeout(20):
                    while not until(source, sent):
                        assert not running.done(), running
                        await asyncio.sleep(0.01)
            finally:
                running.cancel()
                await asyncio.wait([running])

    asyncio.run(run())
    return sent


def test_a_recorded_call_becomes_events() -> None:
    sent = listen(Asterisk(conversation("answered")), lambda source, sent: len(sent) >= 7)
    assert [event.kind for event in sent].count("PhoneStatus") == 4
    told = [event.to_dict() for event in sent if event.kind == "AsteriskNotification"]
    assert [item["Type"] for item in told] == ["IncomingCall", "IncomingCall", "CallEnded"]
    assert told[0]["Identity"] == "Jane Doe"
    assert told[0]["To"] == ["+492932201"]


def test_how_a_queue_stands_is_asked_when_somebody_joins_it() -> None:
    asterisk = Asterisk(conversation("queue"))
    sent = listen(
        asterisk,
        lambda source, sent: any(event.to_dict().get("Queue", {}).get("Calls") == 3 for event in sent),
    )
    assert {"Action": "QueueSummary", "Queue": "support"} in asterisk.actions
    assert {event.to_dict()["Type"] for event in sent} == {"QueueMemberStatus", "QueueSummary"}


def test_a_lost_connection_is_made_again_and_half_a_call_is_forgotten() -> None:
    whole = conversation("answered")
    half = whole[: whole.index(b"Event: DialEnd")]
    rest = whole[whole.index(b"Event: DialEnd") :]
    asterisk = Asterisk(half, rest + conversation("missed"), stay=False)
    sent = listen(
        asterisk,
        lambda source, sent: any(event.to_dict().get("Type") == "CallMissed" for event in sent),
    )
    assert asterisk.logins == 2
    assert "CallEnded" not in {event.to_dict().get("Type") for event in sent}


def test_garbage_ends_the_connection_and_the_next_one_works(caplog: pytest.LogCaptureFixture) -> None:
    asterisk = Asterisk(b"x" * 100_000, conversation("missed"))
    listen(asterisk, lambda source, sent: any(event.to_dict().get("Type") == "CallMissed" for event in sent))
    assert asterisk.logins == 2
    assert "a line of more than" in caplog.text


def test_a_refused_login_is_said_and_not_tried_in_a_storm(caplog: pytest.LogCaptureFixture) -> None:
    asterisk = Asterisk(secret="another")
    listen(asterisk, lambda source, sent: "refuses the login" in caplog.text)
    assert asterisk.logins == 0
    assert len([action for action in asterisk.actions if action["Action"] == "Login"]) == 1
    assert "Authentication failed" in caplog.text
    assert "secret" not in caplog.text


def test_an_asterisk_that_fell_silent_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    class Silent(Asterisk):
        def _answer(self, action: dict[str, str]) -> bytes:
            return b"" if action["Action"] == "Ping" else super()._answer(action)

    asterisk = Silent()
    listen(asterisk, lambda source, sent: source.connections == 2, ping=0.05)
    assert {"Action": "Ping"} in asterisk.actions
    assert "it fell silent" in caplog.text


def test_what_no_event_can_hold_is_counted_and_the_rest_goes_on() -> None:
    hostile = conversation("answered").replace(b"Jane Doe", b"Ja\x01ne") + conversation("missed")
    sources: list[AsteriskSource] = []

    def until(source: AsteriskSource, sent: list[Event]) -> bool:
        sources.append(source)
        return any(event.to_dict().get("Type") == "CallMissed" for event in sent)

    listen(Asterisk(hostile), until)
    assert sources[-1].refused == 3
