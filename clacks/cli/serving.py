"""A broker as a service: its sockets, the files that it reads again, its certificate; and signals.

What decides is in ``broker``, what listens in ``net``. Here they are put together for ``clacks up`` and
``clacks broker``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import platform
import secrets
import signal
import string
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clacks.agent.service import RightsFile
from clacks.broker.broker import Broker
from clacks.cli import output
from clacks.cli.connection import new_password
from clacks.cli.files import read_credentials, salted_credentials
from clacks.common.address import is_loopback
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.errors import SettingsError
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings
from clacks.net.certificates import ensure_local_certificates
from clacks.net.listener import BrokerServer
from clacks.net.open_files import allow_open_files
from clacks.net.tls import CertificateWatch, server_context

if TYPE_CHECKING:
    import ssl

    from clacks.common.tracing import Tracing
    from clacks.store import Store

__all__ = [
    "LOCAL_AGENT",
    "LOCAL_GATEWAY",
    "Guests",
    "Logins",
    "broker_urls",
    "guests",
    "opened_store",
    "running_broker",
    "stop_event",
]

_log = logging.getLogger(__name__)

LOCAL_AGENT = "clacks:agent"
"""Login of the agent inside ``clacks up``. No user can have a name with a colon, so nobody else is it."""

LOCAL_GATEWAY = "clacks:gateway"
"""Login of the gateway inside ``clacks up``, likewise."""

_LOOK_AGAIN = 1.0  # seconds between two looks at the files
_CERTIFICATES = 3600.0  # seconds between two looks at the certificates, which are renewed weeks ahead


@dataclass(frozen=True, slots=True)
class Guests:
    """Users that exist as long as the service runs, beside those in the files."""

    credentials: Credentials = field(default_factory=Credentials)
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)


def guests(given: Iterable[str], settings: Settings, password_file: Path | None) -> Guests:
    """Return the users that ``--user NAME`` or ``--user NAME:PASSWORD`` name; they are admins unless the
    rights file says otherwise.

    If nobody is named and the files know nobody, one is made up and its password shown: a broker that nobody
    can use is of no use, and one with a usual password would be used by anybody.

    Raises:
        SettingsError: If a name or password cannot be used, or a password stands on the command line of a
            broker that others can reach.
    """
    known = RightsFile(settings.rights_file).read().users
    found = Guests()
    for text in given:
        name, colon, password = text.partition(":")
        secret = new_password(
            name,
            text=password if colon else None,
            password_file=password_file,
            loopback=is_loopback(settings.host),
        )
        found = _with_guest(found, name, secret, known)
    if not found.credentials.users and not read_credentials(settings).users:
        signs = string.ascii_letters + string.digits
        secret = "".join(secrets.choice(signs) for _ in range(16))
        found = _with_guest(found, "admin", secret, {})
        output.note(
            f"there are no users yet; until this ends you can log in as admin with the password {secret}"
        )
        output.note("make users that stay with: clacks users add NAME --role ROLE")
    return found


def _with_guest(found: Guests, name: str, password: str, known: Mapping[str, tuple[str, ...]]) -> Guests:
    roles = {**found.roles} if name in known else {**found.roles, name: ("admin",)}
    return Guests(found.credentials.joined(make_credentials(name, password)), roles)


class Logins:
    """The credentials that count now: those of the file and those of guests."""

    def __init__(self, settings: Settings, more: Credentials) -> None:
        self._settings = settings
        self._more = more
        self._seen = self._look()
        self.now = salted_credentials(settings).joined(more)

    def __call__(self) -> Credentials:
        """Return them."""
        return self.now

    def look_again(self) -> None:
        """Read the file if it changed; one that cannot be used leaves everything as it was."""
        found = self._look()
        if found == self._seen:
            return
        self._seen = found
        try:
            self.now = salted_credentials(self._settings).joined(self._more)
            _log.info("credentials read again file=%s", self._settings.credentials_file)
        except (SettingsError, OSError) as error:
            _log.error("credentials not read again, the old ones stay: %s", error)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            state = self._settings.credentials_file.stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_size, state.st_ino


class _Certificate:
    """The certificate of the broker and its renewal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        if settings.certificate is not None:
            self.file, self.key = settings.certificate, settings.private_key
        else:
            self.file, self.key = ensure_local_certificates(settings.state_dir).server, None
        self.context: ssl.SSLContext = server_context(self.file, self.key, client_ca=settings.client_ca_file)
        self._watch = CertificateWatch(self.context, self.file, self.key, client_ca=settings.client_ca_file)

    def look_again(self) -> None:
        """Renew what ends soon and load what is new."""
        try:
            if self._settings.certificate is None:
                ensure_local_certificates(self._settings.state_dir)
            self._watch.reload()
        except SettingsError as error:
            _log.error("certificate not renewed: %s", error)


