"""What is fuzzed. A target makes, from nothing, a function that takes one input.

Whatever that function raises is a finding: errors that are an answer to bad input are caught where they are
expected, and nowhere else. What it returns is passed over. It leaves nothing behind, so a million inputs go
through one process. Seeds are good inputs; they and what was found worth keeping lie in ``corpus``.
"""

# ruff: noqa: E501 - the table at the end

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from clacks.amqp.sasl import Channel, PeerCertificate, SaslClient, SaslServer, State, user_of_certificate
from clacks.amqp.sasl_frames import SASL_HEADER, Challenge, Response, encode_frame
from clacks.common.credentials import Credentials, make_keys
from clacks.common.errors import (
    EventError,
    LoginRefused,
    ProtocolError,
    QueryError,
)
from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry, builtin_folder
from clacks.dialects import actions
from clacks.dialects.access import Access, Identity
from clacks.dialects.delivered import Delivered
from clacks.dialects.session import Hello, Knowledge, Session

__all__ = ["CORPUS", "FAULT", "TARGETS", "Target", "bus_connection", "pack", "registry"]

One = Callable[[bytes], object]

CORPUS = Path(__file__).parent / "corpus"
NS = "http://www.gonicus.de/Events"
NOW = 1_800_000_000_000


@dataclass(frozen=True)
class Target:
    """Something that strangers feed.

    Attributes:
        make: Makes the function that takes inputs, and the context that it needs.
        about: What it is, for the report.
        words: Pieces that mean something there.
        short: Inputs in the short form of the suite: a second or two.
    """

    make: Callable[[], contextlib.AbstractContextManager[One]]
    about: str
    words: tuple[bytes, ...] = ()
    short: int = 500

    def seeds(self, name: str) -> list[bytes]:
        """Return the inputs that are kept for it."""
        if self is FAULT:
            return [b"fault %d" % number for number in range(5)]
        found = [file.read_bytes() for file in sorted((CORPUS / name).glob("*"))]
        assert found, f"no corpus for {name}"
        return found


def _plain(make: Callable[[], One]) -> Callable[[], contextlib.AbstractContextManager[One]]:
    return lambda: contextlib.nullcontext(make())


@cache
def registry() -> SchemaRegistry:
    """Return all event types of the package."""
    found = SchemaRegistry(plugins=False)
    found.load()
    return found


# -- the login

_KEYS = make_keys("secret", salt=b"0123456789abcdef", iterations=4096)
_USERS = Credentials({"alice": _KEYS})
_BINDING = b"b" * 32
_CERTIFICATE = PeerCertificate("CN=alice", "alice")
_SERVERS = (
    Channel(loopback=True),
    Channel(),
    Channel(tls=True, binding=_BINDING),
    Channel(tls=True, certificate=_CERTIFICATE),
)


def _pieces(data: bytes) -> list[bytes]:
    """Return the parts of an input: each begins with its length, in two bytes."""
    found = []
    while len(data) >= 2:
        size = data[0] << 8 | data[1]
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def pack(pieces: Iterable[bytes]) -> bytes:
    """Write an input of parts."""
    return b"".join(struct.pack("!H", len(piece)) + piece for piece in pieces)


