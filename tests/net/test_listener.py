from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import time
from dataclasses import replace

import pytest
from proton import Described, SSLDomain, symbol
from proton import Message as ProtonMessage
from proton.handlers import MessagingHandler
from proton.reactor import Container, Filter
from proton.utils import BlockingConnection, LinkDetached, SendException

from clacks.amqp.messages import Message, decode, encode
from clacks.broker.broker import Broker
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.errors import ConnectionFailed
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.listener import BrokerServer

from .served import EVENT, NS, PATIENCE, RawPeer, event, serving, until

pytestmark = pytest.mark.net


class Client(MessagingHandler):
    """Proton's own client: subscribes, then publishes, and stops when it has what it waits for."""

    def __init__(self, url: str, bodies: list[bytes], wanted: int, query: str | None = None) -> None:
        super().__init__()
        self.url = url
        self.bodies = bodies
        self.wanted = wanted
        self.query = query
        self.got: list[bytes] = []
        self.echo: object = None
        self.verdicts: list[str] = []
        self.errors: list[str] = []

    def on_start(self, event):
        self.connection = event.container.connect(self.url, allowed_mechs="PLAIN", reconnect=False)
        options = None
        if self.query is not None:
            name = symbol("apache.org:xquery-filter:string")
            options = Filter({name: Described(name, self.query)})
        self.receiver = event.container.create_receiver(self.connection, "org.clacks.event", options=options)

    def on_link_opened(self, event):
        if event.receiver:
            data = event.receiver.remote_source.filter
            data.rewind()
            self.echo = data.get_object() if data.next() else None
            self.sender = event.container.create_sender(self.connection, EVENT)

    def on_sendable(self, event):
        while self.bodies and event.sender.credit:
            event.sender.send(
                ProtonMessage(
                    body=self.bodies.pop(0),
                    subject="PhoneStatus",
                    content_type="application/xml",
                    inferred=True,
                )
            )

    def on_accepted(self, event):
        self.verdicts.append("accepted")
        self._done(event)

    def on_rejected(self, event):
        self.verdicts.append(f"rejected {event.delivery.remote.condition.name}")
        self._done(event)

    def on_message(self, event):
        self.got.append(bytes(event.message.body))
        self._done(event)

    def on_link_error(self, event):
        self.errors.append(event.link.remote_condition.name)
        event.connection.close()

    def on_transport_error(self, event):
        self.errors.append(event.transport.condition.name)

    def _done(self, event):
        if len(self.got) == self.wanted and not self.bodies and len(self.verdicts) >= self.wanted:
            event.connection.close()


def _run(client: Client) -> Client:
    container = Container(client)
    container.timeout = PATIENCE
    container.run()
    return client


def test_protons_container_publishes_and_subscribes():
    with serving() as served:
        bodies = [event(str(number)) for number in range(5)]
        client = _run(Client(served.url("admin", "secret"), list(bodies), 5))
    assert client.got == bodies
    assert client.verdicts == ["accepted"] * 5
    assert client.echo is None


def test_protons_container_subscribes_with_a_query():
    query = f"declare default element namespace '{NS}'; ./Event/PhoneStatus[CallerId = '3']"
    with serving() as served:
        client = _run(
            Client(served.url("admin", "secret"), [event(str(number)) for number in range(5)], 1, query)
        )
    assert client.got == [event("3")]
    assert client.echo is not None


def test_protons_container_hears_that_its_query_is_wrong():
    with serving() as served:
        client = _run(Client(served.url("admin", "secret"), [], 1, "for $x in"))
    assert client.errors == ["amqp:invalid-field"]


def test_protons_blocking_client_gets_errors_and_replies():
    with serving() as served:
        connection = BlockingConnection(
            served.url("admin", "secret"), allowed_mechs="PLAIN", timeout=PATIENCE
        )
        sender = connection.create_sender(EVENT)
        with pytest.raises(SendException):
            sender.send(ProtonMessage(body=b"<a/>", subject="PhoneStatus", inferred=True))
        with pytest.raises(LinkDetached, match="not-found"):
            connection.create_receiver("org.clacks.elsewhere")
        reply = connection.create_receiver(None, dynamic=True)
        relay = connection.create_sender(None)
        relay.send(ProtonMessage(body=b"answer", address=reply.link.remote_source.address, inferred=True))
        message = reply.receive(timeout=PATIENCE)
        assert bytes(message.body) == b"answer"
        connection.close()


