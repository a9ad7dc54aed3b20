from __future__ import annotations

import asyncio
import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from clacks.amqp.sasl import PeerCertificate, user_of_certificate
from clacks.common.errors import ConnectionFailed, SettingsError
from clacks.net.certificates import ensure_local_certificates
from clacks.net.tls import (
    CertificateWatch,
    channel_of,
    client_context,
    connection_failed,
    is_loopback,
    peer_certificate,
    server_context,
)

from .authorities import Authority
from .handshakes import handshake


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "Stranger")


def refusal(authority: Authority, server: Path, host: str) -> str:
    """Return what a user reads when the client refuses this server."""
    with pytest.raises(ssl.SSLError) as caught:
        handshake(client_context(host, ca=authority.file), server_context(server), host)
    return str(connection_failed(caught.value, host, 5671, tls=True))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("192.0.2.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:192.0.2.1", False),
        ("", False),
    ],
)
def test_loopback_is_told_by_name_or_address(host, loopback):
    assert is_loopback(host) is loopback


# -- whom a client trusts


@pytest.mark.parametrize("host", ["broker.example", "192.0.2.7", "2001:db8::7"])
def test_names_and_addresses_of_a_certificate_verify(authority, host):
    server = authority.issue("broker.example", "192.0.2.7", "2001:db8::7")
    near, _ = handshake(client_context(host, ca=authority.file), server_context(server), host)
    assert near.version() in ("TLSv1.2", "TLSv1.3")


def test_common_name_alone_is_no_host_name(authority):
    server = authority.issue(common_name="broker.example")
    assert "not for 'broker.example'" in refusal(authority, server, "broker.example")


def test_unknown_authority_is_refused_with_advice(authority, stranger):
    text = refusal(authority, stranger.issue("broker.example"), "broker.example")
    assert text == (
        "no connection to broker.example:5671: its certificate comes from an authority that we do not know; "
        "name the authority's file in the setting ca_file if you trust it"
    )


@pytest.mark.parametrize("host", ["other.example", "192.0.2.8"])
def test_wrong_host_name_is_refused_with_advice(authority, host):
    text = refusal(authority, authority.issue("broker.example", "192.0.2.7"), host)
    assert f"its certificate is not for '{host}'" in text


def test_expired_certificate_is_refused(authority):
    server = authority.issue("broker.example", start=timedelta(days=-9), end=timedelta(days=-1))
    assert "its certificate has expired" in refusal(authority, server, "broker.example")


def test_certificate_that_is_not_valid_yet_is_refused(authority):
    server = authority.issue("broker.example", start=timedelta(days=1))
    assert "not valid yet" in refusal(authority, server, "broker.example")


def test_local_authority_is_trusted_for_loopback_names_only(tmp_path):
    made = ensure_local_certificates(tmp_path)
    trusted = len(client_context("broker.example", local_authority=made.authority).get_ca_certs())
    assert len(client_context("localhost", local_authority=made.authority).get_ca_certs()) == trusted + 1
    assert len(client_context("127.0.0.1").get_ca_certs()) == trusted
    # The name that was asked for decides, not the one in the handshake.
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(
            client_context("broker.example", local_authority=made.authority),
            server_context(made.server),
            "localhost",
        )


def test_local_authority_that_is_not_there_is_left_out(tmp_path):
    assert (
        client_context("localhost", local_authority=tmp_path / "no" / "ca.pem").verify_mode
        == ssl.CERT_REQUIRED
    )


def test_given_authority_is_the_only_one(authority):
    context = client_context("localhost", ca=authority.file)
    assert [dict(part for (part,) in ca["subject"]) for ca in context.get_ca_certs()] == [
        {"commonName": "Test authority"}
    ]