def _sasl() -> One:
    mechanisms = ("SCRAM-SHA-256", "PLAIN", "EXTERNAL", "ANONYMOUS")

    def serve(kind: int, parts: Iterable[bytes]) -> None:
        server = SaslServer(
            mechanisms, channel=_SERVERS[kind & 3], keys=_USERS.keys, user_of=user_of_certificate
        )
        with contextlib.suppress(LoginRefused, ProtocolError):
            for part in parts:
                server.receive(part)
                if server.state is State.NEEDS_VERIFICATION:
                    assert server.pending is not None
                    server.resolve((server.pending.user, server.pending.password) == ("alice", "secret"))
                    server.receive(b"")
                server.bytes_to_send()
        assert not server.done or server.user in ("alice", "anonymous"), server.user
        assert len(server.bytes_to_send()) < 1000

    def ask(kind: int, parts: Iterable[bytes]) -> None:
        client = SaslClient(
            *(("alice", "secret") if kind & 1 else ()),
            tls=bool(kind & 2),
            loopback=bool(kind & 4),
            binding=_BINDING if kind & 2 else None,
        )
        nonce = b""
        with contextlib.suppress(LoginRefused, ProtocolError):
            for part in parts:
                sent = client.bytes_to_send()
                if b",r=" in sent:
                    nonce = sent.partition(b",r=")[2]
                client.receive(part.replace(b"{nonce}", nonce))
        # SCRAM needs the broker's proof, which nobody can give here; the others have none.
        assert not client.done or client.mechanism in ("PLAIN", "ANONYMOUS"), client.mechanism

    def one(data: bytes) -> None:
        if not data:
            return
        kind, rest = data[0], data[1:]
        if kind & 0x10:  # parts are bodies of challenges or responses, well framed
            wrap = Response if kind & 0x20 else Challenge
            parts = [
                part if number == 0 else encode_frame(wrap(part[:500]))
                for number, part in enumerate(_pieces(rest))
            ]
        else:
            parts = _pieces(rest)
        (serve if kind & 0x20 else ask)(kind & 15, parts)

    return one


# -- frames into the broker


def _frames() -> One:
    import clacks.filters.index  # the broker imports it with the first filter; with atheris that takes seconds
    from clacks.common.limits import DEFAULT_LIMITS
    from tests.broker.world import World

    assert clacks.filters.index
    world = World(DEFAULT_LIMITS)

    def one(data: bytes) -> None:
        if not data:
            return
        kind, rest = data[0], data[1:]
        connection = world.broker.connect(user="admin" if kind & 1 else "jane")
        if kind & 2:  # the sizes in front of frames are put right
            parts = [
                part if number == 0 else struct.pack("!I", len(part) + 4) + part
                for number, part in enumerate(_pieces(rest))
            ]
        else:
            parts = [rest[at : at + 40] for at in range(0, len(rest), 40)]
        for part in parts:
            connection.receive(part, world.now)
            connection.bytes_to_send()
            connection.resume(world.now)
        if kind & 4:
            connection.eof()
            connection.bytes_to_send()
        connection.tick(world.now)
        connection.lost(world.now)
        world.now += 10_000
        world.broker.tick(world.now)
        broker = world.broker
        left = [*broker.connections, *broker.topics, *broker._queues, *broker._opaque]
        assert not left, left

    return one


# -- frames of a broker into the client


def bus_connection() -> Any:
    """Return a client's connection that wants to send, to receive, and to have a node of its own."""
    from clacks.amqp.connection import BusConnection, ReceiveFrom, SendTo, xquery_filter

    connection = BusConnection(container_id="c")
    connection.open()
    connection.open_sender(SendTo("org.clacks.event.PhoneStatus"), None)
    connection.open_receiver(ReceiveFrom("org.clacks.event", 10, (xquery_filter("true()"),)), None)
    connection.open_receiver(ReceiveFrom(None, 10), None)
    return connection


def _client_frames() -> One:
    def one(data: bytes) -> None:
        if not data:
            return
        kind, connection = data[0], bus_connection()
        try:
            for number, part in enumerate(_pieces(data[1:])):
                whole = struct.pack("!I", len(part) + 4) + part if kind & 2 and number else part
                connection.receive(whole)
                connection.bytes_to_send()
                for event in connection.events():
                    repr(event)
            if kind & 4:
                connection.eof()
                connection.bytes_to_send()
            connection.tick(1.0)
        finally:
            connection.lost("over")
            connection.free()

    return one


# -- event XML


def _xml() -> One:
    from clacks.filters.index import FilterIndex

    index = FilterIndex()
    for number, query in enumerate(
        (
            "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus[f:Status = 'busy']",
            "declare namespace f='http://www.gonicus.de/Events'; //f:Load > 3",
            "exists(//*[@*])",
        )
    ):
        index.add(number, query)

    def one(data: bytes) -> None:
        known = registry()
        try:
            event = known.receive(data, newer_ok=bool(data and data[0] & 1))
        except EventError as error:
            str(error)
            return
        index.match(event)
        fields = event.to_json()
        text = json.dumps(fields)
        # What went out as JSON comes in again.
        known.from_json(event.kind, json.loads(text))
        str(Delivered(event, "1-1", NOW))

    return one


