"""Credentials: who a login is. Passwords and API keys are kept only as SCRAM keys.

RFC 5802 section 3 and RFC 7677 derive from a password, a salt and an iteration count two keys: with the
stored key a server checks a client, with the server key it proves itself. Neither leads back to the password.

Checking a password costs milliseconds of CPU on purpose; ``hashlib.pbkdf2_hmac`` runs without the interpreter
lock, so it belongs in a worker thread. ``VerifiedPasswords`` keeps a thousand reconnects from costing a
thousand derivations.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scramp.utils import ScramException, saslprep

from clacks.common.errors import SettingsError

__all__ = [
    "API_KEY_ITERATIONS",
    "PASSWORD_ITERATIONS",
    "ApiKey",
    "Credentials",
    "ScramKeys",
    "VerifiedPasswords",
    "format_credentials",
    "make_api_key",
    "make_credentials",
    "make_keys",
    "parse_credentials",
    "verify_password",
]

PASSWORD_ITERATIONS = 20_000
"""About 7 ms of CPU a login; RFC 7677 asks for at least 4,096."""
API_KEY_ITERATIONS = 50_000
"""The least that clients of API keys accept; the key itself is long and random, so more would add nothing."""

_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_SALT_BYTES = 16
_MAX_SECRET = 1024  # characters; SASLprep is Python, and what a stranger sends goes through it
_MAX_ITERATIONS = 5_000_000
_USER = re.compile(r"[^\s:/\\\"'\x00-\x1f\x7f]{1,255}")
_KEY_SIGNS = string.ascii_letters + string.digits
_KEY_SECRET = 64
_API_KEY = re.compile(r"([0-9]{1,18})-([A-Za-z0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is kept of one password; ``mechanism`` says which hash made it."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    mechanism: str = "SCRAM-SHA-256"

    def verify(self, secret: str) -> bool:
        """Tell whether ``secret`` is the password. Costs the whole derivation, right or wrong."""
        prepared = _prepared(secret)
        # What SASLprep forbids is wrong, but must not be wrong faster.
        stored, _ = _derive(prepared or b"", self.salt, self.iterations, self.mechanism)
        return hmac.compare_digest(stored, self.stored_key) and prepared is not None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key of a user. Its text is ``{id}-{secret}``; the secret is kept as SCRAM-SHA-512 keys."""

    id: int
    user: str
    name: str
    keys: ScramKeys


_UNKNOWN = secrets.token_bytes(32)


# For users that do not exist: the same salt at each try, as a real user has, and keys that nothing fits.
def _stand_in(
    secret: bytes, user: str, mechanism: str = "SCRAM-SHA-256", iterations: int = PASSWORD_ITERATIONS
) -> ScramKeys:
    salt = hmac.digest(secret, user.encode("utf-8", "surrogatepass"), "sha256")[:_SALT_BYTES]
    size = hashlib.new(_HASHES[mechanism]).digest_size
    return ScramKeys(salt, iterations, secrets.token_bytes(size), secrets.token_bytes(size), mechanism)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The logins of a broker: users with their keys, and API keys by id."""

    users: Mapping[str, ScramKeys] = field(default_factory=dict)
    api_keys: Mapping[int, ApiKey] = field(default_factory=dict)
    salts: bytes = field(default=_UNKNOWN, repr=False, compare=False)
    """A secret that the salts of users who do not exist are made from. One that is kept in a file makes them
    the same after a restart: a salt that changes then would tell that the user does not exist."""

    def keys(self, user: str) -> ScramKeys:
        """Return the keys of a user for a SCRAM exchange.

        For an unknown user these are keys that no password fits, with the same salt at every call: the
        exchange runs to its end and tells a stranger nothing about who exists.
        """
        return self.users.get(user) or _stand_in(self.salts, user)

    def api_key_keys(self, user: str, id: int) -> ScramKeys:  # noqa: A002 - the word of the wire
        """Return the keys of a user's API key for a SCRAM exchange; of an unknown one, such that nothing
        fits, as `keys` does."""
        key = self.api_keys.get(id)
        if key is None or key.user != user:
            return _stand_in(self.salts, f"{user}:{id}", "SCRAM-SHA-512", API_KEY_ITERATIONS)
        return key.keys

    def verify_password(self, user: str, password: str) -> bool:
        """Tell whether this is the user's password. Takes the same time for a user that does not exist."""
        return self.keys(user).verify(password)

    def verify_api_key(self, text: str) -> str | None:
        """Return the user whose API key this is, or None. Takes the same time for keys that do not exist."""
        match = _API_KEY.fullmatch(text)
        known = self.api_keys.get(int(match[1])) if match else None
        keys = known.keys if known else _stand_in(self.salts, "", "SCRAM-SHA-512", API_KEY_ITERATIONS)
        good = keys.verify(match[2] if match else "")
        return known.user if known and good else None

    def with_user(self, user: str, keys: ScramKeys) -> Credentials:
        """Return credentials in which ``user`` has these keys."""
        return replace(self, users={**self.users, user: keys})

    def without_user(self, user: str) -> Credentials:
        """Return credentials without ``user`` and without its API keys."""
        return replace(
            self,
            users={name: keys for name, keys in self.users.items() if name != user},
            api_keys={id_: key for id_, key in self.api_keys.items() if key.user != user},
        )

    def with_api_key(self, key: ApiKey) -> Credentials:
        """Return credentials with one API key more."""
        return replace(self, api_keys={**self.api_keys, key.id: key})

    def without_api_key(self, id: int) -> Credentials:  # noqa: A002 - the word of the wire
        """Return credentials without the API key of this id."""
        return replace(self, api_keys={number: key for number, key in self.api_keys.items() if number != id})

    def joined(self, other: Credentials) -> Credentials:
        """Return both; where both name a user or a key, that of ``other`` counts."""
        return replace(
            self, users={**self.users, **other.users}, api_keys={**self.api_keys, **other.api_keys}
        )


