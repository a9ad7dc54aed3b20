"""Tokens: JSON web tokens (RFC 7519) that carry who somebody is and what it may read and write.

The one door to PyJWT. The algorithms are fixed by the settings and never read from the token: ``none`` is
none of them, and a public key is never taken for a secret.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from clacks.common.errors import DialectError, SettingsError
from clacks.dialects.access import GUEST, Identity, RateLimit
from clacks.dialects.topics import is_pattern, is_topic

__all__ = ["ALGORITHMS", "MIN_SECRET", "TokenKey", "TokenRefused", "make_token", "read_token"]

ALGORITHMS: Final = ("HS256", "RS256", "ES256")
MIN_SECRET: Final = 32
"""Bytes of a secret for HS256: as many as the hash has (RFC 7518, 3.2)."""
_MAX_TOKEN: Final = 16 * 1024
_MAX_FILTERS: Final = 1000
_MAX_LIMITS: Final = 100


class TokenRefused(DialectError):
    """A token that does not count; the text says why, for the log, not for the peer."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What tokens are checked, or made, with.

    Attributes:
        algorithm: One of `ALGORITHMS`.
        key: The secret (HS256) or the public key in PEM; to make tokens the private key.
    """

    algorithm: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise SettingsError("token_algorithm", f"one of {', '.join(ALGORITHMS)}, not {self.algorithm!r}")
        if self.algorithm == "HS256":
            if len(self.key) < MIN_SECRET:
                raise SettingsError("token key", f"a secret for HS256 has at least {MIN_SECRET} bytes")
            if b"-----BEGIN" in self.key:
                raise SettingsError(
                    "token key", "this is a key in PEM, not a secret: say token_algorithm RS256 or ES256"
                )
        elif b"-----BEGIN" not in self.key:
            raise SettingsError("token key", f"{self.algorithm} wants a key in PEM")


def read_token(text: str, key: TokenKey, *, now: float, topics_required: bool = False) -> Identity:
    """Check a token and return who it speaks for.

    ``sub`` is a user of the rights file; without one the user is `GUEST`. ``read`` and ``write`` are topic
    filters; invalid ones are dropped, and a token without either claim has no filters, that is: all topics
    that its user may see, unless ``topics_required``.

    Args:
        now: Seconds since 1970; PyJWT has a clock of its own, which is not asked.
        topics_required: Refuse a token that has no valid filter at all, as Eventhub does.

    Raises:
        TokenRefused: If it is forged, expired, not valid yet, or a claim has the wrong type.
    """
    if len(text) > _MAX_TOKEN:
        raise TokenRefused("too long")
    try:
        claims: Any = jwt.decode(
            text,
            key.key,
            algorithms=[key.algorithm],
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_sub": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused(str(error) or type(error).__name__) from None
    expires = _time(claims, "exp")
    begins = _time(claims, "nbf")
    if expires is not None and expires <= now:
        raise TokenRefused("expired")
    if begins is not None and begins > now:
        raise TokenRefused("not valid yet")
    subject = claims.get("sub")
    if subject is not None and not isinstance(subject, str):
        raise TokenRefused("sub is no text")
    read, write = _filters(claims, "read"), _filters(claims, "write")
    if topics_required and not read and not write:
        raise TokenRefused("neither read nor write has a topic")
    limited = read is not None or write is not None
    return Identity(
        user=subject or GUEST,
        origin=subject or None,
        read=(read or ()) if limited else None,
        write=(write or ()) if limited else None,
        limits=_limits(claims) if subject else (),
        expires=expires,
        method="token",
    )


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenRefused(f"{name} is no number")
    return float(value)


def _filters(claims: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise TokenRefused(f"{name} is no array")
    if len(value) > _MAX_FILTERS:
        raise TokenRefused(f"{name} has more than {_MAX_FILTERS} filters")
    return tuple(one for one in value if isinstance(one, str) and (is_topic(one) or is_pattern(one)))


def _limits(claims: Mapping[str, Any]) -> tuple[RateLimit, ...]:
    """Return the rate limits; one that lacks a member refuses the token: half a limit would be none."""
    value = claims.get("rlimit")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MAX_LIMITS:
        raise TokenRefused(f"rlimit is no array of at most {_MAX_LIMITS}")
    found: list[RateLimit] = []
    for one in value:
        if not isinstance(one, dict):
            raise TokenRefused("rlimit holds something that is no object")
        topic, interval, most = one.get("topic"), one.get("interval"), one.get("max")
        numbers = all(
            isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < 1e9
            for number in (interval, most)
        )
        if not isinstance(topic, str) or not (is_topic(topic) or is_pattern(topic)) or not numbers:
            raise TokenRefused("a rate limit lacks topic, interval or max")
        if interval and most:
            found.append(RateLimit(topic, float(interval), int(most)))
    return tuple(found)


def make_token(
    key: TokenKey,
    *,
    user: str | None,
    now: float,
    seconds: float | None,
    read: Sequence[str] | None = None,
    write: Sequence[str] | None = None,
    limits: Sequence[RateLimit] = (),
) -> str:
    """Make a token.

    Raises:
        SettingsError: If a filter is neither topic nor pattern, or the key cannot sign.
    """
    for one in (*(read or ()), *(write or ())):
        if not (is_topic(one) or is_pattern(one)):
            raise SettingsError("token", f"neither a topic nor a pattern: {one!r}")
    if key.algorithm != "HS256" and b"PRIVATE KEY" not in key.key:
        raise SettingsError("token key", f"cannot sign: {key.algorithm} signs with a private key")
    claims: dict[str, Any] = {"iat": int(now)}
    if user is not None:
        claims["sub"] = user
    if seconds is not None:
        claims["exp"] = int(now + seconds)
    if read is not None:
        claims["read"] = list(read)
    if write is not None:
        claims["write"] = list(write)
    if limits:
        claims["rlimit"] = [{"topic": one.topic, "interval": one.interval, "max": one.most} for one in limits]
    try:
        return jwt.encode(claims, key.key, algorithm=key.algorithm)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise SettingsError("token key", f"cannot sign: {error}") from None
