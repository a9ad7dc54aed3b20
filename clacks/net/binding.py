"""Channel binding ``tls-server-end-point`` (RFC 5929, 4): the login names the certificate that TLS showed.

Somebody in the middle who holds a certificate that the client trusts can forward a login; with the binding
in its proof that login fits his certificate alone, and the broker refuses it. ``tls-exporter`` (RFC 9266)
would bind to the connection itself, but Python's ``ssl`` does not give its keys.
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

__all__ = ["binding_of", "end_point_of_file"]


def binding_of(certificate: bytes | None) -> bytes | None:
    """Return the binding to a server's certificate (DER), or None if there is none.

    The hash is that of the certificate's signature, SHA-256 in place of MD5 and SHA-1. Of a signature
    without a hash of its own, as Ed25519, RFC 5929 says nothing, and so there is no binding.
    """
    if certificate is None:
        return None
    from cryptography import x509  # takes 30 ms, which a client on loopback without TLS need not pay
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    try:
        return hashlib.new(name, certificate).digest()
    except ValueError:
        return None


def end_point_of_file(path: Path) -> bytes | None:
    """Return the binding to the first certificate of a PEM file, which is the server's own.

    Raises:
        OSError: If it cannot be read.
    """
    text = path.read_text("ascii", "replace")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = text.find(begin)
    stop = text.find(end, start)
    if start < 0 or stop < 0:
        return None
    try:
        return binding_of(ssl.PEM_cert_to_DER_cert(text[start : stop + len(end)]))
    except ValueError:
        return None