# -- schema files


@contextlib.contextmanager
def _schemas() -> Any:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        helper = folder / "Helper.xsd"
        helper.write_bytes((builtin_folder() / "PhoneStatus.xsd").read_bytes())

        def one(data: bytes) -> None:
            (folder / "Mine.xsd").write_bytes(data)
            found = SchemaRegistry([folder], builtin=False, plugins=False)
            found.load()
            for error in found.refused:
                str(error)
            for kind in found.kinds:
                found.documentation(kind)
                found.annotations(kind)
                found.model(kind)
                with contextlib.suppress(EventError):
                    found.receive(f'<Event xmlns="{NS}"><{kind}/></Event>'.encode())

        yield one


# -- query text


def _query() -> One:
    from lxml import etree

    from clacks.filters.index import FilterIndex, event_kinds
    from clacks.filters.selector import necessary_selector
    from clacks.filters.values import ConditionError
    from clacks.xquery import compile_query
    from clacks.xquery.budget import QueryBudget

    budget = QueryBudget(steps=20_000, nodes=2000, string_bytes=200_000, seconds=0.1)
    xml = (
        f'<Event xmlns="{NS}"><PhoneStatus><CallerId>1</CallerId><ReceiverId>2</ReceiverId>'
        "<Status>busy</Status></PhoneStatus></Event>"
    ).encode()
    document = etree.ElementTree(etree.fromstring(xml))
    event = registry().receive(xml)

    def one(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        try:
            query = compile_query(text, budget=budget)
        except QueryError as error:
            str(error)
            return
        event_kinds(query)
        necessary_selector(query)
        with contextlib.suppress(QueryError):
            query.evaluate(document)
        failed: list[Exception] = []
        index = FilterIndex(budget=budget, on_error=lambda _, error: failed.append(error))
        with contextlib.suppress(QueryError):
            index.add(1, query)
            index.match(event)
            index.explain(1)
        for error in failed:  # the index keeps a fault of the engine to itself
            if not isinstance(error, QueryError | ConditionError):
                raise error

    return one


# -- sessions of dialects

_RIGHTS = parse_rights('[users.ann]\nroles = ["admin"]\n[users.bob]\nroles = ["reader"]')


class _Stage:
    """Carries out effects without a bus; ``fate`` decides how each ends."""

    def __init__(self, session: Session, fate: bytes, user: str) -> None:
        self.session = session
        self.fate = fate or b"\0"
        self.count = 0
        self.user = user
        self.rights: Rights = _RIGHTS
        self.over = False
        self.sent = 0

    def access(self, user: str) -> Access:
        return Access(Identity(user), lambda: self.rights)

    def outcome(self, good: object) -> Any:
        self.count += 1
        draw = self.fate[self.count % len(self.fate)]
        if draw < 160:
            return good
        failures = list(actions.Failure)
        return actions.Failed(failures[draw % len(failures)], "no", draw, {"x": [1]})

    def carry(self, effects: Iterable[actions.Effect], depth: int = 0) -> None:
        assert depth < 20, "an answer leads to an effect leads to an answer"
        for effect in effects:
            if self.over:
                return
            answer: object = None
            match effect:
                case actions.Send(text):
                    assert isinstance(text, str)
                    text.encode("utf-8", "replace")
                    if text.startswith(("{", "[")):
                        json.loads(text)
                    self.sent += 1
                case actions.Close():
                    self.over = True
                case actions.Login(_, actions.ScramStep(_, True)):
                    answer = self.outcome(actions.Result("r=1,s=YQ==,i=4096"))
                case actions.Login():
                    answer = self.outcome(actions.LoggedIn(self.access("ann"), "v=1"))
                case actions.Logout() | actions.EndToken() | actions.Unsubscribe() | actions.Wake():
                    pass
                case actions.MakeToken():
                    answer = self.outcome(actions.Result("made"))
                case actions.Subscribe():
                    hash(effect.id)
                    self.show(effect)
                    answer = self.outcome(actions.Subscribed())
                case actions.Publish(_, draft):
                    answer = self.outcome(self.published(draft))
                case actions.Call(_, method, params):
                    json.dumps([method, params])
                    answer = self.outcome(actions.Result({"a": [1, None, "x"]}))
                case actions.Recall():
                    answer = self.outcome(actions.Recalled(examples(), complete=False))
                case actions.GetKey():
                    answer = self.outcome(actions.Key("value"))
                case actions.SetKey() | actions.DeleteKey():
                    answer = self.outcome(actions.Result())
                case _:
                    raise AssertionError(effect)
            if answer is not None:
                self.carry(self.session.answer(effect.token, answer), depth + 1)  # type: ignore[union-attr]

    def published(self, draft: object) -> object:
        try:
            match draft:
                case actions.EventDraft(kind, fields):
                    registry().from_json(kind, fields)
                case actions.XmlDraft(xml):
                    registry().receive(xml)
        except EventError as error:
            return actions.Failed(actions.Failure.INVALID, str(error))
        return actions.Published("5-1")

    def show(self, effect: actions.Subscribe) -> None:
        for delivered in examples():
            if effect.wanted.kinds is not None and delivered.kind not in effect.wanted.kinds:
                continue
            if effect.wanted.test is not None:
                effect.wanted.test(delivered)
            encoded = effect.form.encode(delivered, delivered.topic)
            if encoded is not None:
                (encoded.head + effect.splice + encoded.tail).decode()


@cache
def examples() -> tuple[Delivered, ...]:
    """Return events that sessions are shown."""
    known = registry()
    return (
        Delivered(
            known.from_json("TopicMessage", {"Topic": "a/b", "Message": "m", "Id": "5-7", "Timestamp": 5}),
            "5-7",
            NOW,
        ),
        Delivered(
            known.from_json("PhoneStatus", {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}), "6-1", NOW
        ),
    )


def _dialect(name: str) -> One:
    from clacks.gateway.tables import PATHS

    row = PATHS[name]
    knowledge = Knowledge(registry(), "bus", lambda: NOW, recording=lambda: True)

    def one(data: bytes) -> None:
        if not data:
            return
        kind, lines = data[0], data[1:].split(b"\n")
        user = ("ann", "bob", "")[kind % 3]
        access = Access(Identity(user), lambda: _RIGHTS)
        hello = Hello(name, address="192.0.2.1", secure=bool(kind & 0x40), binding=b"b", access=access)
        session = row.begin(hello, knowledge)
        stage = _Stage(session, lines[0], user)
        stage.carry(session.opened())
        for number, line in enumerate(lines[1:]):
            if stage.over:
                break
            try:
                message: str | bytes = line.decode()
            except UnicodeDecodeError:
                message = line
            stage.carry(session.receive(message))
            if line.endswith(b" ") and number == 2:
                stage.carry(session.expired())

    return one


# -- routes of plain HTTP


@contextlib.contextmanager
def _routes() -> Any:
    from urllib.parse import parse_qs

    from clacks.dialects.exchange import EventStream, Request, Response
    from clacks.dialects.http import http_routes

    routes = http_routes(Knowledge(registry(), "bus", lambda: NOW, recording=lambda: True))
    table = sorted(routes)
    loop = asyncio.new_event_loop()

    class Asker(_Stage):
        access: Any

        def __init__(self, fate: bytes, user: str) -> None:
            super().__init__(None, fate, user)  # type: ignore[arg-type]
            self.access = Access(Identity(user), lambda: _RIGHTS)

        async def perform(self, effect: actions.Effect) -> Any:
            match effect:
                case actions.Publish(_, draft):
                    return self.outcome(self.published(draft))
                case actions.Call(_, method, params):
                    json.dumps([method, params])
                    return self.outcome(actions.Result([{"Id": "x", "a": [1]}]))
                case actions.Login():
                    return self.outcome(actions.LoggedIn(self.access))
                case actions.Recall():
                    return self.outcome(actions.Recalled(examples(), complete=False))
                case actions.MakeToken():
                    return self.outcome(actions.Result("made"))
            return self.outcome(actions.Result())

    def one(data: bytes) -> None:
        if not data:
            return
        head, _, body = data[1:].partition(b"\n\n")
        lines = head.decode("latin-1").split("\n")
        key = table[data[0] % len(table)]
        headers: Mapping[str, str] = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        query = {name: tuple(values) for name, values in parse_qs(lines[0]).items()}
        user = ("ann", "bob", "")[data[0] // 64 % 3]
        asker = Asker(head[-8:], user)
        access = asker.access
        hello = Hello(key[1], query={}, headers=headers, secure=True, access=access)
        request = Request(key[0], key[1] + lines[0][:5] * key[1].endswith("/"), query, headers, body, hello)
        answer = loop.run_until_complete(routes[key](request, asker))  # type: ignore[arg-type]
        if isinstance(answer, Response):
            assert answer.status != 500, answer
            for name, value in answer.headers.items():
                assert not set("\r\n") & set(f"{name}{value}"), answer
            if "json" in answer.content_type:
                json.loads(answer.body or b"null")
        elif isinstance(answer, EventStream):
            stage = _Stage(answer.session, b"\0", user)
            stage.carry(answer.session.opened())

    try:
        yield one
    finally:
        loop.close()


# -- JSON and tokens


def _json() -> One:
    from clacks.common import jsonrpc
    from clacks.common.credentials import parse_credentials
    from clacks.common.errors import CommandError, SettingsError
    from clacks.gateway.tokens import TokenKey, TokenRefused, read_token

    kinds = sorted(registry().kinds)
    key = TokenKey("HS256", b"0123456789abcdef0123456789abcdef")

    def event(data: bytes) -> None:
        try:
            value = json.loads(data[1:])
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            with contextlib.suppress(EventError):
                registry().from_json(kinds[data[0] % len(kinds)], value).to_json()

    def call(data: bytes) -> None:
        try:
            item = jsonrpc.decode(data)
            jsonrpc.encode(item)
        except CommandError as error:
            str(error)

    def token(data: bytes) -> None:
        with contextlib.suppress(TokenRefused):
            read_token(data.decode("latin-1"), key, now=0.0)

    def file(data: bytes) -> None:
        with contextlib.suppress(SettingsError):
            parse_rights(data.decode("latin-1"))
        with contextlib.suppress(SettingsError):
            parse_credentials(data.decode("latin-1"))

    ways = (event, call, token, file)

    def one(data: bytes) -> None:
        if data:
            ways[data[0] % 4](data[1:])

    return one


# -- bytes on the sockets of a gateway


@contextlib.contextmanager
def _sockets(websocket: bool) -> Any:
    import base64
    import logging

    from clacks.dialects.http import http_routes
    from clacks.gateway.tables import PATHS
    from tests.gateway.served import gateway

    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    stack = contextlib.AsyncExitStack()
    served = loop.run_until_complete(
        stack.enter_async_context(gateway(routes=None, options={"paths": PATHS, "routes": http_routes}))
    )
    # Of all that the server does, an exception that it did not expect is a finding.
    troubles: list[str] = []
    loop.set_exception_handler(lambda _, context: troubles.append(repr(context)))

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                troubles.append(logging.Formatter().format(record))

    logging.getLogger("clacks").addHandler(Keep())
    paths = sorted(PATHS)
    login = base64.b64encode(b"admin:secret").decode()

    async def say(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        try:
            if websocket:
                path = paths[data[0] % len(paths)].rstrip("/")
                auth = served.token(user="admin") if path == "/eventhub" else f"Basic {login}"
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                    f"Sec-WebSocket-Version: 13\r\nAuthorization: {auth}\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                assert b" 101 " in head, head
                data = data[1:]
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(10):
                answer = await reader.read(-1)
            assert (
                websocket
                or b"HTTP/1.1 5" not in answer
                or b"HTTP/1.1 501" in answer
                or (b"HTTP/1.1 503" in answer)
            ), answer[:500]
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    def one(data: bytes) -> None:
        if data:
            loop.run_until_complete(say(data))
            if troubles:
                found, troubles[:] = troubles[0], []
                raise AssertionError(found)

    try:
        yield one
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


_JSON_WORDS = (
    b"null", b"true", b"1e999", b"-0", b"\\u0000", b"\\ud800", b"[" * 50, b'{"a":' * 20, b'""', b"{}", b"[]",
    b"9" * 30, b"NaN", b'"id":', b'"params":', b'"jsonrpc":"2.0"', b'"$date":',
)  # fmt: skip


def _fault() -> One:
    """Fail at every third input, as the variable says: for the test of the driver."""

    def one(data: bytes) -> None:
        if data.startswith(b"fault 3"):
            exec(os.environ["CLACKS_FUZZ_FAULT"], {"os": os})

    return one


FAULT = Target(_plain(_fault), "a target that fails")
"""Not in the table."""

TARGETS: dict[str, Target] = {
    "sasl": Target(
        _plain(_sasl),
        "the login, both sides",
        (SASL_HEADER, b"SCRAM-SHA-256", b"PLAIN", b"EXTERNAL", b"n,,n=alice,r=", b"c=biws", b"{nonce}", b"=2C"),
        1000,
    ),
    "frames": Target(
        _plain(_frames),
        "AMQP frames into the broker",
        (b"\x00\x53\x10", b"\x00\x53\x12", b"\x00\x53\x14", b"\x00\x53\x77", b"\xc0\x02\x01\x40", b"\x45", b"\x40"),
        600,
    ),
    "client-frames": Target(
        _plain(_client_frames),
        "AMQP frames of a broker into the client",
        (b"\x00\x53\x10", b"\x00\x53\x12", b"\x00\x53\x14", b"\x00\x53\x17", b"\xc0\x02\x01\x40", b"\x45", b"\x40"),
        500,
    ),
    "events": Target(
        _plain(_xml),
        "XML of events",
        (b"<!DOCTYPE x>", b"<![CDATA[", b"]]>", b"&#0;", b"&amp;", b"<!--", b"<?x?>", b"xmlns:a=''", b"xsi:nil='1'"),
        1000,
    ),
    "schemas": Target(
        _schemas,
        "schema files",
        (b"<xs:any/>", b"minOccurs='999999999'", b"<xs:include schemaLocation='Helper.xsd'/>", b"(a*)*b", b"xs:ID"),
        60,
    ),
    "query": Target(
        _plain(_query),
        "query text: compiled and run within a budget",
        (b"(", b")", b"1 to 9999999", b"for $x in ", b" return ", b"//*", b"{", b"}", b"[", b"]", b"fn:doc('x')",
         b"let $a := ", b"xs:integer(", b"matches(., '(a+)+')", b"format-number(1, ", b"1e999", b"$", b":)", b"(:"),
        250,
    ),
    "eventhub": Target(_plain(lambda: _dialect("/eventhub")), "messages of Eventhub", _JSON_WORDS, 800),
    "truenas": Target(_plain(lambda: _dialect("/websocket")), "messages of TrueNAS, /websocket", _JSON_WORDS, 800),
    "truenas-rpc": Target(
        _plain(lambda: _dialect("/api/current")), "messages of TrueNAS, /api/current", _JSON_WORDS, 1000
    ),
    "sysadm": Target(_plain(lambda: _dialect("/sysadm")), "messages of SysAdm", _JSON_WORDS, 800),
    "routes": Target(_routes, "requests of plain HTTP, read", _JSON_WORDS, 800),
    "json": Target(_plain(_json), "events as JSON, JSON-RPC, tokens, files", _JSON_WORDS, 800),
    "http": Target(
        lambda: _sockets(False),
        "bytes of HTTP on a socket",
        (b"\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: localhost\r\n", b"%00", b"/../"),
        100,
    ),
    "websocket": Target(
        lambda: _sockets(True),
        "WebSocket frames on a socket",
        (b"\x81\xfe\xff\xff", b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x88\x80", b"\x89\x80", b"\xc1\x80"),
        100,
    ),
}  # fmt: skip