def _prepared(secret: str) -> bytes | None:
    """Return the secret as SASLprep (RFC 4013) wants it, or None if it is forbidden, empty or too long."""
    if not secret or len(secret) > _MAX_SECRET:
        return None
    try:
        return saslprep(secret).encode("utf-8") or None
    except (ScramException, UnicodeEncodeError):
        return None


def _derive(prepared: bytes, salt: bytes, iterations: int, mechanism: str) -> tuple[bytes, bytes]:
    """Return stored key and server key (RFC 5802 section 3)."""
    digest = _HASHES[mechanism]
    salted = hashlib.pbkdf2_hmac(digest, prepared, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return hashlib.new(digest, client_key).digest(), hmac.digest(salted, b"Server Key", digest)


def make_keys(
    secret: str,
    *,
    salt: bytes | None = None,
    iterations: int = PASSWORD_ITERATIONS,
    mechanism: str = "SCRAM-SHA-256",
) -> ScramKeys:
    """Derive the keys of a password; without ``salt`` with a new one.

    Raises:
        SettingsError: If the password is empty, longer than 1,024 characters, or holds characters that
            RFC 4013 forbids (control characters, unassigned ones, mixed directions).
    """
    prepared = _prepared(secret)
    if prepared is None:
        raise SettingsError(
            "password", "empty, longer than 1,024 characters, or with characters that no password may have"
        )
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    stored, server = _derive(prepared, salt, iterations, mechanism)
    return ScramKeys(salt, iterations, stored, server, mechanism)


def make_credentials(user: str, password: str) -> Credentials:
    """Return the credentials of one user, to be joined with others.

    Raises:
        SettingsError: If the name or the password cannot be used.
    """
    return Credentials({_user(user, "user"): make_keys(password)})


def verify_password(credentials: Credentials, user: str, password: str) -> bool:
    """Tell whether this is the user's password: ``Credentials.verify_password`` as a function."""
    return credentials.verify_password(user, password)


def make_api_key(credentials: Credentials, user: str, name: str = "") -> tuple[str, ApiKey]:
    """Make a key for a user; return its text, which is kept nowhere, and what is kept.

    Ids are never used again while a higher one is there.

    Raises:
        SettingsError: If the user does not exist.
    """
    if user not in credentials.users:
        raise SettingsError("API key", f"user {user!r} does not exist")
    secret = "".join(secrets.choice(_KEY_SIGNS) for _ in range(_KEY_SECRET))
    id_ = max(credentials.api_keys, default=0) + 1
    keys = make_keys(secret, iterations=API_KEY_ITERATIONS, mechanism="SCRAM-SHA-512")
    return f"{id_}-{secret}", ApiKey(id_, user, name, keys)


def _user(name: str, file: str) -> str:
    if not _USER.fullmatch(name):
        raise SettingsError(
            file, f"{name!r} cannot be a user: no white space, ':', '/', quotes, at most 255 characters"
        )
    return name


def parse_credentials(text: str, file: str = "credentials") -> Credentials:
    """Read the text that ``format_credentials`` writes.

    Raises:
        SettingsError: If it is no TOML or a value is missing, unknown or of the wrong kind.
    """
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(file, str(error)) from error
    for name in body:
        if name not in ("users", "api_keys"):
            raise SettingsError(file, f"unknown table [{name}]")
    users = {
        _user(name, file): _keys(table, f"users.{name}", file, ())
        for name, table in body.get("users", {}).items()
    }
    api_keys: dict[int, ApiKey] = {}
    for number, table in body.get("api_keys", {}).items():
        where = f"api_keys.{number}"
        keys = _keys(table, where, file, ("user", "name"))
        user, name = table.get("user"), table.get("name", "")
        if not number.isascii() or not number.isdigit() or not isinstance(name, str) or user not in users:
            raise SettingsError(file, f"[{where}]: the id must be a number, the user one of the users")
        api_keys[int(number)] = ApiKey(int(number), user, name, keys)
    return Credentials(users, api_keys)


def _keys(table: Any, where: str, file: str, more: tuple[str, ...]) -> ScramKeys:
    wanted = ("mechanism", "iterations", "salt", "stored_key", "server_key")
    if not isinstance(table, dict):
        raise SettingsError(file, f"{where} must be a table")
    for key in table:
        if key not in wanted + more:
            raise SettingsError(file, f"[{where}]: unknown key {key!r}")
    try:
        mechanism, iterations = table["mechanism"], table["iterations"]
        salt, stored, server = (
            base64.b64decode(table[key], validate=True) for key in ("salt", "stored_key", "server_key")
        )
        size = hashlib.new(_HASHES[mechanism]).digest_size
    except KeyError as error:
        raise SettingsError(file, f"[{where}]: {error.args[0]} is missing or unknown") from error
    except (TypeError, ValueError, binascii.Error) as error:
        raise SettingsError(file, f"[{where}]: a key is not base64") from error
    if type(iterations) is not int or not 4096 <= iterations <= _MAX_ITERATIONS:
        raise SettingsError(file, f"[{where}]: iterations must be a number from 4096 to {_MAX_ITERATIONS}")
    if len(stored) != size or len(server) != size or not salt:
        raise SettingsError(file, f"[{where}]: a key has the wrong length")
    return ScramKeys(salt, iterations, stored, server, mechanism)


def format_credentials(credentials: Credentials) -> str:
    """Write credentials as TOML; the file holds no password and should still be for its owner only."""
    lines = ["# Written by Clacks. Keys derived from passwords; no password can be read from them."]
    for user in sorted(credentials.users):
        lines += ["", f'[users."{user}"]', *_lines(credentials.users[user])]
    for id_ in sorted(credentials.api_keys):
        key = credentials.api_keys[id_]
        name = "".join(sign for sign in key.name if sign.isprintable() and sign not in '"\\')
        lines += ["", f"[api_keys.{id_}]", f'user = "{key.user}"', f'name = "{name}"', *_lines(key.keys)]
    return "\n".join(lines) + "\n"


def _lines(keys: ScramKeys) -> list[str]:
    return [
        f'mechanism = "{keys.mechanism}"',
        f"iterations = {keys.iterations}",
        f'salt = "{base64.b64encode(keys.salt).decode()}"',
        f'stored_key = "{base64.b64encode(keys.stored_key).decode()}"',
        f'server_key = "{base64.b64encode(keys.server_key).decode()}"',
    ]


class VerifiedPasswords:
    """Remember for a while which passwords were right, without the passwords.

    Kept is an HMAC, under a key that lives as long as this object, of user, password and the user's stored
    key: a changed password, a removed user are forgotten by themselves. Wrong passwords are never kept.
    Time is an argument, in seconds of a clock that only goes forward.
    """

    def __init__(self, *, lifetime: float = 300.0, size: int = 10_000) -> None:
        self._lifetime = lifetime
        self._size = size
        self._key = secrets.token_bytes(32)
        self._until: dict[bytes, float] = {}

    def known(self, credentials: Credentials, user: str, password: str, now: float) -> bool:
        """Tell whether this password was verified lately. Cheap: 5 us, for the loop itself."""
        keys = credentials.users.get(user)
        if keys is None or len(password) > _MAX_SECRET:
            return False
        digest = self._digest(keys, user, password)
        until = self._until.get(digest)
        if until is None:
            return False
        if until <= now:
            del self._until[digest]
            return False
        return True

    def remember(self, credentials: Credentials, user: str, password: str, now: float) -> None:
        """Keep that this password was just verified; the one kept longest goes when there is no room."""
        keys = credentials.users.get(user)
        if keys is None:
            return
        digest = self._digest(keys, user, password)
        self._until.pop(digest, None)
        while len(self._until) >= self._size:
            del self._until[next(iter(self._until))]
        self._until[digest] = now + self._lifetime

    def __len__(self) -> int:
        return len(self._until)

    def _digest(self, keys: ScramKeys, user: str, password: str) -> bytes:
        name, secret = (text.encode("utf-8", "surrogatepass") for text in (user, password))
        return hmac.digest(self._key, b"%d:%b:%b:%b" % (len(name), name, keys.stored_key, secret), "sha256")
