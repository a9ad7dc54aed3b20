"""SCRAM (RFC 5802, 7677): the one door to scramp, for both sides of the SASL layer.

Both sides are two steps of bytes in, bytes out. Whatever scramp dislikes becomes `ScramFailure`, so nobody
else needs to know its exceptions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import scramp
from scramp.utils import saslprep

from clacks.common.credentials import ScramKeys

__all__ = [
    "BINDING",
    "CLIENT_MECHANISMS",
    "ITERATIONS_LIMIT",
    "PLUS",
    "SERVER_MECHANISM",
    "ScramClientSide",
    "ScramFailure",
    "ScramServerSide",
    "prepared",
]

SERVER_MECHANISM: Final = "SCRAM-SHA-256"
"""The one that our own broker offers: users' keys are kept for this hash."""

CLIENT_MECHANISMS: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1")
"""What a client may use, best first. SHA-512 is no safer here and is not everywhere; SHA-1 is safe inside
HMAC, and a broker on Cyrus may have nothing else that does not show the password."""

BINDING: Final = "tls-server-end-point"
"""The kind of channel binding that both sides can compute from the broker's certificate (RFC 5929, 4)."""

PLUS: Final = "-PLUS"
"""End of the name of a mechanism whose proof includes the channel binding (RFC 5802, 6)."""

ITERATIONS_LIMIT: Final = 1_000_000
"""Rounds that a client computes because the broker says so: half a second. A hostile broker would ask for
billions. (scramp refuses fewer than 4096, which would make the password easy to guess.)"""


class ScramFailure(Exception):
    """The exchange failed; the text says why, for the log."""


def prepared(text: str) -> str:
    """Return a user name or password in the form that is compared (SASLprep, RFC 4013).

    Raises:
        ScramFailure: If it contains what RFC 4013 forbids: control characters, unassigned code points.
    """
    try:
        return str(saslprep(text))
    except scramp.ScramException as error:
        raise ScramFailure(str(error)) from None


class ScramServerSide:
    """The server in one exchange.

    ``keys`` gives the keys of a user; for one that does not exist keys that nothing fits, so that the
    exchange runs to its end and tells nothing (`Credentials.keys` does). What it raises goes through.

    ``binding`` is what the connection can be bound to, if anything; with ``bound`` the mechanism is the one
    that demands it. A client that could bind and says that it was not offered is refused: somebody between
    us took the offer away (RFC 5802, 6). ``hashed`` is the mechanism that the keys were made for.
    """

    def __init__(
        self,
        keys: Callable[[str], ScramKeys],
        *,
        nonce: str | None = None,
        binding: bytes | None = None,
        bound: bool = False,
        hashed: str = SERVER_MECHANISM,
    ) -> None:
        self.user: str | None = None
        self._keys = keys
        self._raised: Exception | None = None
        mechanism = scramp.ScramMechanism(hashed + PLUS if bound else hashed)
        channel = None if binding is None else (BINDING, binding)
        self._server = mechanism.make_server(self._lookup, channel_binding=channel, s_nonce=nonce)

    def _lookup(self, user: str) -> tuple[bytes, bytes, bytes, int]:
        self.user = user
        try:
            keys = self._keys(user)
        except Exception as error:  # scramp would hide it behind its own exception
            self._raised = error
            raise
        return keys.salt, keys.stored_key, keys.server_key, keys.iterations

    def first(self, message: bytes) -> bytes:
        """Take the client's first message and return the server's; `user` is known from then on."""
        try:
            self._server.set_client_first(_text(message))
            return str(self._server.get_server_first()).encode()
        except scramp.ScramException as error:
            if self._raised is not None:
                raise self._raised from None
            raise ScramFailure(str(error)) from None

    def final(self, message: bytes) -> bytes:
        """Take the client's proof and return the server's signature: the login succeeded.

        Raises:
            ScramFailure: If the proof is wrong, and so the password.
        """
        try:
            self._server.set_client_final(_text(message))
            return str(self._server.get_server_final()).encode()
        except scramp.ScramException as error:
            raise ScramFailure(str(error)) from None


class ScramClientSide:
    """The client in one exchange.

    With ``binding`` and a mechanism that ends in ``-PLUS`` the proof includes it; with ``binding`` and
    another mechanism the broker learns that we could and were not offered it.

    Raises:
        ScramFailure: If user or password cannot be used with SCRAM at all.
    """

    def __init__(
        self,
        mechanism: str,
        user: str,
        password: str,
        *,
        nonce: str | None = None,
        binding: bytes | None = None,
    ) -> None:
        channel = None if binding is None else (BINDING, binding)
        try:
            self._client = scramp.ScramClient([mechanism], user, password, channel, c_nonce=nonce)
        except scramp.ScramException as error:
            raise ScramFailure(str(error)) from None

    def first(self) -> bytes:
        """Return the client's first message."""
        return str(self._client.get_client_first()).encode()

    def final(self, message: bytes) -> bytes:
        """Take the server's first message and return the proof of the password (7 ms at 20,000 rounds)."""
        try:
            self._client.set_server_first(_text(message))
            if int(self._client.iterations) > ITERATIONS_LIMIT:
                raise ScramFailure(
                    f"it wants {int(self._client.iterations)} rounds of key derivation; "
                    f"at most {ITERATIONS_LIMIT} are computed"
                )
            return str(self._client.get_client_final()).encode()
        except scramp.ScramException as error:
            raise ScramFailure(str(error)) from None

    def verify(self, message: bytes) -> None:
        """Check the server's signature: only one that knows the user's keys can make it."""
        try:
            self._client.set_server_final(_text(message))
        except scramp.ScramException as error:
            raise ScramFailure(str(error)) from None


def _text(message: bytes) -> str:
    try:
        return message.decode("utf-8")
    except UnicodeDecodeError:
        raise ScramFailure("a message of SCRAM is not UTF-8") from None