@contextlib.asynccontextmanager
async def running_broker(
    settings: Settings,
    registry: SchemaRegistry,
    users: Guests,
    agent: str | None = None,
    *,
    tracing: Tracing | None = None,
) -> AsyncIterator[BrokerServer]:
    """Run a broker with what the settings say; its files are read again when they change.

    Args:
        agent: Login of an agent in this process, which needs no credentials. The agent then watches the
            rights file and the schemas and tells the broker: of two who watch, only the first would see.
        tracing: Makes a span of what the broker does with each event.

    Raises:
        SettingsError: If a file cannot be used.
        ConnectionFailed: If a port cannot be had.
    """
    allow_open_files()
    rights = RightsFile(
        settings.rights_file,
        {**users.roles, **({agent: ("agent",), LOCAL_GATEWAY: ("gateway",)} if agent else {})},
    )
    logins = Logins(settings, users.credentials)
    certificate = _Certificate(settings)
    broker = Broker(registry, rights.read(), settings.limits, domain=settings.domain, tracing=tracing)
    server = BrokerServer(
        broker,
        logins,
        host=settings.host,
        port=settings.port,
        tls_port=settings.tls_port,
        tls=certificate.context,
    )

    async def watch() -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            waited += _LOOK_AGAIN
            await asyncio.to_thread(logins.look_again)
            if agent is None and rights.changed():
                try:
                    broker.set_rights(rights.read())
                    _log.info("rights read again file=%s", settings.rights_file)
                except SettingsError as error:
                    _log.error("rights not read again, the old ones stay: %s", error)
            if agent is None and await asyncio.to_thread(registry.reload):
                broker.set_registry(registry)
            if waited >= _CERTIFICATES:
                waited = 0.0
                await asyncio.to_thread(certificate.look_again)

    async with server:
        watching = asyncio.create_task(watch())
        try:
            yield server
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


def opened_store(settings: Settings) -> Store:
    """Return the store that the settings name, not yet started.

    Raises:
        StoreError: The address means no store, or its extra is not installed.
    """
    from clacks.store import open_store

    where = settings.log.store or str(settings.state_dir / "log.sqlite")
    name = settings.node or platform.node() or "recorder"
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_store(
        where, sync=settings.log.sync, domain=settings.domain, recorder=name, limits=settings.limits
    )


def broker_urls(server: BrokerServer, settings: Settings) -> list[str]:
    """Return the URLs under which a running broker can be reached, without a user."""
    host = settings.host
    if host in ("127.0.0.1", "::1", ""):
        host = "localhost"
    elif host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = platform.node() or "localhost"
    shown = f"[{host}]" if ":" in host else host
    return [f"{scheme}://{shown}:{port}/{settings.domain}" for scheme, port in server.ports.items()]


def stop_event() -> asyncio.Event:
    """Return an event that Ctrl-C or SIGTERM sets; a second one ends the process the hard way.

    Call it on the loop, before the service is said to be ready.
    """
    # What was made up to now, modules and schemas, stays: 10^5 objects that the collector of garbage need not
    # walk each time, while everybody waits.
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return stopped