def test_the_open_says_who_we_are():
    with serving() as served:
        peer = RawPeer(served).open()
        connection = peer.engine.connection
        properties = connection.remote_properties
        assert properties[symbol("product")] == "clacks"
        assert properties[symbol("domain")] == "org.clacks"
        assert [str(item) for item in connection.remote_offered_capabilities] == ["ANONYMOUS-RELAY"]
        peer.close()


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("stranger", "secret")])
def test_wrong_credentials_are_refused(user, password):
    with serving() as served:
        client = _run(Client(served.url(user, password), [], 1))
        assert client.errors == ["amqp:unauthorized-access"]
        until(lambda: served.broker.metrics.value("logins", result="wrong") == 1)
        assert not served.broker.connections


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 50,  # TLS on the port without
    b"AMQP\x00\x01\x00\x00",  # no login
    b"AMQP\x00\x00\x09\x01",  # another version
    b"\x00" * 100_000,
    b"AMQP\x03\x01\x00\x00" + b"\xff" * 1000,
]


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_on_the_port_is_answered_and_closed(data):
    with serving() as served:
        reader = RawPeer(served).open()
        reader.receiver("org.clacks.event")
        stranger = socket.create_connection(("127.0.0.1", served.port))
        stranger.settimeout(PATIENCE)
        answer = b""
        try:
            stranger.sendall(data)
            while chunk := stranger.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
        stranger.close()
        assert answer == b"" or answer.startswith(b"AMQP\x03\x01\x00\x00")
        until(lambda: served.broker.metrics.value("logins", result="protocol") == 1)
        sender = reader.sender(EVENT)
        reader.publish(sender, event("1"), subject="PhoneStatus")
        reader.run(lambda: reader.got)
        reader.close()


def _until_closed(stranger: socket.socket) -> None:
    """Read to the end that the broker makes, by whatever means."""
    stranger.settimeout(PATIENCE)
    with contextlib.suppress(ConnectionError):
        while stranger.recv(1000):
            pass
    stranger.close()


@pytest.mark.slow
def test_a_peer_that_says_nothing_is_closed():
    with serving(replace(DEFAULT_LIMITS, login_timeout=0.3)) as served:
        silent = socket.create_connection(("127.0.0.1", served.port))
        slow = socket.create_connection(("127.0.0.1", served.port))
        slow.sendall(b"AMQP\x03\x01\x00\x00")
        _until_closed(silent)
        _until_closed(slow)
        assert served.broker.metrics.value("logins", result="too late") == 2


@pytest.mark.slow
def test_a_login_without_open_is_closed():
    with serving(replace(DEFAULT_LIMITS, login_timeout=0.5)) as served:
        peer = RawPeer(served)
        # Only the login: what proton has to say stays here.
        while peer.engine.sasl is not None:
            peer.flush()
            peer.engine.receive(peer.socket.recv(65536))
        _until_closed(peer.socket)
        assert served.broker.metrics.value("logins", result="too late") == 1
        peer.close()


@pytest.mark.slow
def test_a_half_open_connection_is_found_and_a_beating_one_stays():
    with serving(replace(DEFAULT_LIMITS, idle_timeout=0.6)) as served:
        well, gone = RawPeer(served).open(), RawPeer(served, "joe", "pass").open()
        gone.receiver("org.clacks.event")
        start = time.monotonic()
        deadline = start + PATIENCE
        while len(served.broker.connections) > 1 or time.monotonic() < start + 2:
            assert time.monotonic() < deadline
            well.engine.tick(time.monotonic())
            well.run(lambda: True)
            time.sleep(0.05)
        assert [connection.user for connection in served.broker.connections] == ["admin"]
        assert len(served.broker.topics) == 0
        well.receiver("org.clacks.event")
        well.close()
        gone.close()


def test_a_frame_that_is_too_large_ends_the_connection():
    with serving() as served:
        hostile, well = RawPeer(served).open(), RawPeer(served).open()
        hostile.socket.sendall((200_000).to_bytes(4, "big") + b"\x02\x00\x00\x00" + b"x" * 100_000)
        hostile.run(lambda: hostile.closed)
        assert hostile.closed is not None
        assert hostile.closed[0] == "amqp:connection:framing-error"
        well.receiver("org.clacks.event")
        well.close()
        hostile.close()


def test_a_message_that_is_too_large_ends_its_link():
    with serving(replace(DEFAULT_LIMITS, message_size=100_000)) as served:
        peer = RawPeer(served).open()
        sender = peer.sender("weather.x")
        peer.publish(sender, b"x" * 200_000)
        peer.run(lambda: peer.errors)
        assert peer.errors[0][0] == "amqp:link:message-size-exceeded"
        peer.receiver("org.clacks.event")
        peer.close()