def test_both_sides_want_tls_1_2_at_least(authority):
    server = server_context(authority.issue("localhost"))
    for context in (server, client_context("localhost"), client_context("localhost", ca=authority.file)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.check_hostname is (context is not server)


# -- files that cannot be used


def test_file_that_is_no_authority_is_an_error_of_the_settings(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    with pytest.raises(SettingsError, match="not a file of PEM certificates"):
        client_context("localhost", ca=file)
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        client_context("localhost", ca=tmp_path / "nowhere.pem")


def test_key_of_another_certificate_is_an_error_of_the_settings(authority):
    one, two = authority.issue("a.example"), authority.issue("b.example")
    with pytest.raises(SettingsError, match="the key does not belong to the certificate"):
        server_context(one, two)


def test_file_without_certificate_is_an_error_of_the_settings(tmp_path):
    file = tmp_path / "server.pem"
    file.write_text("x")
    with pytest.raises(SettingsError, match="not a PEM certificate"):
        server_context(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        server_context(tmp_path / "nowhere.pem")


def test_encrypted_key_does_not_ask_on_the_terminal(authority, tmp_path):
    from cryptography.hazmat.primitives import serialization

    good = authority.issue("localhost")
    key = serialization.load_pem_private_key(good.read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(SettingsError, match="the key is encrypted"):
        server_context(good, sealed)


# -- client certificates


def test_client_certificate_says_who_it_is(authority):
    mine = authority.issue(
        "urn:clacks:user:node1", "node1.example", common_name="Node, One", organization="Example"
    )
    server = server_context(authority.issue("localhost"), client_ca=authority.file)
    client = client_context("localhost", ca=authority.file, certificate=mine)
    _, far = handshake(client, server, "localhost")
    found = peer_certificate(far)
    assert found == PeerCertificate(
        "O=Example,CN=Node\\, One",
        "Node, One",
        uris=("urn:clacks:user:node1",),
        dns=("node1.example",),
    )
    assert user_of_certificate(found) == "node1"


def test_client_without_certificate_may_come_in_by_password(authority):
    server = server_context(authority.issue("localhost"), client_ca=authority.file)
    _, far = handshake(client_context("localhost", ca=authority.file), server, "localhost")
    assert peer_certificate(far) is None


def test_client_certificate_of_a_stranger_is_refused(authority, stranger):
    server = server_context(authority.issue("localhost"), client_ca=authority.file)
    client = client_context("localhost", ca=authority.file, certificate=stranger.issue())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server, "localhost")


def test_client_certificate_counts_for_nothing_where_none_is_asked_for(authority):
    server = server_context(authority.issue("localhost"))
    client = client_context("localhost", ca=authority.file, certificate=authority.issue())
    _, far = handshake(client, server, "localhost")
    assert peer_certificate(far) is None


@pytest.mark.parametrize(
    ("certificate", "user"),
    [
        (PeerCertificate("", "alice"), "alice"),
        (PeerCertificate("", "alice", uris=("https://x.example",)), "alice"),
        (PeerCertificate("", "alice", uris=("urn:clacks:user:bob",)), "bob"),
        (PeerCertificate("", "alice", uris=("urn:clacks:user:bob", "urn:clacks:user:eve")), None),
        (PeerCertificate("", "alice", uris=("urn:clacks:user:",)), None),
        (PeerCertificate("", "Alice Smith"), None),
        (PeerCertificate("", "alice\n"), None),
        (PeerCertificate("", "a" * 256), None),
        (PeerCertificate("", ""), None),
    ],
)
def test_user_of_a_certificate_is_its_uri_or_its_common_name(certificate, user):
    assert user_of_certificate(certificate) == user


# -- renewal without a restart


def serial(context: ssl.SSLContext, authority: Authority) -> str:
    near, _ = handshake(client_context("localhost", ca=authority.file), context, "localhost")
    found = near.getpeercert()
    assert found
    return str(found["serialNumber"])


def test_renewed_certificate_is_served_without_a_restart(authority):
    file = authority.issue("localhost", file="served.pem")
    context = server_context(file)
    watch = CertificateWatch(context, file)
    before = serial(context, authority)
    assert not watch.reload()
    os.replace(authority.issue("localhost"), file)
    assert serial(context, authority) == before
    assert watch.reload()
    assert not watch.reload()
    assert serial(context, authority) != before


def test_broken_renewal_is_logged_and_the_old_certificate_goes_on(authority, caplog):
    file = authority.issue("localhost", file="served2.pem")
    context = server_context(file)
    watch = CertificateWatch(context, file)
    before = serial(context, authority)
    for content in (b"", b"garbage"):
        file.write_bytes(content)
        assert not watch.reload()
    file.unlink()
    assert not watch.reload()
    assert "certificate not reloaded" in caplog.text
    assert serial(context, authority) == before
    authority.issue("localhost", file="served2.pem")
    assert watch.reload()


def test_certificate_without_its_new_key_waits_for_it(authority, tmp_path):
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    first, second = authority.issue("localhost").read_bytes(), authority.issue("localhost").read_bytes()
    certificate.write_bytes(first)
    key.write_bytes(first)
    context = server_context(certificate, key)
    watch = CertificateWatch(context, certificate, key)
    before = serial(context, authority)
    certificate.write_bytes(second)
    assert not watch.reload()
    assert serial(context, authority) == before
    key.write_bytes(second)
    assert watch.reload()
    assert serial(context, authority) != before


# -- over real sockets


async def meet(server_tls, client_tls, host: str, *, greeting: bytes = b""):
    """Connect over loopback; return the server's channel, raise what the client raises."""
    seen: asyncio.Future = asyncio.get_running_loop().create_future()

    async def serve(reader, writer) -> None:
        if not seen.done():
            seen.set_result(channel_of(writer.transport))
        writer.write(greeting)
        writer.close()

    address = "::1" if ":" in host else "127.0.0.1"
    server = await asyncio.start_server(serve, address, 0, ssl=server_tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            address, port, ssl=client_tls, server_hostname=client_tls and host
        )
        channel = await seen
        writer.close()
        return channel


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


@pytest.mark.net
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_local_certificates_work_over_asyncio(tmp_path, host):
    made = ensure_local_certificates(tmp_path)
    channel = run(
        meet(server_context(made.server), client_context(host, local_authority=made.authority), host)
    )
    assert channel.tls
    assert channel.loopback
    assert channel.private
    assert channel.certificate is None


@pytest.mark.net
def test_connection_without_tls_is_known_as_such():
    channel = run(meet(None, None, "127.0.0.1"))
    assert not channel.tls
    assert channel.loopback


@pytest.mark.net
def test_wrong_name_is_explained_over_asyncio(authority):
    server = server_context(authority.issue("broker.example"))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        run(meet(server, client_context("other.example", ca=authority.file), "other.example"))
    text = str(connection_failed(caught.value, "other.example", 5671, tls=True))
    assert "its certificate is not for 'other.example'" in text


@pytest.mark.net
@pytest.mark.parametrize(
    "greeting", [b"AMQP\x03\x01\x00\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64]
)
def test_tls_to_a_port_without_tls_is_explained(greeting):
    with pytest.raises((ssl.SSLError, ConnectionError)) as caught:
        run(meet(None, client_context("localhost"), "localhost", greeting=greeting))
    text = str(connection_failed(caught.value, "localhost", 5672, tls=True))
    assert "the port does not speak TLS" in text


@pytest.mark.net
def test_connection_closed_in_the_handshake_is_explained():
    with pytest.raises((ssl.SSLError, OSError)) as caught:
        run(meet(None, client_context("localhost"), "localhost"))
    text = str(connection_failed(caught.value, "localhost", 5672, tls=True))
    assert "closed the connection in the TLS handshake" in text


@pytest.mark.net
def test_port_without_listener_is_explained():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(OSError) as caught:
            run(asyncio.open_connection("127.0.0.1", port))
    failed = connection_failed(caught.value, "127.0.0.1", port, tls=False)
    assert isinstance(failed, ConnectionFailed)
    assert str(failed).startswith(f"no connection to 127.0.0.1:{port}: nobody listens there")


def test_other_failures_are_explained():
    def text(error: BaseException, tls: bool = False) -> str:
        return str(connection_failed(error, "h", 1, tls=tls)).removeprefix("no connection to h:1: ")

    assert text(socket.gaierror(-2, "Name or service not known")) == "the host name 'h' is not known"
    assert text(TimeoutError()) == "no answer in time"
    assert text(OSError(113, "No route to host")) == "No route to host"
    assert text(ConnectionResetError(104, "Connection reset by peer")) == "Connection reset by peer"
    assert text(ValueError()) == "ValueError"


def test_peer_without_a_safe_version_of_tls_is_explained(authority):
    old = server_context(authority.issue("localhost"))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    new = client_context("localhost", ca=authority.file)
    new.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(ssl.SSLError) as caught:
        handshake(new, old, "localhost")
    assert "no version of TLS that is safe" in str(connection_failed(caught.value, "localhost", 1, tls=True))
