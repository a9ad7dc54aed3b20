"""Who somebody is: passwords, API keys, SCRAM, tokens, the peer of a socket. Failures are counted and slowed.

Deriving keys takes milliseconds, so it is done in threads. What is refused is logged without what was shown.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import secrets
import string
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from clacks.amqp.scram import ScramFailure, ScramServerSide
from clacks.common import audit
from clacks.common.credentials import Credentials as Known
from clacks.common.credentials import ScramKeys
from clacks.common.metrics import Metrics
from clacks.common.rights import Rights
from clacks.common.throttle import LoginThrottle
from clacks.dialects.access import GUEST, Identity
from clacks.dialects.actions import (
    ApiKey,
    Credentials,
    Failed,
    Failure,
    MakeToken,
    Password,
    Result,
    ScramStep,
    SessionToken,
    SignedChallenge,
    Token,
)
from clacks.gateway.tokens import TokenKey, TokenRefused, read_token
from clacks.net.verifier import PasswordVerifier, Verdict

__all__ = ["OWNER", "Doorkeeper", "Exchange"]

_log = logging.getLogger(__name__)

OWNER: Final = "clacks:owner"
"""Who runs the gateway, or root, on a socket in the file system: may change its files, so it is admin."""

_SIGNS: Final = string.ascii_letters + string.digits
_WRONG: Final = Failed(Failure.REFUSED, "wrong credentials")
_KEY_CHECKS: Final = 4
"""API keys that are checked at the same time: each takes 20 ms of a thread."""


class Exchange:
    """A SCRAM exchange of one connection, between its two messages."""

    __slots__ = ("key_id", "side", "user")

    def __init__(self) -> None:
        self.side: ScramServerSide | None = None
        self.user = ""
        self.key_id = 0


@dataclass(slots=True)
class _Kept:
    identity: Identity
    seconds: float
    until: float
    sliding: bool
    once: bool
    address: str | None


class Doorkeeper:
    """Checks credentials for all connections of a gateway.

    Args:
        credentials: Gives the users that count now.
        rights: Gives the rights that count now.
        tokens: What tokens are checked with, or None if there are none.
        metrics: Where to count.
        most_tokens: Tokens kept for sessions.
        topics_required: Whether a token without topic filters is refused.
        signer: Gives the user with whose registered key a text was signed, or None; runs in a thread.
    """

    def __init__(
        self,
        credentials: Callable[[], Known],
        rights: Callable[[], Rights],
        tokens: TokenKey | None,
        metrics: Metrics,
        *,
        most_tokens: int = 10_000,
        throttle: LoginThrottle | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        signer: Callable[[str, bytes], str | None] | None = None,
    ) -> None:
        self.tokens = tokens
        self._signer = signer
        self._credentials = credentials
        self._rights = rights
        self._metrics = metrics
        self._throttle = LoginThrottle() if throttle is None else throttle
        self._verifier = PasswordVerifier(credentials, clock=clock)
        self._clock = clock
        self._wall = wall
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._most_tokens = most_tokens
        self._checking = 0

    def start(self) -> None:
        """Get ready to check passwords."""
        self._verifier.start()

    def close(self) -> None:
        """End the threads."""
        self._verifier.close()

    async def login(
        self, credentials: Credentials, address: str, exchange: Exchange
    ) -> tuple[Identity, str] | Result | Failed:
        """Check credentials shown by a peer at ``address``.

        Returns:
            The identity, with the server's last word of a SCRAM exchange; a `Result` with the server's first
            word; or why not.
        """
        match credentials:
            case Password():
                found = await self._password(credentials, address)
            case ApiKey():
                found = await self._api_key(credentials, address)
            case Token():
                found = self._token(credentials, address)
            case SessionToken():
                found = self._session_token(credentials, address)
            case SignedChallenge():
                found = await self._signed(credentials, address)
            case ScramStep():
                return self._scram(credentials, address, exchange)
        if isinstance(found, Identity):
            self._metrics.count("web_logins", result="accepted")
            _log.info("login user=%s method=%s address=%s", found.user, found.method, address)
            audit.login("gateway", found.user, address, "accepted", found.method)
            return found, ""
        return found

    def _refused(self, address: str, user: str, why: str, *, counts: bool = True) -> Failed:
        if counts:
            self._throttle.failed(address, user, self._clock())
        self._metrics.count("web_logins", result="refused")
        audit.login("gateway", user, address, "wrong", why)
        _log.warning("login refused address=%s user=%s reason=%s", address, ascii(user[:64]), why)
        return _WRONG

    def _wait(self, address: str, user: str) -> Failed | None:
        if self._throttle.wait(address, user, self._clock()) > 0:
            self._metrics.count("web_logins", result="later")
            audit.login("gateway", user, address, "later")
            return Failed(Failure.BUSY, "too many failed logins; try again later")
        return None

    async def _password(self, shown: Password, address: str) -> Identity | Failed:
        if wait := self._wait(address, shown.user):
            return wait
        verdict = await self._verifier.verify(shown.user, shown.password)
        if verdict is Verdict.BUSY:
            return Failed(Failure.BUSY, "too many logins at once; try again later")
        # Others failed meanwhile: a guess must not come through among a hundred sent at once.
        if wait := self._wait(address, shown.user):
            return wait
        if verdict is Verdict.WRONG:
            return self._refused(address, shown.user, "wrong password")
        return Identity(shown.user, origin=shown.user, method="password")

    async def _api_key(self, shown: ApiKey, address: str) -> Identity | Failed:
        who = shown.key.partition("-")[0][:18]
        if wait := self._wait(address, who):
            return wait
        if self._checking >= _KEY_CHECKS * 8:
            return Failed(Failure.BUSY, "too many logins at once; try again later")
        self._checking += 1
        try:
            user = await asyncio.to_thread(self._credentials().verify_api_key, shown.key)
        finally:
            self._checking -= 1
        if wait := self._wait(address, who):
            return wait
        if user is None or (shown.user is not None and shown.user != user):
            return self._refused(address, who, "wrong API key")
        return Identity(user, origin=user, method="api key")

    async def _signed(self, shown: SignedChallenge, address: str) -> Identity | Failed:
        if wait := self._wait(address, ""):
            return wait
        user = None
        if self._signer is not None:
            user = await asyncio.to_thread(self._signer, shown.challenge, shown.signature)
        if user is None or user not in self._rights().users:
            return self._refused(address, user or "", "no registered key signed this")
        return Identity(user, origin=user, method="key")

    def _token(self, shown: Token, address: str) -> Identity | Failed:
        if self.tokens is None:
            return self._refused(address, "", "a token, and none are accepted", counts=False)
        try:
            identity = read_token(shown.token, self.tokens, now=self._wall())
        except TokenRefused as error:
            return self._refused(address, "", f"token: {error}", counts=False)
        return self._placed(identity)

    def _placed(self, identity: Identity) -> Identity:
        """Give a token whose ``sub`` is no user of ours the rights of a guest; origin and filters stay."""
        if identity.user in self._rights().users and ":" not in identity.user:
            return identity
        return replace(identity, user=GUEST)

    def _scram(
        self, shown: ScramStep, address: str, exchange: Exchange
    ) -> tuple[Identity, str] | Result | Failed:
        if shown.mechanism != "SCRAM-SHA-512":
            return Failed(Failure.INVALID, f"{shown.mechanism} is not offered")
        try:
            if shown.first:
                return self._scram_first(shown, address, exchange)
            side, exchange.side = exchange.side, None
            if side is None:
                return Failed(Failure.INVALID, "the first message is missing")
            last = side.final(shown.message.encode()).decode()
        except ScramFailure as error:
            return self._refused(address, exchange.user, f"SCRAM: {error}")
        key = self._credentials().api_keys.get(exchange.key_id)
        if key is None or key.user != exchange.user:
            return self._refused(address, exchange.user, "SCRAM: no such key")
        self._metrics.count("web_logins", result="accepted")
        _log.info("login user=%s method=scram address=%s", key.user, address)
        audit.login("gateway", key.user, address, "accepted", "scram")
        return Identity(key.user, origin=key.user, method="scram"), last

    def _scram_first(self, shown: ScramStep, address: str, exchange: Exchange) -> Result | Failed:
        known = self._credentials()

        def keys(name: str) -> ScramKeys:
            user, _, number = name.rpartition(":")
            exchange.user = user
            exchange.key_id = int(number) if number.isascii() and number.isdigit() else 0
            return known.api_key_keys(user, exchange.key_id)

        # Here one mechanism has both: a client that binds begins with p= (RFC 5802, 7).
        bound = shown.message.startswith("p=")
        side = ScramServerSide(keys, hashed=shown.mechanism, binding=shown.binding or None, bound=bound)
        answer = side.first(shown.message.encode()).decode()
        if wait := self._wait(address, exchange.user):
            return wait
        exchange.side = side
        return Result(answer)

    # -- tokens of sessions

    def make_token(self, wanted: MakeToken, identity: Identity) -> str:
        """Make a token that logs in as ``identity``."""
        text = "".join(secrets.choice(_SIGNS) for _ in range(max(wanted.length, 20)))
        while len(self._kept) >= self._most_tokens:
            self._kept.popitem(last=False)
        self._kept[text] = _Kept(
            identity,
            wanted.seconds,
            self._clock() + wanted.seconds,
            wanted.sliding,
            wanted.once,
            wanted.address,
        )
        return text

    def end_token(self, text: str) -> bool:
        """Make a token void; tell whether there was one."""
        return self._kept.pop(text, None) is not None

    def _session_token(self, shown: SessionToken, address: str) -> Identity | Failed:
        if wait := self._wait(address, ""):
            return wait
        kept = self._kept.get(shown.token)
        if kept is None or kept.until <= self._clock() or kept.address not in (None, address):
            return self._refused(address, "", "session token")
        if kept.once:
            del self._kept[shown.token]
        elif kept.sliding:
            kept.until = self._clock() + kept.seconds
            self._kept.move_to_end(shown.token)
        return kept.identity

    # -- sockets in the file system

    def of_socket(self, uid: int) -> Identity | None:
        """Return who the system's user at the other end of a socket is, or None for nobody."""
        if uid in (0, os.geteuid()):
            return Identity(OWNER, origin=None, method="socket")
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            return None
        return Identity(name, origin=name, method="socket") if name in self._rights().users else None
