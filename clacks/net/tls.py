"""TLS by asyncio's ``ssl``: contexts for both sides, certificates that change under way, errors in words.

Names and IP addresses of a certificate are checked by OpenSSL itself. Nothing here turns verification off,
and there is no setting for it: for a certificate of one's own there is ``ca``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from clacks.amqp.sasl import Channel, PeerCertificate
from clacks.common.errors import ConnectionFailed, SettingsError
from clacks.net.binding import binding_of, end_point_of_file

__all__ = [
    "CertificateWatch",
    "channel_of",
    "client_context",
    "connection_failed",
    "is_loopback",
    "peer_certificate",
    "server_binding",
    "server_context",
]

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine.

    Of names only ``localhost`` and what is below it count (RFC 6761, 6.3): others are somebody's word.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def client_context(
    host: str,
    *,
    ca: Path | None = None,
    local_authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> ssl.SSLContext:
    """Make the context for a connection to ``host``; verifies the certificate and the name.

    Args:
        host: The host of the URL: decides whether the local authority counts. Give the same to asyncio as
            ``server_hostname``.
        ca: File with the authorities to trust, and no others. Without it those of the system.
        local_authority: File of the authority that ``clacks up`` made on this machine
            (`clacks.net.certificates.local_authority`). Trusted, beside the system's, for loopback names
            only; left out if the file is not there.
        certificate: Client certificate for EXTERNAL, with its chain.
        key: Its key, if that is in another file.

    Raises:
        SettingsError: If a file cannot be used.
    """
    if ca is None:
        context = ssl.create_default_context()
        # The state folder of a service may be closed to us: then its authority is as good as not there.
        if local_authority is not None and is_loopback(host) and os.access(local_authority, os.R_OK):
            _trust(context, local_authority)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # An intermediate authority may be all that somebody wants to trust. (The default from 3.13 on.)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _trust(context, ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # deprecated since RFC 2818, and free text
    if certificate is not None:
        _load_chain(context, certificate, key)
    return context


def server_context(
    certificate: Path, key: Path | None = None, *, client_ca: Path | None = None
) -> ssl.SSLContext:
    """Make the context of a listener.

    Args:
        certificate: Server certificate, followed by its chain.
        key: Its key, if that is in another file.
        client_ca: Authorities whose client certificates count for EXTERNAL. Clients without a certificate
            may come in all the same, by password; one that does not verify is refused in the handshake.

    Raises:
        SettingsError: If a file cannot be used.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_chain(context, certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        _trust(context, client_ca)
    return context


class ServerContext(ssl.SSLContext):
    """The context of a listener, and what its certificate binds logins to."""

    binding: bytes | None = None


class CertificateWatch:
    """Loads a renewed certificate into a context that is in use: new connections get it, old ones go on.

    Call `reload` now and then (an hour is soon enough); it looks at the files and does nothing if they are
    what they were. Authorities of clients that were added count at once, removed ones when the process
    starts anew: OpenSSL cannot forget one.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        certificate: Path,
        key: Path | None = None,
        *,
        client_ca: Path | None = None,
    ) -> None:
        self._context = context
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._seen = self._look()

    def reload(self) -> bool:
        """Load the files if they changed; tell whether the context has new ones.

        Files that cannot be used are logged, and the context keeps what it has; so does a certificate whose
        key has not been written yet: the next call finds the pair.
        """
        found = self._look()
        if found == self._seen:
            return False
        try:
            # A context of its own first: half a pair must not get into the one that serves.
            server_context(self._certificate, self._key, client_ca=self._client_ca)
            _load_chain(self._context, self._certificate, self._key)
            if self._client_ca is not None:
                _trust(self._context, self._client_ca)
        except SettingsError as error:
            log.error("certificate not reloaded reason=%s", error)
            return False
        self._seen = found
        log.info("certificate reloaded file=%s", self._certificate)
        return True

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(
            _signature(path) for path in (self._certificate, self._key, self._client_ca) if path is not None
        )


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(ca))
    except ssl.SSLError as error:
        raise SettingsError(str(ca), f"not a file of PEM certificates ({error.reason or error})") from error
    except OSError as error:
        raise SettingsError(str(ca), f"cannot be read: {error.strerror}") from error


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def no_password() -> bytes:
        # OpenSSL would ask on the terminal.
        raise ValueError("the key is encrypted")

    where = str(certificate) if key is None else f"{certificate}, {key}"
    try:
        context.load_cert_chain(str(certificate), None if key is None else str(key), password=no_password)
        if isinstance(context, ServerContext):
            context.binding = end_point_of_file(certificate)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            reason = "the key does not belong to the certificate"
        elif error.reason in {None, "PEM_LIB", "NO_START_LINE"}:  # OpenSSL often says "PEM lib" and no more
            reason = "not a PEM certificate with its key"
        else:
            reason = str(error.reason)
        raise SettingsError(where, reason) from error
    except OSError as error:
        raise SettingsError(where, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(where, str(error)) from error


# -- what is known of a peer


def channel_of(transport: asyncio.BaseTransport) -> Channel:
    """Return the facts of an accepted connection, for the login."""
    tls = transport.get_extra_info("ssl_object")
    peer = transport.get_extra_info("peername")
    # A socket in the file system has no peer address; nobody reaches it from elsewhere.
    loopback = not isinstance(peer, tuple) or is_loopback(str(peer[0]))
    if tls is None:
        return Channel(loopback=loopback)
    context = tls.context
    binding = context.binding if isinstance(context, ServerContext) else None
    return Channel(tls=True, loopback=loopback, certificate=peer_certificate(tls), binding=binding)


def server_binding(transport: asyncio.BaseTransport) -> bytes | None:
    """Return what a login over this connection can be bound to, seen from the client; None without TLS."""
    tls = transport.get_extra_info("ssl_object")
    return None if tls is None else binding_of(tls.getpeercert(binary_form=True))


def peer_certificate(connection: ssl.SSLObject | ssl.SSLSocket) -> PeerCertificate | None:
    """Return what the peer's verified certificate says, or None if it showed none."""
    found: dict[str, Any] | None = connection.getpeercert()
    if not found:
        return None
    subject = [(str(name), str(value)) for parts in found.get("subject", ()) for name, value in parts]
    names = [(str(kind), str(value)) for kind, value in found.get("subjectAltName", ())]
    common = [value for name, value in subject if name == "commonName"]
    return PeerCertificate(
        subject=",".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in subject),
        common_name=common[0] if len(common) == 1 else "",
        uris=tuple(value for kind, value in names if kind == "URI"),
        emails=tuple(value for kind, value in names if kind == "email"),
        dns=tuple(value for kind, value in names if kind == "DNS"),
    )


