"""``python -m tests.fuzz.seeds``: write the good inputs that the fuzzing starts from into ``corpus``.

What was found later stands beside them under the hash of its content and stays.
"""

# ruff: noqa: E501 - texts that are inputs

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from clacks.amqp.sasl import Channel, SaslClient, SaslServer
from clacks.amqp.sasl_frames import SASL_HEADER, Mechanisms, Outcome, encode_frame
from clacks.common.errors import LoginRefused
from clacks.common.schema import builtin_folder
from tests.fuzz.targets import CORPUS, NS, bus_connection, pack, registry

__all__ = ["write"]


def _sasl() -> Iterator[bytes]:
    from tests.amqp.logins import credentials

    for mechanism, user, kind in (
        ("SCRAM-SHA-256", "alice", 0),
        ("PLAIN", "alice", 0),
        ("ANONYMOUS", None, 0),
    ):
        client = SaslClient(user, "secret" if user else None, tls=False, loopback=True)
        channel = Channel(loopback=True)
        server = SaslServer((mechanism,), channel=channel, keys=credentials().keys)
        up, down = [], []
        # The password is wrong; what was said before is what we want.
        with contextlib.suppress(LoginRefused):
            for _ in range(5):
                up.append(client.bytes_to_send())
                server.receive(up[-1])
                down.append(server.bytes_to_send())
                client.receive(down[-1])
        yield bytes((0x20 | kind,)) + pack(up)
        yield bytes((5 if user else 4,)) + pack(down)
    head = SASL_HEADER + encode_frame(Mechanisms(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")))
    first = b"r={nonce}xyz,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096"
    for kind in (0x11, 0x13):
        yield bytes((kind,)) + pack([head, first, b"v=AAAA"])
    yield bytes((0x05,)) + pack([head, encode_frame(Outcome(0, b""))])
    yield bytes((0x25,)) + pack([SASL_HEADER, b"\0\0\0\x10\x02\x01\0\0\0\x53\x41\xc0\x03\x01\xa3\x05"])


def _stream(data: bytes) -> list[bytes]:
    """Cut a recorded stream: the header, then the frames without their sizes."""
    parts = [data[:8]]
    at = 8
    while at < len(data):
        (size,) = struct.unpack_from("!I", data, at)
        parts.append(data[at + 4 : at + size])
        at += size
    return parts


def _frames() -> Iterator[bytes]:
    from tests.broker.test_hostile_bytes import STREAM

    yield b"\x01" + STREAM
    parts = _stream(STREAM)
    yield b"\x03" + pack(parts)
    for begin in range(3, len(parts), 3):
        yield b"\x03" + pack([*parts[:3], *parts[begin : begin + 4]])


def _client_frames() -> Iterator[bytes]:
    from tests.broker.world import World

    world = World()
    connection = bus_connection()
    peer = world.broker.connect(user="admin")
    said = []
    for _ in range(4):
        peer.receive(connection.bytes_to_send(), world.now)
        said.append(peer.bytes_to_send())
        connection.receive(said[-1])
    other = world.peer()
    other.event(other.sender("org.clacks.event.PhoneStatus"))
    said.append(peer.bytes_to_send())
    peer.close("amqp:connection:forced", "over")
    said.append(peer.bytes_to_send())
    parts = _stream(b"".join(said))
    yield b"\x02" + pack(parts)
    for begin in range(2, len(parts), 2):
        yield b"\x02" + pack([*parts[:2], *parts[begin : begin + 3]])
    connection.lost("")
    connection.free()
    for each in list(world.broker.connections):
        each.lost(world.now)
    other.engine.free()


def _events() -> Iterator[bytes]:
    from tests.filters.corpus import events

    seen: set[str] = set()
    for event in events():
        if event.kind not in seen and len(event.data) < 4000:
            seen.add(event.kind)
            yield event.data
    yield f'\ufeff<?xml version="1.0" encoding="UTF-8"?><Event xmlns="{NS}"><NodeLeave/></Event>'.encode()


def _schemas() -> Iterator[bytes]:
    for file in sorted(builtin_folder().glob("*.xsd")):
        text = file.read_bytes()
        if len(text) < 5000:
            yield text.replace(file.stem.encode(), b"Mine")
    yield (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{NS}" targetNamespace="{NS}" '
        'xmlns:vc="http://www.w3.org/2007/XMLSchema-versioning" vc:minVersion="1.1" elementFormDefault="qualified">'
        '<xs:include schemaLocation="Helper.xsd"/><xs:element name="Mine"><xs:annotation><xs:documentation>Nobody '
        "sends it.</xs:documentation></xs:annotation><xs:complexType><xs:sequence><xs:element name='A'><xs:simpleType>"
        "<xs:restriction base='xs:string'><xs:pattern value='(a|b)*c'/></xs:restriction></xs:simpleType></xs:element>"
        "<xs:any minOccurs='0' processContents='lax'/></xs:sequence><xs:assert test='true()'/></xs:complexType>"
        "</xs:element></xs:schema>"
    ).encode()


def _query() -> Iterator[bytes]:
    from tests.filters.corpus import filters

    texts = sorted({one.query for one in filters()}, key=lambda text: (len(text), text))
    yield from (text.encode() for text in texts[:: max(1, len(texts) // 40)])
    for text in (
        "for $x at $i in (1, 2) group by $k := $x mod 2 order by $k return <a b='{$k}'>{$x}</a>",
        "declare function local:f($n) { if ($n = 0) then 1 else $n * local:f($n - 1) }; local:f(20)",
        "for sliding window $w in 1 to 9 start at $s when true() end at $e when $e - $s eq 2 return sum($w)",
        "try { error(xs:QName('a'), 'x') } catch * { $err:code }",
        "let $m := map { 'a': [1, 2, 3] } return $m?a?* ! (. + 1) => sum()",
        "typeswitch (//*[1]) case element() return 'e' default $d return string($d)",
        "format-dateTime(xs:dateTime('2020-01-01T00:00:00Z'), '[Y0001]-[M01]') || format-number(1.5, '#,##0.00')",
        "replace('abc', '(b)', '[$1]') || string-join(tokenize('a b', '\\s+')) || translate('a', 'a', 'b')",
        "fold-left(1 to 9, 0, function($a, $b) { $a + $b }) + array:size([1, (2, 3)])",
        "parse-xml('<a><b/></a>')//b, json-to-xml('[1]'), parse-json('{\"a\": [1]}')?a?1",
        "some $x in //* satisfies $x/@a = ('1', '2') and not(empty($x/ancestor::*))",
        "xs:decimal('1.5') + xs:duration('P1D') eq xs:date('2020-02-29') + xs:yearMonthDuration('P1Y')",
    ):
        yield text.encode()


def _lines(kind: int, fate: bytes, *messages: Any) -> bytes:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in messages]
    return bytes((kind,)) + b"\n".join([fate, *(text.encode() for text in texts)])


def _calls(calls: Iterable[tuple[str, Any]], **more: Any) -> list[dict[str, Any]]:
    return [
        {"jsonrpc": "2.0", "id": n, "method": method, "params": params, **more}
        for n, (method, params) in enumerate(calls)
    ]


def _eventhub() -> Iterator[bytes]:
    calls = _calls(
        [
            ("subscribe", {"topic": "a/+", "since": -1000, "limit": 3}),
            ("subscribe", {"topic": "events/PhoneStatus", "sinceEventId": "5-7"}),
            ("publish", {"topic": "a/b", "message": "m", "timestamp": 5, "ttl": 9}),
            ("publish", {"topic": "events/PhoneStatus", "message": '{"CallerId": "1"}'}),
            ("unsubscribe", ["a/+"]),
            ("unsubscribeAll", []),
            ("list", []),
            ("eventlog", {"topic": "a/b", "since": 1, "limit": 4}),
            ("get", {"key": "a/b"}),
            ("set", {"key": "a/b", "value": "v", "ttl": 4}),
            ("del", {"key": "a/b"}),
            ("ping", []),
            ("disconnect", []),
        ]
    )
    yield _lines(0, b"\0", *calls)
    for number, call in enumerate(calls):
        yield _lines(number, bytes((0, 200 + number)), call)


_TRUENAS = [
    ("auth.login", ["ann", "secret"]),
    ("auth.login_ex", [{"mechanism": "PASSWORD_PLAIN", "username": "ann", "password": "secret"}]),
    ("auth.login_ex", [{"mechanism": "API_KEY_PLAIN", "username": "ann", "api_key": "1-good"}]),
    (
        "auth.login_ex",
        [{"mechanism": "SCRAM", "scram_type": "CLIENT_FIRST_MESSAGE", "rfc_str": "n,,n=ann:1,r=x"}],
    ),
    ("auth.login_with_api_key", ["1-good"]),
    ("auth.login_with_token", ["made"]),
    ("auth.generate_token", [600, {"a": 1}, True, False]),
    ("auth.me", []),
    ("auth.logout", []),
    ("core.ping", []),
    ("core.subscribe", ["phone_status"]),
    ("core.subscribe", ['reporting.realtime:{"interval": 5}']),
    ("core.subscribe", ['PhoneStatus:{"Status": "busy"}']),
    ("core.subscribe", ['PhoneStatus:{"xquery": "true()"}']),
    ("core.subscribe", ["*"]),
    ("core.unsubscribe", ["x"]),
    ("core.get_jobs", [[["id", "=", 1]], {"get": True, "limit": 3}]),
    ("core.job_abort", [1]),
    (
        "core.event_send",
        ["PhoneStatus", "ADDED", {"fields": {"CallerId": "1", "ReceiverId": "2", "Status": "busy"}}],
    ),
    ("core.get_methods", []),
    ("system.info", []),
]


def _truenas() -> Iterator[bytes]:
    hello = {"msg": "connect", "version": "1", "support": ["1"], "features": []}
    calls = [
        {"msg": "method", "id": str(number), "method": method, "params": params}
        for number, (method, params) in enumerate(_TRUENAS)
    ]
    rest = [
        {"msg": "sub", "id": "s", "name": "PhoneStatus"},
        {"msg": "unsub", "id": "s"},
        {"msg": "ping", "id": "1"},
    ]
    yield _lines(0x40, b"\0", hello, *calls, *rest)
    for number, call in enumerate([*calls, *rest]):
        yield _lines(0x40 + number % 3, bytes((0, 200 + number)), hello, call)


def _truenas_rpc() -> Iterator[bytes]:
    calls = _calls(_TRUENAS)
    yield _lines(0x40, b"\0", *calls)
    for number, call in enumerate(calls):
        yield _lines(0x40 + number % 3, bytes((0, 200 + number)), call)


def _sysadm() -> Iterator[bytes]:
    asked = [
        ("rpc", "identify", {}),
        ("rpc", "auth", {"username": "ann", "password": "secret"}),
        ("rpc", "auth_token", {"token": "made"}),
        ("rpc", "auth_clear", {}),
        ("rpc", "auth_ssl", {"action": "request"}),
        ("rpc", "auth_ssl", {"action": "response", "test_string": "YQ=="}),
        ("events", "subscribe", ["dispatcher", "life-preserver", "system-state"]),
        ("events", "subscribe", "PhoneStatus"),
        ("events", "unsubscribe", "dispatcher"),
        ("rpc", "query", {}),
        ("sysadm", "network", {"action": "list"}),
    ]
    texts = [
        {"namespace": namespace, "name": name, "id": f"i{number}", "args": args}
        for number, (namespace, name, args) in enumerate(asked)
    ]
    yield _lines(0x40, b"\0", *texts)
    for number, text in enumerate(texts):
        yield _lines(0x40 + number % 3, bytes((0, 200 + number)), text)


_EVENT = (
    f'<Event xmlns="{NS}"><PhoneStatus><CallerId>1</CallerId><ReceiverId>2</ReceiverId>'
    "<Status>busy</Status></PhoneStatus></Event>"
)
_CLOUD = {"specversion": "1.0", "id": "1", "source": "x", "type": "PhoneStatus", "data": {"CallerId": "1"}}


def _requests() -> list[tuple[str, str, str, dict[str, str], str]]:
    json_type = {"content-type": "application/json"}
    return [
        ("GET", "/events", "xquery=true()&type=PhoneStatus&since=-1h", {"accept": "text/event-stream"}, ""),
        ("GET", "/events", "format=xml&since=5-1", {"last-event-id": "5-1"}, ""),
        ("POST", "/events", "", {"content-type": "application/xml"}, _EVENT),
        ("POST", "/events", "stored=true", json_type, json.dumps({"PhoneStatus": {"CallerId": "1"}})),
        ("POST", "/events", "", {"content-type": "application/cloudevents+json"}, json.dumps(_CLOUD)),
        ("POST", "/events", "", {"content-type": "application/cloudevents-batch+json"}, json.dumps([_CLOUD] * 2)),
        ("POST", "/events", "", {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "PhoneStatus", "ce-source": "x",
                                 "content-type": "application/xml"}, _EVENT),
        ("POST", "/rpc", "", json_type, '{"jsonrpc": "2.0", "id": 1, "method": "getMethods", "params": [1]}'),
        ("POST", "/rpc", "", json_type, '[{"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "id": 2}]'),
        ("GET", "/schemas", "format=jsonschema", {}, ""),
        ("GET", "/schemas/", "", {"accept": "application/xml"}, ""),
        ("GET", "/nodes", "", {}, ""),
        ("GET", "/clients", "", {}, ""),
        ("GET", "/", "", {}, ""),
        ("POST", "/session", "", json_type, '{"user": "ann", "password": "secret"}'),
        ("POST", "/query", "", json_type, '{"query": "//f:Status"}'),
        ("GET", "/log", "since=-1h&until=5&limit=3&type=PhoneStatus", {}, ""),
    ]  # fmt: skip


def _routes() -> Iterator[bytes]:
    from clacks.dialects.http import http_routes
    from clacks.dialects.session import Knowledge

    table = sorted(http_routes(Knowledge(registry(), "bus", lambda: 0)))
    bodies = {(method, path): [] for method, path in table}
    for method, path, query, headers, body in _requests():
        bodies.setdefault((method, path), []).append((query, headers, body))
    for number, key in enumerate(table):
        for query, headers, body in bodies[key] or [("", {}, "{}")]:
            head = "\n".join([query, *(f"{name}: {value}" for name, value in headers.items())])
            yield bytes((number + len(table) * (number % 3),)) + f"{head}\n\n{body}".encode()


def _json() -> Iterator[bytes]:
    from tests.filters.corpus import events

    kinds = sorted(registry().kinds)
    seen: set[str] = set()
    for event in events():
        if event.kind in kinds and event.kind not in seen and len(event.data) < 3000:
            seen.add(event.kind)
            text = json.dumps(registry().receive(event.data).to_json())
            yield bytes((0, kinds.index(event.kind))) + text.encode()
    yield b'\x01{"jsonrpc": "2.0", "id": 1, "method": "a", "params": {"b": [1.5, null, "x"]}}'
    yield b'\x01{"jsonrpc": "2.0", "id": "x", "result": {"a": 1}}'
    yield b'\x01{"jsonrpc": "2.0", "id": null, "error": {"code": -32601, "message": "m", "data": [1]}}'
    from clacks.gateway.tokens import TokenKey, make_token

    key = TokenKey("HS256", b"0123456789abcdef0123456789abcdef")
    yield b"\x02" + make_token(key, user="ann", now=0.0, seconds=9.0, read=["a/#"], write=["b"]).encode()
    yield b"\x02eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."
    yield b'\x03[users.jane]\nroles = ["desk"]\n[roles.desk]\npublish = ["Phone*"]\n'
    from clacks.common.credentials import format_credentials, make_credentials

    yield b"\x03" + format_credentials(make_credentials("alice", "secret")).encode()


def _http() -> Iterator[bytes]:
    for method, path, query, headers, body in _requests():
        target = f"{path}?{query}" if query else path
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Authorization: Basic YWRtaW46c2VjcmV0"]
        lines += [f"{name}: {value}" for name, value in headers.items() if "event-stream" not in value]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        if path == "/events" and method == "GET":
            continue  # it has no end
        yield ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
    yield (
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        b"GET /healthz HTTP/1.0\r\n\r\n"
    )


def _masked(first: int, data: bytes) -> bytes:
    size = len(data)
    head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + struct.pack("!H", size)
    return head + bytes(4) + data


def _websocket() -> Iterator[bytes]:
    paths = ["/api/current", "/eventhub", "/eventhub/", "/sysadm", "/websocket"]
    texts = {
        "/api/current": _calls(_TRUENAS[7:16]),
        "/eventhub": _calls(
            [("subscribe", {"topic": "a"}), ("publish", {"topic": "a", "message": "m"}), ("list", [])]
        ),
        "/sysadm": [{"namespace": "rpc", "name": "identify", "id": "1", "args": {}}],
        "/websocket": [{"msg": "connect", "version": "1", "support": ["1"]}, {"msg": "ping", "id": "1"}],
    }
    for path, messages in texts.items():
        frames = b"".join(_masked(0x81, json.dumps(message).encode()) for message in messages)
        yield bytes((paths.index(path),)) + frames + _masked(0x88, b"\x03\xe8")
    yield (
        b"\x01"
        + _masked(0x01, b'{"jsonrpc":')
        + _masked(0x89, b"p")
        + _masked(0x80, b'"2.0"}')
        + _masked(0x88, b"")
    )
    yield b"\x01" + _masked(0x82, b"\x00\x01") + _masked(0x8A, b"x") + _masked(0x88, b"\x03\xe8bye")


MAKERS = {
    "sasl": _sasl,
    "frames": _frames,
    "client-frames": _client_frames,
    "events": _events,
    "schemas": _schemas,
    "query": _query,
    "eventhub": _eventhub,
    "truenas": _truenas,
    "truenas-rpc": _truenas_rpc,
    "sysadm": _sysadm,
    "routes": _routes,
    "json": _json,
    "http": _http,
    "websocket": _websocket,
}


def write() -> None:
    """Write the seeds of all targets."""
    for name, make in MAKERS.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(make()):
            (folder / f"seed-{number:02}").write_bytes(data)


if __name__ == "__main__":
    write()
