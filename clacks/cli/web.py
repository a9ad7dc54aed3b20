"""The gateway as a part of a service: its listeners, its key for tokens, its certificate; for ``clacks up``
and ``clacks gateway``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clacks.cli import output
from clacks.cli.files import write_private
from clacks.common.address import is_loopback
from clacks.common.credentials import Credentials
from clacks.common.errors import ConnectionFailed, SettingsError
from clacks.common.measured import Measured
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings
from clacks.gateway.guard import Guard
from clacks.gateway.listeners import DEFAULT_LISTENER, WEB_KINDS, Listen, parse_listen
from clacks.gateway.remote import Recorder, RemoteLog, RemoteValues
from clacks.gateway.service import Gateway, Options
from clacks.gateway.tables import KIND_ROUTES, KINDS, PATHS, routes
from clacks.gateway.tokens import TokenKey
from clacks.net.certificates import ensure_local_certificates
from clacks.net.keys import RegisteredKeys
from clacks.net.open_files import allow_open_files
from clacks.net.tls import CertificateWatch, server_context
from clacks.net.web import WebListener

if TYPE_CHECKING:
    from clacks.agent.recording import Recorder as LocalRecorder
    from clacks.agent.service import RightsFile
    from clacks.bus import Bus
    from clacks.cli.serving import Logins
    from clacks.store import Store

__all__ = [
    "Certificates",
    "WatchedRights",
    "broker_listeners",
    "make_token_key",
    "running_gateway",
    "token_key",
    "watched_rights",
    "web_listeners",
]

_log = logging.getLogger(__name__)

_CERTIFICATES = 3600.0  # seconds between two looks at the certificate, which is renewed weeks ahead


def web_listeners(given: Sequence[str] | None, settings: Settings, *, no_auth: bool = False) -> list[Listen]:
    """Return where the web side listens; the default if no listener for HTTP is wanted.

    Raises:
        SettingsError: If a listener cannot be understood, or ``--no-auth`` would be open to others.
    """
    found = [parse_listen(text) for text in (given or settings.web.listen)]
    web = [one for one in found if one.kind in WEB_KINDS]
    if not any(one.kind in ("http", "https") for one in web):
        web.insert(0, DEFAULT_LISTENER)
    if no_auth:
        for one in web:
            if one.path is None and not is_loopback(one.host):
                raise SettingsError("--no-auth", f"only on loopback, and {one.kind} listens on {one.host}")
    return web


def broker_listeners(given: Sequence[str] | None, settings: Settings) -> Settings:
    """Return settings in which the broker listens where ``--listen amqp=...`` and ``amqps=...`` say."""
    for one in (parse_listen(text) for text in (given or settings.web.listen)):
        if one.kind == "amqp":
            settings = settings.changed(host=one.host, port=one.port)
        elif one.kind == "amqps":
            settings = settings.changed(host=one.host, tls_port=one.port)
    return settings


def _key_file(settings: Settings) -> Path:
    return settings.web.token_key or settings.state_dir / "token.key"


def token_key(settings: Settings) -> TokenKey | None:
    """Return what tokens are checked with; None if there is no key yet.

    Raises:
        SettingsError: If the file cannot be used, or one that is named is not there.
    """
    path = _key_file(settings)
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        if settings.web.token_key is None:
            return None
        raise SettingsError(str(path), "there is no such file") from None
    except OSError as error:
        raise SettingsError(str(path), error.strerror or str(error)) from error
    return TokenKey(settings.web.token_algorithm, key)


def make_token_key(settings: Settings) -> TokenKey:
    """Return the key for tokens; a secret is made if there is none."""
    found = token_key(settings)
    if found is None:
        if settings.web.token_algorithm != "HS256":  # noqa: S105 - a name
            raise SettingsError("token_key", f"{settings.web.token_algorithm} needs a key of your own")
        write_private(_key_file(settings), secrets.token_hex(32) + "\n")
        found = token_key(settings)
        assert found is not None
    return found


class Certificates:
    """The certificate of all listeners with TLS, looked at again now and then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        file, key = settings.certificate, settings.private_key
        if file is None:
            file, key = ensure_local_certificates(settings.state_dir).server, None
        self.context = server_context(file, key)
        self._watch = CertificateWatch(self.context, file, key)

    async def watch(self) -> None:
        """Renew what ends soon and load what is new, until cancelled."""
        while True:
            await asyncio.sleep(_CERTIFICATES)
            await asyncio.to_thread(self.look_again)

    def look_again(self) -> None:
        """Load a certificate that was renewed."""
        try:
            if self._settings.certificate is None:
                ensure_local_certificates(self._settings.state_dir)
            self._watch.reload()
        except SettingsError as error:
            _log.error("certificate not renewed: %s", error)