_SHORT: Final = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
}


def _escaped(value: str) -> str:
    return "".join("\\" + sign if sign in ',+"\\<>;=' else sign for sign in value)


# -- errors in words

_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_AUTHORITY: Final = frozenset({2, 19, 20, 21, 27, 28})
_WRONG_NAME: Final = frozenset({62, 64})
_CONSTRAINED: Final = frozenset({47, 48})


def connection_failed(error: BaseException, host: str, port: int, *, tls: bool) -> ConnectionFailed:
    """Say why no connection to ``host`` could be made: what happened, and what to do.

    ``error`` is what asyncio raised while connecting, TLS handshake included.
    """
    where = f"{host}:{port}"
    return ConnectionFailed(f"no connection to {where}: {_reason(error, host, tls)}")


def _reason(error: BaseException, host: str, tls: bool) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return _certificate_reason(error, host)
        case ssl.SSLError():
            return _handshake_reason(error)
        case ConnectionRefusedError():
            return "nobody listens there (is the broker running? is the port right?)"
        case socket.gaierror():
            return f"the host name {host!r} is not known"
        case TimeoutError():
            return "no answer in time"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() | EOFError() if tls:
            return (
                "the peer closed the connection in the TLS handshake (it may be a port without TLS: amqp://)"
            )
        case OSError():
            return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__


def _certificate_reason(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code in _WRONG_NAME:
        return f"its certificate is not for {host!r}; use a name that it has, or get one for this name"
    if code == _EXPIRED:
        return "its certificate has expired (or the clock of this machine is wrong)"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet (or the clock of this machine is wrong)"
    if code == _SELF_SIGNED or code in _UNKNOWN_AUTHORITY:
        return (
            "its certificate comes from an authority that we do not know; "
            "name the authority's file in the setting ca_file if you trust it"
        )
    if code in _CONSTRAINED:
        return f"its certificate comes from an authority that may not vouch for {host!r}"
    return f"its certificate does not verify: {error.verify_message}"


def _handshake_reason(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}:
        return "the port does not speak TLS (amqp:// where we said amqps://, or the wrong port)"
    if "CERTIFICATE_REQUIRED" in reason or reason == "SSLV3_ALERT_HANDSHAKE_FAILURE":
        return "the peer refused the TLS handshake; it may want a client certificate"
    if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason or "CERTIFICATE_EXPIRED" in reason:
        return "the peer does not accept our client certificate"
    if "PROTOCOL_VERSION" in reason or reason in {"UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"}:
        return "the peer speaks no version of TLS that is safe (1.2 or 1.3)"
    return f"TLS failed: {reason.replace('_', ' ').lower() or error}"