def test_bad_documents_are_dropped_and_the_connection_lives():
    with serving() as served:
        peer = RawPeer(served).open()
        peer.receiver("org.clacks.event")
        sender = peer.sender(EVENT)
        for body in (b"<", b"<!DOCTYPE a><a/>", b"<a/>", event("\xe9").decode().encode("latin-1")):
            peer.publish(sender, body, subject="PhoneStatus")
        peer.publish(sender, event("1"), subject="PhoneStatus")
        peer.run(lambda: peer.got)
        assert decode(peer.got[0]).body == event("1")
        assert served.dropped("malformed event") == 3
        assert served.dropped("invalid event") == 1
        peer.close()


@pytest.mark.slow
def test_a_stuck_consumer_costs_bounded_memory_and_nobody_waits():
    limits = replace(DEFAULT_LIMITS, queue_events=100)
    with serving(limits) as served:
        stuck, reader, publisher = (RawPeer(served).open() for _ in range(3))
        stuck.receiver("weather.x", window=1_000_000)
        reader.receiver("weather.x", window=10_000)
        sender = publisher.sender("weather.x")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(3000):
            publisher.publish(sender, b"x" * 20_000)  # 60 MB in all
            if number % 20 == 19:
                reader.run(lambda number=number: len(reader.got) == number + 1)
                assert all(len(body) > 20_000 for body in reader.got[-20:])
                reader.got[:] = [b""] * len(reader.got)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert len(reader.got) == 3000
        assert served.dropped("slow consumer") > 2000
        assert grown < 40_000, f"{grown} KiB"
        for peer in (stuck, reader, publisher):
            peer.close()


def test_too_many_connections_are_told_so():
    with serving(replace(DEFAULT_LIMITS, connections=2)) as served:
        peers = [RawPeer(served).open() for _ in range(2)]
        third = RawPeer(served)
        third.run(lambda: third.closed)
        assert third.closed is not None
        assert third.closed[0] == "amqp:resource-limit-exceeded"
        for peer in peers:
            assert peer.closed is None
            peer.close()
        third.close()
        until(lambda: not served.broker.connections)


def test_tls_works_with_the_local_authority(tmp_path):
    with serving(folder=tmp_path) as served:
        domain = SSLDomain(SSLDomain.MODE_CLIENT)
        domain.set_trusted_ca_db(str(served.authority))
        domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
        connection = BlockingConnection(
            f"amqps://localhost:{served.server.ports['amqps']}",
            user="admin",
            password="secret",
            allowed_mechs="PLAIN",
            ssl_domain=domain,
            timeout=PATIENCE,
        )
        receiver = connection.create_receiver("org.clacks.event", credit=10)
        sender = connection.create_sender(EVENT)
        for number in range(100):
            sender.send(ProtonMessage(body=event(str(number)), subject="PhoneStatus", inferred=True))
            message = receiver.receive(timeout=PATIENCE)
            assert bytes(message.body) == event(str(number))
        connection.close()