def _signer(settings: Settings) -> Callable[[str, bytes], str | None] | None:
    """Return what checks logins by key, if the option ``auth_ssl`` names a folder with public keys.

    Raises:
        SettingsError: If there is no such folder.
    """
    folder = settings.web.options.get("auth_ssl")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise SettingsError("web.options.auth_ssl", f"{folder}: no such folder of public keys")
    return RegisteredKeys(Path(folder)).signer


def gateway_url(gateway: Gateway) -> str | None:
    """Return where others reach a gateway: the URL of its first listener for HTTP, TLS before open ones.

    One that listens on all addresses is named by the host's name.
    """
    found = []
    for listener, port in gateway.server.ports:
        if listener.kind not in ("http", "https") or listener.path is not None:
            continue
        host = platform.node() if listener.host in ("0.0.0.0", "::", "") else listener.host  # noqa: S104
        found.append(
            (listener.kind != "https", f"{listener.kind}://{f'[{host}]' if ':' in host else host}:{port}/")
        )
    return min(found)[1] if found else None


@contextlib.asynccontextmanager
async def running_gateway(
    bus: Bus,
    registry: SchemaRegistry,
    settings: Settings,
    listeners: Sequence[Listen],
    *,
    credentials: Callable[[], Credentials],
    rights: Callable[[], Rights],
    store: Store | LocalRecorder | None = None,
    no_auth: bool = False,
    busy_is_fine: bool = False,
    measured: Measured | None = None,
) -> AsyncIterator[Gateway | None]:
    """Run a gateway on a started bus.

    Args:
        store: Event log and keys of this process; without one the agent that records is asked for them.
        busy_is_fine: Whether it is only a warning that the default port is taken; then there is none.
        measured: What else of this process ``/metrics`` shows.

    Raises:
        ConnectionFailed: If a port cannot be had.
        SettingsError: If a key or certificate cannot be used.
    """
    allow_open_files()
    certificates = Certificates(settings) if any(one.tls for one in listeners) else None
    secret = settings.web.token_algorithm == "HS256"  # noqa: S105 - a name
    made = make_token_key(settings) if secret else None
    options = Options(
        paths=PATHS,
        kinds=KINDS,
        routes=routes,
        kind_routes=KIND_ROUTES,
        guard=Guard.of(settings.web.hosts, settings.web.origins),
        no_auth=no_auth,
        token_key=made if secret else token_key(settings),
        dialect_options=settings.web.options,
        signer=_signer(settings),
    )
    recorder = Recorder(bus)
    gateway = Gateway(
        bus,
        registry,
        options,
        [
            WebListener(
                one.kind,
                one.host,
                one.port,
                one.path,
                certificates.context if one.tls and certificates else None,
            )
            for one in listeners
        ],
        limits=settings.limits,
        credentials=credentials,
        rights=rights,
        log=RemoteLog(recorder) if store is None else store.log,
        keys=RemoteValues(recorder) if store is None else store.values,
        metrics=bus.metrics,
        measured=measured,
    )
    try:
        await gateway.start()
    except ConnectionFailed as error:
        if not (busy_is_fine and list(listeners) == [DEFAULT_LISTENER]):
            raise
        output.note(f"no gateway: {error}; --listen http=HOST:PORT takes another one")
        yield None
        return
    watching = None if certificates is None else asyncio.create_task(certificates.watch())
    try:
        for listener, port in gateway.server.ports:
            if listener.path is not None:
                output.line(f"{listener.kind}=unix:{listener.path}")
            elif listener.kind in ("http", "https"):
                host = f"[{listener.host}]" if ":" in listener.host else listener.host
                output.line(f"{listener.kind}://{host}:{port}/")
            else:
                output.line(f"{listener.kind}={listener.host}:{port}")
        yield gateway
    finally:
        if watching is not None:
            watching.cancel()
        await gateway.close()


class WatchedRights:
    """The files of a gateway that stands alone, read again when they change."""

    def __init__(self, rights: RightsFile, logins: Logins, registry: SchemaRegistry) -> None:
        self._file = rights
        self._logins = logins
        self._registry = registry
        self.now = rights.read()
        """The rights that hold."""

    async def watch(self, gateway: Gateway) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(self._logins.look_again)
            changed = await asyncio.to_thread(self._registry.reload)
            if self._file.changed():
                try:
                    self.now = await asyncio.to_thread(self._file.read)
                    changed = True
                    _log.info("rights read again")
                except SettingsError as error:
                    _log.error("rights not read again, the old ones stay: %s", error)
            if changed:
                gateway.changed()


def watched_rights(rights: RightsFile, logins: Logins, registry: SchemaRegistry) -> WatchedRights:
    """Return the rights of a file, watched. Raises SettingsError if it cannot be used."""
    return WatchedRights(rights, logins, registry)
