from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clacks.amqp.connection import BusConnection, ConnectionEvent, Opened
from clacks.broker.broker import Broker
from clacks.bus import Bus, BusState
from clacks.common.address import BusURL
from clacks.common.backoff import Backoff
from clacks.common.errors import BusError, ConnectionFailed, ConnectionLost, LoginRefused, SettingsError
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.rights import parse_rights
from clacks.net.client import BusClient, LocalConnector, TcpConnector
from clacks.net.listener import BrokerServer
from clacks.net.tls import server_context
from tests.bus.house import House, house, phone, scenario, until
from tests.net.authorities import Authority

pytestmark = pytest.mark.net

HASTE = replace(DEFAULT_LIMITS, login_timeout=0.5)


class Owner:
    def __init__(self) -> None:
        self.events: list[ConnectionEvent] = []
        self.retries: list[tuple[str, float]] = []

    def on_events(self, connection: BusConnection, events: list[ConnectionEvent]) -> None:
        self.events += events

    def on_retry(self, reason: str, pause: float) -> None:
        self.retries.append((reason, pause))


def client(url: str, **options: Any) -> tuple[BusClient, Owner]:
    owner = Owner()
    files = {name: options.pop(name) for name in ("ca", "local_authority", "mechanisms") if name in options}
    options.setdefault("backoff", Backoff(first=0.01))
    connector = options.pop("connector", None) or TcpConnector(BusURL.parse(url), **files)
    return BusClient(connector, owner, container_id="test", **options), owner


async def refusal(url: str, **options: Any) -> BusError:
    """Connect where that fails; the error, with nothing left behind."""
    this, _ = client(url, **options)
    with pytest.raises(BusError) as caught:
        await this.start()
    await this.close()
    return caught.value


