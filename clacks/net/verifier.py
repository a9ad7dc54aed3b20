"""Who may come in: passwords checked off the loop, failures counted, successes remembered.

`Logins` belongs to one listener. It makes the `SaslServer` of each connection and decides what that one
leaves open. Deriving the keys of a password takes milliseconds without the interpreter lock, so two threads
do it, with a short queue in front: a flood of logins makes other logins wait for a moment and then be
refused for now, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from typing import Final, Self

from clacks.amqp.sasl import DEFAULT_MECHANISMS, Channel, PeerCertificate, SaslServer, user_of_certificate
from clacks.common import audit
from clacks.common.credentials import Credentials, VerifiedPasswords
from clacks.common.errors import BusError, LoginRefused
from clacks.common.metrics import Metrics
from clacks.common.throttle import LoginThrottle

__all__ = ["Logins", "PasswordVerifier", "Verdict"]

log = logging.getLogger(__name__)

THREADS: Final = 2
WAITING: Final = 64
"""Passwords that wait for a thread: a quarter of a second of work. Beyond it a login is refused for now."""


class Verdict(Enum):
    """What became of a password."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"
    """Not checked: too many were waiting."""


class PasswordVerifier:
    """Checks passwords in a small pool of threads.

    Use it from one event loop, between `start` and `close` or with ``with``. ``credentials`` gives what
    counts now; ``clock`` seconds that only go forward.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        *,
        threads: int = THREADS,
        waiting: int = WAITING,
        clock: Callable[[], float] = time.monotonic,
        remembered: VerifiedPasswords | None = None,
    ) -> None:
        self._credentials = credentials
        self._threads = threads
        self._room = threads + waiting
        self._clock = clock
        self._remembered = VerifiedPasswords() if remembered is None else remembered
        self._pool: ThreadPoolExecutor | None = None
        # The same login of many connections is checked once: after a restart they all come at the same time.
        self._running: dict[tuple[str, str], asyncio.Future[Verdict]] = {}

    def start(self) -> None:
        """Make the pool; threads start with the first password."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="clacks-login")

    def close(self) -> None:
        """End the threads; whoever waits gets BUSY. Blocks for one derivation at most."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for verdict in self._running.values():
            if not verdict.done():
                verdict.set_result(Verdict.BUSY)
        pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many passwords are being checked or wait for it."""
        return len(self._running)

    async def verify(self, user: str, password: str) -> Verdict:
        """Check a password; an unknown user takes as long as a wrong password."""
        credentials = self._credentials()
        if self._remembered.known(credentials, user, password, self._clock()):
            return Verdict.RIGHT
        running = self._running.get((user, password))
        if running is None:
            if self._pool is None or len(self._running) >= self._room:
                return Verdict.BUSY
            running = self._begin(self._pool, credentials, user, password)
        # The connection that asked may go away; others may wait for the same verdict.
        return await asyncio.shield(running)

    def _begin(
        self, pool: ThreadPoolExecutor, credentials: Credentials, user: str, password: str
    ) -> asyncio.Future[Verdict]:
        loop = asyncio.get_running_loop()
        verdict: asyncio.Future[Verdict] = loop.create_future()
        self._running[user, password] = verdict

        def settle(done: Future[bool]) -> None:
            del self._running[user, password]
            if verdict.done():
                return
            if done.cancelled() or done.exception() is not None:
                log.error("password not checked user=%s", user, exc_info=done.exception())
                verdict.set_result(Verdict.BUSY)
            elif done.result():
                self._remembered.remember(credentials, user, password, self._clock())
                verdict.set_result(Verdict.RIGHT)
            else:
                verdict.set_result(Verdict.WRONG)

        work = pool.submit(credentials.verify_password, user, password)
        work.add_done_callback(lambda done: loop.call_soon_threadsafe(settle, done))
        return verdict


class Logins:
    """Everything a listener needs to let peers in.

    For each connection: ``sasl = logins.server(address, channel)``; where `SaslServer.pending` is set after
    bytes came in, ``await logins.decide(address, sasl)``; where `SaslServer.receive` raised,
    ``logins.refused(address, sasl, error)``; when it is done, ``logins.accepted(address, sasl)``.

    Counts ``logins`` with the label ``result``: ``accepted``, ``wrong``, ``later`` (throttled or too many at
    once), ``protocol`` (no login at all).
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        *,
        mechanisms: Iterable[str] = DEFAULT_MECHANISMS,
        user_of: Callable[[PeerCertificate], str | None] = user_of_certificate,
        metrics: Metrics | None = None,
        throttle: LoginThrottle | None = None,
        verifier: PasswordVerifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = Metrics() if metrics is None else metrics
        self._credentials = credentials
        self._mechanisms = tuple(mechanisms)
        self._user_of = user_of
        self._throttle = LoginThrottle() if throttle is None else throttle
        self._verifier = PasswordVerifier(credentials, clock=clock) if verifier is None else verifier
        self._clock = clock

    def start(self) -> None:
        """Get ready to check passwords."""
        self._verifier.start()

    def close(self) -> None:
        """End the threads; passwords that wait are refused for now."""
        self._verifier.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def server(self, address: str, channel: Channel) -> SaslServer:
        """Make the login of one connection from ``address`` (the peer's IP address)."""
        return SaslServer(
            self._mechanisms,
            channel=channel,
            keys=lambda user: self._credentials().keys(user),
            user_of=self._user_of,
            admit=lambda user: self._throttle.wait(address, user, self._clock()),
        )

    async def decide(self, address: str, sasl: SaslServer) -> None:
        """Check the `SaslServer.pending` password and tell ``sasl``; call ``receive(b"")`` afterwards."""
        pending = sasl.pending
        if pending is None:
            return
        verdict = await self._verifier.verify(pending.user, pending.password)
        if verdict is Verdict.RIGHT and self._throttle.wait(address, pending.user, self._clock()) > 0:
            # Others failed meanwhile: a guess must not come through among a hundred sent at once.
            verdict = Verdict.BUSY
        sasl.resolve(verdict is Verdict.RIGHT, temporary=verdict is Verdict.BUSY)

    def accepted(self, address: str, sasl: SaslServer) -> None:
        """Note that a peer is in."""
        self.metrics.count("logins", result="accepted")
        audit.login("broker", sasl.user or "", address, "accepted", sasl.mechanism or "")
        log.info("login user=%s mechanism=%s address=%s", sasl.user, sasl.mechanism, address)

    def refused(self, address: str, sasl: SaslServer, error: BusError) -> None:
        """Note that a peer is not let in; wrong credentials count against user and address."""
        if not isinstance(error, LoginRefused):
            result = "protocol"
        elif error.temporary:
            result = "later"
        else:
            result = "wrong"
            self._throttle.failed(address, sasl.claimed or "", self._clock())
        self.metrics.count("logins", result=result)
        audit.login("broker", sasl.claimed or "", address, result, sasl.mechanism or "")
        log.warning("login refused address=%s result=%s reason=%s", address, result, error)
