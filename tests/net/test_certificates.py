from __future__ import annotations

import ipaddress
import multiprocessing
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from clacks.common.errors import SettingsError
from clacks.net.certificates import (
    AUTHORITY_LIFETIME,
    SERVER_LIFETIME,
    ensure_local_certificates,
    local_authority,
)
from clacks.net.tls import client_context, server_context

from .authorities import Authority, pem, san
from .handshakes import handshake

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "tls").iterdir())}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_server_certificate_verifies_for_this_machine(tmp_path, host):
    made = ensure_local_certificates(tmp_path)
    client = client_context(host, local_authority=local_authority(tmp_path))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    near, _ = handshake(client, server_context(made.server), host)
    assert near.version() == "TLSv1.3"


@pytest.mark.parametrize("host", ["broker.example", "192.0.2.1", "127.0.0.2", "localhost.example"])
def test_server_certificate_does_not_verify_for_another_name(tmp_path, host):
    made = ensure_local_certificates(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(host, ca=made.authority), server_context(made.server), host)


@pytest.mark.parametrize("host", ["broker.example", "192.0.2.1", "::2", "128.0.0.1"])
def test_stolen_authority_cannot_vouch_for_another_machine(tmp_path, host):
    made = ensure_local_certificates(tmp_path)
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    stolen = load_pem_private_key((tmp_path / "tls" / "ca.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([san(host)]), critical=False)
        .sign(stolen, hashes.SHA256())  # type: ignore[arg-type]
    )
    file = tmp_path / "forged.pem"
    file.write_bytes(pem(forged, key))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(client_context(host, ca=made.authority), server_context(file), host)


def test_keys_are_for_their_owner_only_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        made = ensure_local_certificates(tmp_path / "state")
    finally:
        os.umask(old)
    assert mode(made.server) == 0o600
    assert mode(tmp_path / "state" / "tls" / "ca.key") == 0o600
    assert mode(made.authority) == 0o644
    assert mode(tmp_path / "state") == 0o700
    made.server.chmod(0o644)
    ensure_local_certificates(tmp_path / "state")
    assert mode(made.server) == 0o600


def test_second_call_changes_nothing(tmp_path):
    first = ensure_local_certificates(tmp_path, NOW)
    before = contents(tmp_path)
    second = ensure_local_certificates(tmp_path, NOW + timedelta(days=59))
    assert contents(tmp_path) == before
    assert first.renewed
    assert not second.renewed
    assert first.until == second.until == NOW + SERVER_LIFETIME


def test_server_certificate_is_renewed_before_it_ends_and_the_authority_stays(tmp_path):
    ensure_local_certificates(tmp_path, NOW)
    before = contents(tmp_path)
    made = ensure_local_certificates(tmp_path, NOW + timedelta(days=61))
    after = contents(tmp_path)
    assert made.renewed
    assert made.until == NOW + timedelta(days=61) + SERVER_LIFETIME
    assert after["ca.pem"] == before["ca.pem"]
    assert after["server.pem"] != before["server.pem"]


def test_authority_is_renewed_before_it_ends_with_everything_below(tmp_path):
    ensure_local_certificates(tmp_path, NOW)
    before = contents(tmp_path)
    made = ensure_local_certificates(tmp_path, NOW + AUTHORITY_LIFETIME - timedelta(days=300))
    after = contents(tmp_path)
    assert made.renewed
    assert not {before["ca.pem"], before["ca.key"], before["server.pem"]} & set(after.values())


def test_certificate_from_the_future_is_replaced(tmp_path):
    ensure_local_certificates(tmp_path, NOW + timedelta(days=500))
    assert ensure_local_certificates(tmp_path, NOW).renewed


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem"])
@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "another's"])
def test_damaged_files_are_made_again(tmp_path, name, damage):
    made = ensure_local_certificates(tmp_path)
    file = tmp_path / "tls" / name
    if damage == "gone":
        file.unlink()
    elif damage == "another's":
        ensure_local_certificates(tmp_path / "other")
        file.write_bytes((tmp_path / "other" / "tls" / name).read_bytes())
    else:
        file.write_bytes(b"" if damage == "empty" else b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    assert ensure_local_certificates(tmp_path).renewed
    handshake(client_context("localhost", ca=made.authority), server_context(made.server), "localhost")


def test_authority_without_constraints_is_not_kept(tmp_path):
    ensure_local_certificates(tmp_path)
    wide = Authority(tmp_path)
    folder = tmp_path / "tls"
    (folder / "ca.pem").write_bytes(wide.file.read_bytes())
    (folder / "ca.key").write_bytes(pem(wide.certificate, wide.key))
    ensure_local_certificates(tmp_path)
    found = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    constraints = found.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        x509.IPAddress(ipaddress.ip_network("::1/128")),
    ]


def test_nothing_is_left_lying_about(tmp_path):
    ensure_local_certificates(tmp_path)
    assert set(contents(tmp_path)) == {".lock", "ca.key", "ca.pem", "server.pem"}


def test_folder_that_cannot_be_made_is_an_error_of_the_settings(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="certificates cannot be kept there"):
        ensure_local_certificates(tmp_path / "file")


def _make(folder: Path, start: multiprocessing.synchronize.Event) -> bytes:
    start.wait(20)
    made = ensure_local_certificates(folder)
    server_context(made.server)
    return made.authority.read_bytes() + made.server.read_bytes()


def _report(folder, start, results) -> None:
    results.put(_make(folder, start))


def test_processes_that_start_at_the_same_time_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    processes = [context.Process(target=_report, args=(tmp_path, start, results)) for _ in range(6)]
    for process in processes:
        process.start()
    start.set()
    found = {results.get(timeout=30) for _ in processes}
    for process in processes:
        process.join(30)
    assert len(found) == 1