@contextlib.asynccontextmanager
async def peer(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Something that listens on a port and is no broker."""
    writers: list[asyncio.StreamWriter] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError):
            await talk(reader, writer)

    server = await asyncio.start_server(met, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


@contextlib.asynccontextmanager
async def tls_house(authority: Authority, *names: str) -> AsyncIterator[House]:
    this = House()
    await this.start()
    assert this.server is not None
    await this.server.close()
    this.server = BrokerServer(
        Broker(this.broker.registry, parse_rights(this.rights)),
        this.server._credentials,
        host="127.0.0.1",
        port=None,
        tls_port=0,
        tls=server_context(authority.issue(*names)),
    )
    await this.server.start()
    try:
        yield this
    finally:
        await this.stop()


# -- a connection


@scenario
async def test_a_connection_opens_and_knows_the_broker() -> None:
    async with house() as h:
        this, owner = client(h.url())
        await this.start()
        assert this.connection is not None
        assert this.connection.peer.product == "clacks"
        assert [event for event in owner.events if isinstance(event, Opened)]
        await this.close()
        assert this.connection is None
        await until(lambda: not h.broker.connections)


@scenario
async def test_a_local_connection_needs_no_port_and_no_password() -> None:
    async with house() as h:
        assert h.server is not None
        server = h.server
        connector = LocalConnector(lambda: server.local_socket("admin"), "admin")
        async with Bus(h.url(), connector=connector) as bus:
            assert bus.user == "admin"
            await bus.subscribe()
        await server.close()
        with pytest.raises(ConnectionFailed, match="the broker in this process"):
            await Bus(h.url(), connector=connector).start()


@scenario
async def test_tls_with_the_right_authority_works_by_name_and_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tls_house(authority, "localhost", "127.0.0.1") as h:
        assert h.server is not None
        port = h.server.ports["amqps"]
        for host in ("localhost", "127.0.0.1"):
            this, _ = client(f"amqps://admin:secret@{host}:{port}", ca=authority.file)
            await this.start()
            await this.close()


@scenario
async def test_a_login_over_tls_is_bound_to_the_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    caplog.set_level("INFO", logger="clacks.net.verifier")
    async with tls_house(authority, "localhost") as h:
        assert h.server is not None
        this, _ = client(f"amqps://admin:secret@localhost:{h.server.ports['amqps']}", ca=authority.file)
        await this.start()
        await this.close()
    assert any("mechanism=SCRAM-SHA-256-PLUS" in record.getMessage() for record in caplog.records)


# -- no connection, and why


@scenario
async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = await refusal(f"amqp://a:b@127.0.0.1:{port}")
    assert type(error) is ConnectionFailed
    assert f"127.0.0.1:{port}" in str(error)
    assert "nobody listens" in str(error)


@scenario
async def test_the_host_does_not_exist() -> None:
    error = await refusal("amqp://a:b@no-such-host.invalid")
    assert type(error) is ConnectionFailed
    assert "no-such-host.invalid" in str(error)


@scenario
async def test_the_password_is_wrong() -> None:
    async with house() as h:
        error = await refusal(h.url(password="wrong"))
        assert type(error) is LoginRefused
        assert "admin" in str(error)
        assert "wrong user or password" in str(error)
        assert not h.broker.connections


@scenario
async def test_the_user_does_not_exist() -> None:
    async with house() as h:
        assert type(await refusal(h.url("nobody"))) is LoginRefused


@scenario
async def test_there_is_no_user_in_the_url() -> None:
    async with house() as h:
        error = await refusal(f"amqp://127.0.0.1:{h.port}")
        assert type(error) is LoginRefused
        assert "give a user and password" in str(error)


@scenario
async def test_the_authority_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with tls_house(Authority(tmp_path), "localhost") as h:
        assert h.server is not None
        url = f"amqps://admin:secret@localhost:{h.server.ports['amqps']}"
        for options in ({}, {"ca": Authority(tmp_path / "other", "Other").file}):
            error = await refusal(url, **options)
            assert type(error) is ConnectionFailed
            assert "authority that we do not know" in str(error)


@scenario
async def test_the_host_name_is_wrong(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tls_house(authority, "broker.example") as h:
        assert h.server is not None
        error = await refusal(f"amqps://admin:secret@localhost:{h.server.ports['amqps']}", ca=authority.file)
        assert type(error) is ConnectionFailed
        assert "not for 'localhost'" in str(error)


@scenario
async def test_the_local_authority_counts_for_this_machine(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tls_house(authority, "localhost") as h:
        assert h.server is not None
        this, _ = client(
            f"amqps://admin:secret@localhost:{h.server.ports['amqps']}", local_authority=authority.file
        )
        await this.start()
        await this.close()


@scenario
async def test_a_file_of_authorities_that_is_missing_is_named(tmp_path: Path) -> None:
    this, _ = client("amqps://a:b@localhost", ca=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"none\.pem"):
        await this.start()


@scenario
async def test_the_port_speaks_something_else() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with peer(web) as port:
        error = await refusal(f"amqp://a:b@127.0.0.1:{port}")
        assert type(error) is ConnectionFailed
        assert "does not speak AMQP 1.0" in str(error)
        assert str(port) in str(error)


@scenario
async def test_the_port_does_not_speak_tls() -> None:
    async with house() as h:
        error = await refusal(h.url().replace("amqp://", "amqps://"))
        assert type(error) is ConnectionFailed


@pytest.mark.slow
@scenario
async def test_the_port_speaks_tls_and_we_do_not(tmp_path: Path) -> None:
    async with tls_house(Authority(tmp_path), "localhost") as h:
        assert h.server is not None
        error = await refusal(f"amqp://admin:secret@127.0.0.1:{h.server.ports['amqps']}", limits=HASTE)
        assert type(error) is ConnectionFailed
        assert "TLS" in str(error)


@pytest.mark.slow
@scenario
async def test_the_port_answers_and_never_speaks() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(silent) as port:
        error = await refusal(f"amqp://a:b@127.0.0.1:{port}", limits=HASTE)
        assert type(error) is ConnectionFailed
        assert "nothing comes" in str(error)


@scenario
async def test_the_port_closes_at_once() -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with peer(closing) as port:
        error = await refusal(f"amqp://a:b@127.0.0.1:{port}")
        assert type(error) is ConnectionFailed
        assert "closed the connection" in str(error)


@pytest.mark.slow
@scenario
async def test_a_broker_that_logs_us_in_and_never_opens_is_given_up() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        # Header, one mechanism (ANONYMOUS), outcome ok: all of SASL without looking.
        writer.write(b"AMQP\x03\x01\x00\x00")
        writer.write(bytes.fromhex("0000001c02010000005340c0 0f01e00c01a309") + b"ANONYMOUS")
        await reader.read(1000)
        writer.write(bytes.fromhex("0000001002010000005344c003015000"))
        await reader.read()

    async with peer(half) as port:
        error = await refusal(f"amqp://127.0.0.1:{port}", limits=HASTE)
        assert type(error) is ConnectionFailed
        assert "nothing comes" in str(error)


@scenario
async def test_a_broker_without_room_says_why() -> None:
    async with house(limits=replace(DEFAULT_LIMITS, connections=1)) as h:
        first, _ = client(h.url())
        await first.start()
        error = await refusal(h.url())
        assert type(error) is ConnectionFailed
        assert "connections" in str(error)
        await first.close()


# -- lost, and found again


@scenario
async def test_a_lost_connection_comes_back() -> None:
    async with house() as h:
        this, owner = client(h.url())
        await this.start()
        for n in range(3):
            h.cut()
            await until(lambda n=n: len(owner.retries) > n and this.connection is not None)
        assert len([event for event in owner.events if isinstance(event, Opened)]) == 4
        await this.close()


@scenario
async def test_pauses_grow_while_nobody_is_there() -> None:
    async with house() as h:
        this, owner = client(h.url(), random_number=lambda: 1.0)
        await this.start()
        await h.stop()
        await until(lambda: len(owner.retries) >= 4)
        await this.close()
        assert [round(pause, 3) for _, pause in owner.retries[:4]] == [0.01, 0.02, 0.04, 0.08]
        assert "the broker stops" in owner.retries[0][0]
        assert "nobody listens" in owner.retries[1][0]


@scenario
async def test_who_waits_for_a_broker_that_is_away_asks_at_least_once_a_second() -> None:
    async with house() as h:
        this, owner = client(h.url(), random_number=lambda: 1.0, backoff=Backoff(first=0.01, factor=100.0))
        await this.start()
        await h.stop()
        await until(lambda: len(owner.retries) >= 3)
        await this.close()
        assert [pause for _, pause in owner.retries[:3]] == [0.01, 0.8, 0.8]


@scenario
async def test_a_refused_login_is_tried_again_slowly_once_it_has_worked() -> None:
    async with house() as h:
        this, owner = client(h.url(), random_number=lambda: 1.0)
        await this.start()
        assert h.server is not None
        h.users.clear()
        h.cut()
        await until(lambda: len(owner.retries) >= 2)
        assert owner.retries[1][1] == 60.0
        assert "refuses user 'admin'" in owner.retries[1][0]
        await this.close()


@scenario
async def test_a_patient_client_waits_for_the_broker_to_come() -> None:
    h = House()
    await h.start()
    url = h.url()
    await h.stop()
    this, owner = client(url)
    start = asyncio.ensure_future(this.start(patient=True))
    await until(lambda: len(owner.retries) >= 2)
    await h.start()
    await start
    assert this.connection is not None
    await this.close()
    await h.stop()


@scenario
async def test_a_patient_client_does_not_wait_for_a_wrong_password_to_become_right() -> None:
    async with house() as h:
        this, _ = client(h.url(password="wrong"))
        with pytest.raises(LoginRefused):
            await this.start(patient=True)


@scenario
async def test_a_patient_client_does_not_wait_for_an_unknown_authority_to_become_known(
    tmp_path: Path,
) -> None:
    async with tls_house(Authority(tmp_path), "localhost") as h:
        assert h.server is not None
        this, _ = client(f"amqps://admin:secret@localhost:{h.server.ports['amqps']}")
        with pytest.raises(ConnectionFailed, match="authority"):
            await this.start(patient=True)


@scenario
async def test_closing_while_reconnecting_ends_it() -> None:
    async with house() as h:
        this, owner = client(h.url())
        await this.start()
        await h.stop()
        await until(lambda: owner.retries)
        await this.close()
        before = len(owner.retries)
        await asyncio.sleep(0.05)
        assert len(owner.retries) == before


@scenario
async def test_flush_without_a_connection_says_so() -> None:
    async with house() as h:
        this, owner = client(h.url())
        await this.start()
        await h.stop()
        await until(lambda: owner.retries)
        with pytest.raises(ConnectionLost):
            await this.flush()
        await this.close()


@pytest.mark.slow
@scenario
async def test_a_broker_that_takes_nothing_holds_the_publisher_back_and_not_our_memory() -> None:
    small: Limits = replace(DEFAULT_LIMITS, queue_bytes=1024 * 1024)
    async with house(limits=small) as h:
        bus = await h.bus()
        await bus.publish(phone())
        assert h.server is not None
        for link in list(h.server._sockets):
            assert link._transport is not None
            link._transport.pause_reading()
        sent = 0
        event = phone("x" * 100_000)

        async def flood() -> None:
            nonlocal sent
            while True:
                await bus.publish(event)
                sent += 1

        task = asyncio.ensure_future(flood())
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        wire = bus._client._wire
        assert wire is not None
        assert wire.transport is not None
        held = wire.transport.get_write_buffer_size() + bus.connection.engine.backlog  # type: ignore[union-attr]
        assert held < 2 * 1024 * 1024
        for link in list(h.server._sockets):
            assert link._transport is not None
            link._transport.resume_reading()
        await until(lambda: sent > before + 50)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.slow
@scenario
async def test_heartbeats_keep_a_quiet_connection_alive_in_both_directions() -> None:
    quick = replace(DEFAULT_LIMITS, idle_timeout=0.3)
    async with house(limits=quick) as h:
        bus = await h.bus(limits=quick)
        await asyncio.sleep(1.0)
        assert bus.state is BusState.CONNECTED
        assert bus.metrics.value("connections_lost") == 0
        assert len(h.broker.connections) == 1