def test_a_plain_peer_on_the_tls_port_is_closed(tmp_path):
    with serving(folder=tmp_path) as served:
        stranger = socket.create_connection(("127.0.0.1", served.server.ports["amqps"]))
        stranger.sendall(b"AMQP\x03\x01\x00\x00")
        _until_closed(stranger)
        context = ssl.create_default_context(cafile=served.authority)
        with (
            socket.create_connection(("127.0.0.1", served.server.ports["amqps"])) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            wrapped.sendall(b"AMQP\x03\x01\x00\x00")
            assert wrapped.recv(8) == b"AMQP\x03\x01\x00\x00"


def test_a_socket_of_this_process_is_logged_in():
    with serving() as served:
        local = RawPeer(None, sock=served.server.local_socket("joe")).open()
        local.receiver("org.clacks.event")
        assert [connection.user for connection in served.broker.connections] == ["joe"]
        admin = RawPeer(served).open()
        admin.publish(admin.sender(EVENT), event("1"), subject="PhoneStatus")
        local.run(lambda: local.got)
        local.close()
        admin.close()
        until(lambda: not served.broker.connections)


def test_closing_says_goodbye_and_leaves_no_socket():
    with serving() as served:
        peer = RawPeer(served).open()
        silent = socket.create_connection(("127.0.0.1", served.port))
        closing = asyncio.run_coroutine_threadsafe(served.server.close(), served.loop)
        peer.run(lambda: peer.closed)
        assert peer.closed == ("amqp:connection:forced", "the broker stops")
        closing.result(PATIENCE)
        assert served.server.ports == {}
        with pytest.raises(RuntimeError):
            served.server.local_socket("joe")
        silent.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert silent.recv(100) == b""
        silent.close()
        peer.close()


@pytest.mark.slow
def test_a_login_whose_password_changes_is_disconnected_and_the_others_stay():
    with serving() as served:
        admin, joe = RawPeer(served).open(), RawPeer(served, "joe", "pass").open()
        changed = make_credentials("joe", "pass")
        served.credentials = Credentials({**served.credentials.users, **changed.users})
        joe.run(lambda: joe.closed)
        assert joe.closed is not None
        assert joe.closed[0] == "amqp:unauthorized-access"
        until(lambda: [connection.user for connection in served.broker.connections] == ["admin"])
        served.credentials = Credentials({})
        admin.run(lambda: admin.closed)
        admin.close()
        joe.close()


def test_a_port_that_is_taken_is_explained():
    with serving() as served:
        other = BrokerServer(
            Broker(SchemaRegistry(plugins=False), parse_rights("")),
            lambda: served.credentials,
            host="127.0.0.1",
            port=served.port,
        )
        with pytest.raises(ConnectionFailed) as refused:
            served.call(other.start())
        told = str(refused.value)
        assert told.endswith("another program, or another clacks, listens there")
        assert told.count(str(served.port)) == 1, "once, not in the words of the system again"


def test_both_loopback_addresses_have_the_same_port():
    with serving() as served:
        if not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        try:
            socket.create_connection(("::1", served.port)).close()
        except OSError as error:
            pytest.skip(f"no IPv6 loopback here: {error}")
        socket.create_connection(("127.0.0.1", served.port)).close()


def test_the_log_tells_who_came_and_went_and_no_password(caplog):
    with caplog.at_level(logging.DEBUG, "clacks"), serving() as served:
        peer = RawPeer(served).open()
        peer.close()
        until(lambda: not served.broker.connections)
        until(lambda: "connection lost user=admin" in caplog.text)
    assert "listening scheme=amqp" in caplog.text
    assert "connected user=admin" in caplog.text
    assert "secret" not in caplog.text


def test_small_events_do_not_wait_for_acknowledgements():
    with serving() as served:
        peer = RawPeer(served).open()
        (accepted,) = served.server._sockets
        assert accepted._transport is not None
        there = accepted._transport.get_extra_info("socket")
        assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        peer.close()


def _transfer(number: int, payload: bytes) -> bytes:
    """One unsettled transfer on the first link, as a peer writes it that does not care for credit."""
    unique = number.to_bytes(4, "big")
    fields = b"\x43" + b"\x70" + unique + b"\xa0\x04" + unique + b"\x43\x42"
    performative = b"\x00\x53\x14\xc0" + bytes((len(fields) + 1, 5)) + fields
    return (8 + len(performative) + len(payload)).to_bytes(4, "big") + b"\x02\0\0\0" + performative + payload


@pytest.mark.slow
def test_a_peer_that_reads_nothing_is_not_read_for_ever():
    with serving() as served:
        hostile, well = RawPeer(served).open(), RawPeer(served).open()
        hostile.sender(EVENT)
        hostile.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hostile.socket.settimeout(1.0)
        bad = encode(Message(body=b"x" * 50, subject="no such event"))
        number = 0
        with contextlib.suppress(TimeoutError):
            while number < 500_000:
                hostile.socket.sendall(b"".join(_transfer(n, bad) for n in range(number, number + 500)))
                number += 500
        assert number < 500_000
        assert served.dropped("wrong subject") < number + 500
        well.receiver("org.clacks.event")
        well.publish(well.sender(EVENT), event("1"), subject="PhoneStatus")
        well.run(lambda: well.got)
        well.close()
        hostile.close()


@pytest.mark.slow
def test_a_peer_that_does_not_read_our_close_is_cut_off():
    limits = replace(DEFAULT_LIMITS, queue_events=10)
    with serving(limits) as served:
        stubborn, admin = RawPeer(served, "joe", "pass").open(), RawPeer(served).open()
        stubborn.receiver("org.clacks.event", window=1_000_000)
        sender = admin.sender(EVENT)
        while not served.dropped("slow consumer"):  # its socket is full now
            admin.publish(sender, event("x" * 100_000), subject="PhoneStatus")
            admin.run(lambda: True)
        served.credentials = Credentials({"admin": served.credentials.users["admin"]})
        until(lambda: [connection.user for connection in served.broker.connections] == ["admin"])
        admin.close()
        stubborn.close()
