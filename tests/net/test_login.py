"""The whole login over real sockets: TLS, our server with its verifier, proton's Container as the client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from proton import SASL, Connection, SSLDomain, Transport
from proton.handlers import MessagingHandler
from proton.reactor import Container

from clacks.common.credentials import make_credentials
from clacks.common.errors import BusError
from clacks.net.certificates import ensure_local_certificates
from clacks.net.tls import channel_of, client_context, server_context
from clacks.net.verifier import Logins

from .authorities import Authority

pytestmark = pytest.mark.net

KNOWN = make_credentials("alice", "correct horse")
cyrus = pytest.mark.skipif(not SASL.extended(), reason="proton was built without Cyrus SASL")


class Door:
    """A listener that logs peers in and then lets proton answer open and close."""

    def __init__(self, logins: Logins) -> None:
        self.logins = logins
        self.users: list[str | None] = []
        self.refusals: list[BusError] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        sasl = self.logins.server(address, channel_of(writer.transport))
        try:
            while not sasl.done:
                data = await reader.read(65536)
                if not data:
                    return
                sasl.receive(data)
                await self.logins.decide(address, sasl)
                sasl.receive(b"")
                writer.write(sasl.bytes_to_send())
            self.logins.accepted(address, sasl)
            self.users.append(sasl.user)
            await self.amqp(sasl.leftover, reader, writer)
        except BusError as error:
            self.logins.refused(address, sasl, error)
            self.refusals.append(error)
            writer.write(sasl.bytes_to_send())
        finally:
            writer.close()

    async def amqp(self, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport, connection = Transport(Transport.SERVER), Connection()
        transport.bind(connection)
        connection.open()
        while True:
            if data:
                transport.push(data)
            if connection.state & connection.REMOTE_CLOSED:
                connection.close()
            while (size := transport.pending()) > 0:
                writer.write(bytes(transport.peek(size)))
                transport.pop(size)
            data = await reader.read(65536)
            if not data:
                return


class Guest(MessagingHandler):
    def __init__(self, url: str, domain: SSLDomain | None, **more) -> None:
        super().__init__()
        self.url, self.domain, self.more = url, domain, more
        self.opened = False
        self.trouble = ""

    def on_start(self, event) -> None:
        event.container.connect(self.url, ssl_domain=self.domain, reconnect=False, **self.more)

    def on_connection_opened(self, event) -> None:
        self.opened = True
        event.connection.close()

    def on_transport_error(self, event) -> None:
        self.trouble = str(event.transport.condition)


def visit(
    state: Path,
    mechanisms: tuple[str, ...],
    *,
    tls: bool,
    client_ca: Path | None = None,
    certificate: Path | None = None,
    **more,
) -> tuple[Guest, Door]:
    """Let proton's Container log in once."""
    made = ensure_local_certificates(state)

    async def run() -> tuple[Guest, Door]:
        with Logins(lambda: KNOWN, mechanisms=mechanisms) as logins:
            door = Door(logins)
            context = server_context(made.server, client_ca=client_ca) if tls else None
            server = await asyncio.start_server(door.serve, "127.0.0.1", 0, ssl=context)
            async with server:
                port = server.sockets[0].getsockname()[1]
                domain = None
                if tls:
                    domain = SSLDomain(SSLDomain.MODE_CLIENT)
                    domain.set_trusted_ca_db(str(made.authority))
                    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
                    if certificate is not None:
                        domain.set_credentials(str(certificate), str(certificate), None)
                guest = Guest(f"{'amqps' if tls else 'amqp'}://localhost:{port}", domain, **more)
                await asyncio.to_thread(Container(guest).run)
            return guest, door

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("mechanism", [pytest.param("SCRAM-SHA-256", marks=cyrus), "PLAIN"])
def test_protons_container_comes_in_with_the_right_password_only(tmp_path, mechanism, tls):
    login = {"user": "alice", "allowed_mechs": mechanism}
    guest, door = visit(tmp_path, ("SCRAM-SHA-256", "PLAIN"), tls=tls, password="correct horse", **login)
    assert guest.opened
    assert door.users == ["alice"]
    guest, door = visit(tmp_path, ("SCRAM-SHA-256", "PLAIN"), tls=tls, password="wrong", **login)
    assert not guest.opened
    assert "amqp:unauthorized-access" in guest.trouble
    assert [str(error).partition(" (")[0] for error in door.refusals] == [
        f"wrong user or password: 'alice' by {mechanism}"
    ]


def test_protons_container_comes_in_as_anonymous_where_that_is_allowed(tmp_path):
    guest, door = visit(tmp_path, ("ANONYMOUS",), tls=False)
    assert guest.opened
    assert door.users == ["anonymous"]


def test_protons_container_comes_in_by_its_certificate(tmp_path):
    authority = Authority(tmp_path)
    mechanisms = ("EXTERNAL", "SCRAM-SHA-256", "PLAIN")
    guest, door = visit(
        tmp_path,
        mechanisms,
        tls=True,
        client_ca=authority.file,
        certificate=authority.issue(common_name="node1"),
        allowed_mechs="EXTERNAL",
    )
    assert guest.opened
    assert door.users == ["node1"]
    guest, door = visit(tmp_path, mechanisms, tls=True, client_ca=authority.file, allowed_mechs="EXTERNAL")
    assert not guest.opened
    assert door.users == []


def test_protons_container_without_credentials_stays_outside(tmp_path):
    guest, door = visit(tmp_path, ("SCRAM-SHA-256", "PLAIN"), tls=False)
    assert not guest.opened
    assert door.users == []


def test_container_that_skips_the_login_stays_outside(tmp_path):
    guest, door = visit(tmp_path, ("SCRAM-SHA-256",), tls=False, sasl_enabled=False)
    assert not guest.opened
    assert "it skipped the login" in str(door.refusals[0])


def test_tls_client_on_the_port_without_tls_leaves_a_reason(tmp_path):
    async def run() -> Door:
        with Logins(lambda: KNOWN) as logins:
            door = Door(logins)
            server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                with pytest.raises(OSError):
                    await asyncio.open_connection(
                        "127.0.0.1", port, ssl=client_context("localhost"), server_hostname="localhost"
                    )
            return door

    door = asyncio.run(asyncio.wait_for(run(), 30))
    assert "it speaks TLS on a port without TLS" in str(door.refusals[0])
    assert door.logins.metrics.value("logins", result="protocol") == 1
