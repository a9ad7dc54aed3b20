"""What strangers send: each is answered or cut off, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import struct
import time
from dataclasses import replace

import aiohttp
import pytest

from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.rights import parse_rights
from clacks.dialects.access import RateLimit
from tests.gateway.served import LIMIT, REGISTRY, RIGHTS, Served, gateway, phone, scenario, until

pytestmark = [pytest.mark.net, pytest.mark.slow]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Raw:
    """A socket that may say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def rest(self) -> bytes:
        """Return everything until the peer closes."""
        async with asyncio.timeout(LIMIT):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    async def frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(LIMIT):
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            return head[0], await self.reader.readexactly(length)


async def raw(served: Served) -> Raw:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    served.stack.callback(writer.close)
    return Raw(reader, writer)


async def upgraded(served: Served) -> Raw:
    made = await raw(served)
    key = base64.b64encode(os.urandom(16)).decode()
    made.writer.write(
        f"GET /eventhub HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: {served.token()}\r\n\r\n".encode()
    )
    await made.reader.readuntil(b"\r\n\r\n")
    return made


def frame(first: int, data: bytes) -> bytes:
    size = len(data)
    head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0x80 | 126)) + struct.pack("!H", size)
    return head + bytes(4) + data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0x81, b"\xff\xfe"), 1007),
        (frame(0x83, b"x"), 1002),
        (frame(0xC1, b"x"), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x09, b"x"), 1002),
        (b"\x81\xff" + struct.pack("!Q", 1 << 62) + bytes(4), 1009),
        (b"\x81\xff" + struct.pack("!Q", 9_000_000) + bytes(4), 1009),
    ],
    ids=["invalid UTF-8", "opcode", "reserved bit", "continuation", "fragmented ping", "huge", "oversize"],
)
def test_a_malformed_frame_fails_that_connection_alone(data: bytes, code: int) -> None:
    @scenario
    async def test() -> None:
        async with gateway() as served:
            other = await served.connect()
            bad = await upgraded(served)
            bad.writer.write(data)
            first, payload = await bad.frame()
            assert first == 0x88
            assert struct.unpack("!H", payload[:2])[0] == code
            assert (await other.ask("ping"))["result"]["pong"] > 0

    test()


@scenario
async def test_a_flood_of_subscriptions_ends_at_the_limit() -> None:
    async with gateway(limits=replace(DEFAULT_LIMITS, web_subscriptions=5)) as served:
        client = await served.connect()
        for number in range(5):
            assert "result" in await client.ask("subscribe", topic=f"t/{number}")
        assert (await client.ask("subscribe", topic="t/6"))["error"]["data"] == "too many subscriptions"
        assert "result" in await client.ask("subscribe", topic="t/0")
        await client.ask("unsubscribe", ["t/1"])
        assert "result" in await client.ask("subscribe", topic="t/6")


@scenario
async def test_publishing_over_the_rate_limit_is_said_and_not_delivered() -> None:
    async with gateway() as served:
        reader = await served.connect()
        await reader.ask("subscribe", topic="a/#")
        writer = await served.connect(limits=[RateLimit("a/#", 1000.0, 2)])
        again = await served.connect(limits=[RateLimit("a/#", 1000.0, 2)])
        states = [
            (await who.ask("publish", topic="a/b", message="m"))["result"]["status"]
            for who in (writer, again, writer)
        ]
        assert states == ["ok", "ok", "ERR_RATE_LIMIT_EXCEEDED"]
        await writer.ask("publish", topic="other", message="m")
        assert [(await reader.message())["result"]["topic"] for _ in range(2)] == ["a/b", "a/b"]
        assert (await reader.ask("ping"))["result"]
        assert not reader.heard


