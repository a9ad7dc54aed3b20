"""The local authority: what makes ``amqps://localhost`` verify without anybody's help.

``clacks up`` keeps in its state folder an authority of its own and a server certificate made by it. The
authority is constrained (RFC 5280, 4.2.1.10) to localhost, 127.0.0.0/8 and ::1: whoever steals its key can
pretend to be this machine to this machine, and nothing else. Clients trust it for such names only
(`clacks.net.tls`).

::

    tls/ca.pem      certificate of the authority, for everybody to read
    tls/ca.key      its key, mode 600
    tls/server.pem  server certificate and its key in one file, mode 600: they change together

All files are replaced as a whole, under a lock that other processes honour.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clacks.common.errors import SettingsError

__all__ = [
    "AUTHORITY_LIFETIME",
    "SERVER_LIFETIME",
    "LocalCertificates",
    "ensure_local_certificates",
    "local_authority",
    "valid_until",
]

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
AUTHORITY_RENEWAL: Final = timedelta(days=365)
"""How long before its end the authority is replaced; longer than a server certificate lives."""

SERVER_LIFETIME: Final = timedelta(days=90)
SERVER_RENEWAL: Final = timedelta(days=30)
"""How long before its end a server certificate is replaced: plenty for a broker that looks once a day."""

_BACKDATED: Final = timedelta(hours=1)  # a clock that is set back a little must not make it "not yet valid"
_NAMES: Final = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)
_PERMITTED: Final = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
    x509.IPAddress(ipaddress.ip_network("::1/128")),
)


@dataclass(frozen=True, slots=True)
class LocalCertificates:
    """Where the files of the local authority are, and until when its server certificate holds."""

    authority: Path
    server: Path
    """Certificate and key, for `clacks.net.tls.server_context`."""
    until: datetime
    renewed: bool
    """Whether this call made the server certificate anew."""


def local_authority(state_dir: Path) -> Path:
    """Return the path of the authority's certificate, whether it is there or not."""
    return state_dir / "tls" / "ca.pem"


def valid_until(certificate: Path) -> datetime:
    """Return when the first certificate of a PEM file ends.

    Raises:
        SettingsError: If the file cannot be read or is no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no certificate in PEM form"
        raise SettingsError(str(certificate), reason) from error


def ensure_local_certificates(state_dir: Path, now: datetime | None = None) -> LocalCertificates:
    """Make the local authority and a server certificate for localhost, or renew what ends soon.

    Cheap when everything is in order; call it at the start and once a day. Several processes may do so at
    the same time. Files that cannot be read, do not belong together or are of another kind are replaced.

    Args:
        state_dir: The state folder (`Settings.state_dir`); made if it is not there.
        now: The time, with its zone; the clock's if not given.

    Raises:
        SettingsError: If the folder cannot be written.
    """
    now = datetime.now(UTC) if now is None else now
    folder = state_dir / "tls"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o755, exist_ok=True)
        with _locked(folder):
            return _ensure(folder, now)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else str(folder)
        raise SettingsError(where, f"certificates cannot be kept there: {error.strerror}") from error


def _ensure(folder: Path, now: datetime) -> LocalCertificates:
    authority_file, key_file, server_file = folder / "ca.pem", folder / "ca.key", folder / "server.pem"
    authority = _read(authority_file, key_file)
    if authority is None or not _is_authority(authority[0]) or _ends(authority[0], now, AUTHORITY_RENEWAL):
        authority = _make_authority(now)
        # The key first: a crash in between leaves a pair that does not fit, and so is replaced.
        _replace(key_file, _key_text(authority[1]), 0o600)
        _replace(authority_file, _certificate_text(authority[0]), 0o644)
    server = _read(server_file, server_file)
    renew = server is None or not _issued_by(server[0], authority[0]) or _ends(server[0], now, SERVER_RENEWAL)
    if server is None or renew:
        server = _make_server(authority, now)
        _replace(server_file, _certificate_text(server[0]) + _key_text(server[1]), 0o600)
    for private in (key_file, server_file):
        if private.stat().st_mode & 0o077:  # somebody was generous
            private.chmod(0o600)
    return LocalCertificates(authority_file, server_file, server[0].not_valid_after_utc, renew)


# -- making

_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # The number keeps apart what browsers and people see of two authorities made on one machine.
    name = f"Clacks on {socket.gethostname()[:40] or 'localhost'}, {x509.random_serial_number():x}"[:64]
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Clacks local authority"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    certificate = (
        _builder(subject, key, now, AUTHORITY_LIFETIME)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.NameConstraints(list(_PERMITTED), None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _make_server(authority: _Pair, now: datetime) -> _Pair:
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        _builder(subject, key, now, SERVER_LIFETIME)
        .issuer_name(issuer.subject)
        .add_extension(x509.SubjectAlternativeName(_NAMES), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate, key


# -- judging


def _ends(certificate: x509.Certificate, now: datetime, margin: timedelta) -> bool:
    return now < certificate.not_valid_before_utc or now + margin >= certificate.not_valid_after_utc


def _is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether this is an authority of ours, constrained as the one we would make."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.ca and found.permitted_subtrees == list(_PERMITTED) and _issued_by(certificate, certificate)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


# -- files


def _read(certificate_file: Path, key_file: Path) -> _Pair | None:
    """Read a certificate and its key; None if they are not there, not readable or do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return certificate, key


def _certificate_text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file so that others see the old one or the new one, and never a key that they may not see."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out; the lock goes with the process, however that ends."""
    # For its owner alone: whoever can open it can also hold the lock.
    with open(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
