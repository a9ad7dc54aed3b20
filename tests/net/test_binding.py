from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from clacks.net.binding import binding_of, end_point_of_file
from clacks.net.tls import CertificateWatch, channel_of, client_context, server_binding, server_context

from .authorities import NOW, Authority
from .handshakes import handshake


def certificate(key: Any, algorithm: Any) -> bytes:
    name = x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW)
        .sign(key, algorithm)
    )
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")],
)
def test_the_hash_is_that_of_the_certificates_signature(algorithm: Any, name: str) -> None:
    data = certificate(ec.generate_private_key(ec.SECP256R1()), algorithm)
    assert binding_of(data) == hashlib.new(name, data).digest()


def test_a_signature_without_a_hash_binds_nothing() -> None:
    assert binding_of(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None


@pytest.mark.parametrize("data", [None, b"", b"no certificate"])
def test_what_is_no_certificate_binds_nothing(data: bytes | None) -> None:
    assert binding_of(data) is None


@pytest.mark.parametrize(
    "text",
    ["", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"],
)
def test_a_file_without_a_certificate_binds_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.pem").write_text(text)
    assert end_point_of_file(tmp_path / "x.pem") is None


class Ended:
    """A transport after the handshake."""

    def __init__(self, connection: ssl.SSLObject) -> None:
        self._facts = {"ssl_object": connection, "peername": ("192.0.2.1", 1)}

    def get_extra_info(self, name: str) -> Any:
        return self._facts.get(name)


def test_both_ends_of_a_connection_see_the_same_binding_and_a_new_certificate_changes_it(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    served = tmp_path / "served.pem"
    served.write_bytes(authority.issue("bus.example").read_bytes())
    context = server_context(served)
    client = client_context("bus.example", ca=authority.file)

    def bindings() -> tuple[bytes | None, bytes | None]:
        here, there = handshake(client, context, "bus.example")
        return server_binding(Ended(here)), channel_of(Ended(there)).binding  # type: ignore[arg-type]

    before = bindings()
    assert before[0] is not None
    assert before[0] == before[1]
    watch = CertificateWatch(context, served)
    served.write_bytes(authority.issue("bus.example").read_bytes())
    os.utime(served, ns=(1, 1))
    assert watch.reload()
    after = bindings()
    assert after[0] == after[1] != before[0]


def test_without_tls_nothing_is_bound() -> None:
    class Plain:
        def get_extra_info(self, name: str) -> None:
            return None

    assert server_binding(Plain()) is None  # type: ignore[arg-type]
    assert channel_of(Plain()).binding is None  # type: ignore[arg-type]