@pytest.mark.parametrize("how", ["none", "bad", "expired", "no topics"])
def test_a_handshake_without_a_good_token_is_401(how: str) -> None:
    @scenario
    async def test() -> None:
        async with gateway() as served:
            headers = {
                "none": {},
                "bad": {"Authorization": "bad"},
                "expired": {"Authorization": served.token(seconds=-1)},
                "no topics": {"Authorization": served.token(read=None, write=None)},
            }[how]
            for path in ("/eventhub", f"/eventhub?auth={'bad' if headers else ''}"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await served.http.ws_connect(served.url(path), headers=headers)
                assert refused.value.status == 401
            accept = {**headers, "Accept": "text/event-stream"}
            async with served.http.get(served.url("/eventhub/a"), headers=accept) as answer:
                assert answer.status == 401

    test()


@scenario
async def test_an_expired_token_ends_its_connection() -> None:
    async with gateway() as served:
        client = await served.connect(seconds=1.5)
        await client.ask("subscribe", topic="a")
        assert await client.closed() == 1008


@scenario
async def test_a_token_never_gives_more_than_its_user_has() -> None:
    async with gateway() as served:
        bob = await served.connect(user="bob")
        assert "result" in await bob.ask("subscribe", topic="a")
        assert (await bob.ask("publish", topic="a", message="m"))["error"][
            "data"
        ] == "Insufficient access to topic: a"
        guest = await served.connect(user=None)
        assert "result" in await guest.ask("publish", topic="a", message="m")
        why = await guest.ask("subscribe", topic="events/PhoneStatus")
        assert why["error"]["data"] == "You are not allowed to subscribe to topic: events/PhoneStatus"


@scenario
async def test_rights_are_asked_for_each_event_also_behind_a_pattern() -> None:
    async with gateway() as served:
        ann, bob = await served.connect(user="ann"), await served.connect(user="bob")
        for client in (ann, bob):
            await client.ask("subscribe", topic="events/#")
            await client.ask("subscribe", topic="#")
        await served.bus.publish(REGISTRY.from_dict("ClientPing", {"Id": "1"}))
        await served.bus.publish(phone("1"))
        assert (await ann.message())["result"]["topic"] == "events/PhoneStatus"
        served.rights[0] = parse_rights(
            '[users.ann]\nroles=["none"]\n[roles.none]\ncommands=["x"]\n[users.bob]\nroles=["reader"]'
        )
        await served.bus.publish(phone("2"))
        topics = [(await bob.message())["result"]["topic"] for _ in range(3)]
        assert topics == ["events/ClientPing", "events/PhoneStatus", "events/PhoneStatus"]
        assert (await ann.ask("ping"))["result"]
        assert not ann.heard


@scenario
async def test_a_typed_event_is_published_only_if_it_is_valid_and_allowed() -> None:
    async with gateway() as served:
        ann = await served.connect(user="ann")
        await ann.ask("subscribe", topic="events/PhoneStatus")
        good = json.dumps({"CallerId": "1", "ReceiverId": "2", "Status": "busy"})
        assert "result" in await ann.ask("publish", topic="events/PhoneStatus", message=good)
        assert json.loads((await ann.message())["result"]["message"])["Status"] == "busy"
        for topic, text in [
            ("events/PhoneStatus", "{}"),
            ("events/PhoneStatus", "no JSON"),
            ("events/PhoneStatus", "[" * 5000),
            ("events/Nothing", "{}"),
            ("events/TopicMessage", good),
            ("events/ClientPing", '{"Id": "1"}'),
        ]:
            assert "error" in await ann.ask("publish", topic=topic, message=text), topic
        admin = await served.connect(user="admin")
        assert "result" in await admin.ask("publish", topic="events/ClientPing", message='{"Id": "1"}')
        served.rights[0] = parse_rights(RIGHTS.replace('"PhoneStatus"]', '"PhoneStatus", "ClientPing"]'))
        spoofed = await ann.ask("publish", topic="events/ClientPing", message='{"Id": "1"}')
        assert "error" in spoofed  # the type is allowed, to speak as client 1 is not
        narrow = await served.connect(user="ann", write=["a"])
        assert "error" in await narrow.ask("publish", topic="events/PhoneStatus", message=good)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example.com"}, {"Host": "evil.example.com"}])
@pytest.mark.parametrize("no_auth", [False, True])
def test_a_foreign_page_is_refused_also_without_logins(headers: dict[str, str], no_auth: bool) -> None:
    @scenario
    async def test() -> None:
        async with gateway(no_auth=no_auth) as served:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await served.http.ws_connect(
                    served.url("/eventhub"), headers={"Authorization": served.token(), **headers}
                )
            assert refused.value.status in (403, 421)

    test()


@scenario
async def test_without_logins_everybody_is_a_guest_whatever_the_token() -> None:
    async with gateway(no_auth=True) as served:
        client = await served.connect(headers={"Authorization": "nonsense"})
        assert "result" in await client.ask("subscribe", topic="a")
        assert (await client.ask("publish", topic="a", message="m"))["result"]["status"] == "ok"
        assert "origin" not in (await client.message())["result"]
        assert "error" in await client.ask("subscribe", topic="events/PhoneStatus")


@pytest.mark.parametrize(
    "request_head",
    [
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nabcde",
        "GET /x HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: localhost\r\nX: " + "y" * 20_000 + "\r\n\r\n",
        "GET /" + "y" * 20_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /x HTTP/1.1\r\n" + "".join(f"X{n}: y\r\n" for n in range(500)) + "\r\n",
        "nonsense\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
    ],
    ids=[
        "both lengths",
        "two lengths",
        "odd coding",
        "signed length",
        "space",
        "folded",
        "NUL",
        "long header",
        "long path",
        "many headers",
        "nonsense",
        "two hosts",
    ],
)
def test_a_smuggled_request_is_refused_and_the_connection_closed(request_head: str) -> None:
    @scenario
    async def test() -> None:
        async with gateway() as served:
            made = await raw(served)
            made.writer.write(
                request_head.encode("latin-1") + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            answer = await made.rest()
            assert re.match(rb"HTTP/1\.[01] 4", answer) or answer == b"", answer[:200]
            assert b"status" not in answer
        assert b"localhost" not in answer

    test()


@scenario
async def test_a_connection_that_says_nothing_is_cut() -> None:
    async with gateway(limits=replace(DEFAULT_LIMITS, web_header_timeout=0.3)) as served:
        silent, slow = await raw(served), await raw(served)
        slow.writer.write(b"GET /healthz HTTP/1.1\r\nHost: loc")
        begun = time.monotonic()
        assert await silent.rest() == b""
        assert await slow.rest() == b""
        assert time.monotonic() - begun < LIMIT


@scenario
async def test_a_slow_or_large_body_is_refused() -> None:
    limits = replace(DEFAULT_LIMITS, web_body_timeout=0.3, web_body_size=1000)
    async with gateway(limits=limits) as served:
        slow, large, chunked = await raw(served), await raw(served), await raw(served)
        slow.writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        large.writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n")
        chunked.writer.write(
            b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000
        )
        assert (await slow.rest()).startswith(b"HTTP/1.1 408")
        assert (await large.rest()).startswith(b"HTTP/1.1 413")
        assert (await chunked.rest()).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/%2e%2e/etc/passwd", "/eventhub/..%2f..", "/a%00b", "/a%5cb"]
)
def test_a_path_that_climbs_finds_nothing(path: str) -> None:
    @scenario
    async def test() -> None:
        async with gateway() as served:
            made = await raw(served)
            made.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            assert (await made.rest()).split(b" ")[1] in (b"400", b"404")

    test()


@scenario
async def test_too_many_connections_are_refused_at_once() -> None:
    async with gateway(limits=replace(DEFAULT_LIMITS, web_connections=2)) as served:
        first, second = await raw(served), await raw(served)
        first.writer.write(b"GET /healthz HTTP/1.1\r\n")
        await until(lambda: len(served.gateway.server._servers[0].connections) == 2)
        assert await (await raw(served)).rest() == b""
        first.writer.write(b"Host: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await first.rest()
        assert second


@scenario
async def test_a_half_open_connection_is_noticed() -> None:
    from clacks.dialects.eventhub import EVENTHUB

    paths = {"/eventhub": replace(EVENTHUB, ping=0.4)}
    async with gateway(options={"paths": paths}) as served:
        made = await upgraded(served)  # it never answers a ping
        assert (await made.frame())[0] == 0x89
        await made.rest()
        await until(lambda: served.gateway.metrics.value("web_connections") == 0)


@scenario
async def test_a_reader_that_does_not_read_is_cut_off_and_disturbs_nobody() -> None:
    async with gateway(limits=replace(DEFAULT_LIMITS, web_buffer=100_000)) as served:
        stuck = await upgraded(served)
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        stuck.writer.write(
            frame(0x81, b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"topic":"a"}}')
        )
        reader, writer = await served.connect(), await served.connect()
        await reader.ask("subscribe", topic="a")
        await until(lambda: served.gateway.metrics.value("web_subscriptions") == 2)
        sent = 0
        while not served.gateway.metrics.value("web_cut_off"):
            await writer.ask("publish", topic="a", message=f"{sent:06d}" + "x" * 100_000)
            sent += 1
            assert sent < 500
        await until(lambda: served.gateway.metrics.value("web_subscriptions") == 1)
        heard = [int((await reader.message())["result"]["message"][:6]) for _ in range(sent)]
        assert heard == list(range(sent))


@scenario
async def test_tokens_and_queries_stay_out_of_the_log() -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    root, keep = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    try:
        async with gateway() as served:
            token = served.token()
            await served.http.ws_connect(served.url(f"/eventhub?auth={token}"))
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await served.http.ws_connect(served.url("/eventhub?auth=verysecret"))
            auth = basic("ann", "wrongpassword")
            async with served.http.get(served.url("/x"), headers=auth) as answer:
                assert answer.status == 401
    finally:
        root.removeHandler(keep)
        root.setLevel(level)
    log = "\n".join(lines)
    assert "path='/eventhub'" in log
    for secret in (token, "verysecret", "wrongpassword", auth["Authorization"]):
        assert secret not in log


@scenario
async def test_metrics_need_a_right_unless_on_loopback() -> None:
    from clacks.dialects.exchange import Request
    from clacks.dialects.session import Hello

    async with gateway() as served:
        async with served.http.get(served.url("/metrics")) as answer:
            assert answer.status == 200
            assert "clacks_web_connections" in await answer.text()

        async def far(user: str | None) -> int:
            headers = {"host": "192.0.2.1"}
            if user:
                headers["authorization"] = "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()
            hello = Hello("/metrics", headers=headers, address="192.0.2.9", secure=True, tls=True)
            request = Request("GET", "/metrics", {}, headers, b"", hello)
            return (await served.gateway.reception.respond("https", request, None)).status  # type: ignore[union-attr]

        assert await far(None) == 401
        assert await far("ann") == 403
        assert await far("admin") == 200


@scenario
async def test_passwords_are_not_taken_in_the_clear_from_far_away() -> None:
    from clacks.dialects.exchange import Request
    from clacks.dialects.session import Hello

    async with gateway() as served:
        headers = {"host": "192.0.2.1", "authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
        hello = Hello("/x", headers=headers, address="192.0.2.9", secure=False)
        answer = await served.gateway.reception.respond(
            "http", Request("GET", "/x", {}, headers, b"", hello), None
        )
        assert answer.status == 403  # type: ignore[union-attr]


@scenario
async def test_guessing_passwords_is_slowed() -> None:
    async with gateway() as served:
        states = []
        for number in range(12):
            auth = basic("ann", f"guess{number}")
            async with served.http.get(served.url("/x"), headers=auth) as answer:
                states.append(answer.status)
        assert states[:10] == [401] * 10
        assert states[-1] == 429
