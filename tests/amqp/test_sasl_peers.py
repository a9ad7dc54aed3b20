"""The login against other people's code: proton's own client and server, with Cyrus and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from proton import SASL, Connection, Transport

from clacks.amqp.sasl import Channel, PeerCertificate, SaslClient, SaslServer

from .logins import credentials

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("cyrus_server.py")
cyrus = pytest.mark.skipif(not SASL.extended(), reason="proton was built without Cyrus SASL")


def log_in_with_proton(
    server: SaslServer, mechanism: str, user: str | None, password: str | None
) -> Transport:
    """Join proton's client, as it stands below its Container, with our server."""
    transport, connection = Transport(), Connection()
    if user is not None:
        connection.user = user
    if password is not None:
        connection.password = password
    connection.hostname = "bus.example"
    sasl = transport.sasl()
    sasl.allow_insecure_mechs = True
    sasl.allowed_mechs(mechanism)
    transport.bind(connection)
    connection.open()
    for _ in range(20):
        if (size := transport.pending()) > 0:
            data = bytes(transport.peek(size))
            transport.pop(size)
            if server.failure is None:
                try:
                    server.receive(data)
                    if server.pending is not None:
                        pending = server.pending
                        server.resolve(credentials().verify_password(pending.user, pending.password))
                        server.receive(b"")
                except Exception as error:
                    if error is not server.failure:
                        raise
        if data := server.bytes_to_send():
            transport.push(data)
    return transport


def broker(mechanism: str) -> SaslServer:
    channel = Channel(tls=True, certificate=PeerCertificate("CN=alice", "alice"))
    return SaslServer((mechanism,), channel=channel, keys=credentials().keys, user_of=lambda peer: "alice")


@pytest.mark.parametrize("mechanism", [pytest.param("SCRAM-SHA-256", marks=cyrus), "PLAIN"])
def test_protons_client_logs_in_with_the_right_password_only(mechanism):
    server = broker(mechanism)
    transport = log_in_with_proton(server, mechanism, "alice", "correct horse")
    assert transport.sasl().outcome == SASL.OK
    assert server.user == "alice"
    assert server.leftover.startswith(b"AMQP\x00\x01\x00\x00")
    server = broker(mechanism)
    transport = log_in_with_proton(server, mechanism, "alice", "wrong")
    assert transport.sasl().outcome == SASL.AUTH
    assert server.user is None
    assert transport.condition.name == "amqp:unauthorized-access"


def test_protons_client_logs_in_as_anonymous():
    server = broker("ANONYMOUS")
    assert log_in_with_proton(server, "ANONYMOUS", None, None).sasl().outcome == SASL.OK
    assert server.user == "anonymous"


def test_protons_client_that_may_not_use_what_is_offered_gives_up():
    server = broker("SCRAM-SHA-256")
    transport = log_in_with_proton(server, "PLAIN", "alice", "correct horse")
    assert transport.condition is not None
    assert server.user is None


def test_protons_server_lets_our_client_in_as_anonymous():
    transport, connection = Transport(Transport.SERVER), Connection()
    transport.sasl().allowed_mechs("ANONYMOUS")
    transport.bind(connection)
    client = SaslClient(tls=True)
    for _ in range(5):
        if data := client.bytes_to_send():
            transport.push(data)
        if (size := transport.pending()) > 0:
            data = bytes(transport.peek(size))
            transport.pop(size)
            client.receive(data)
    assert client.done
    assert transport.sasl().outcome == SASL.OK


@cyrus
@pytest.mark.slow
def test_cyrus_server_lets_our_client_in_by_every_mechanism_with_the_right_password_only(tmp_path):
    def run(*arguments: str) -> str:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(SCRIPT), *arguments]
        return subprocess.run(
            command, env=environ, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    run("--make", str(tmp_path))
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1", "PLAIN"):
        found = run(str(tmp_path), mechanism, "correct horse")
        assert found == f"in by {mechanism}, server says True alice@bus.test\n"
    found = run(str(tmp_path), "SCRAM-SHA-256", "wrong")
    assert found.startswith("LoginRefused: the broker refuses user 'alice@bus.test' by SCRAM-SHA-256")
