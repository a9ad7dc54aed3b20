"""Tokens that count, and the many that do not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from clacks.common.errors import SettingsError
from clacks.dialects.access import GUEST, RateLimit
from clacks.gateway.tokens import TokenKey, TokenRefused, make_token, read_token

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = TokenKey("HS256", SECRET)


def pem(key: Any) -> tuple[bytes, bytes]:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


RSA_PRIVATE, RSA_PUBLIC = pem(rsa.generate_private_key(65537, 2048))
EC_PRIVATE, EC_PUBLIC = pem(ec.generate_private_key(ec.SECP256R1()))


def claims(**more: Any) -> str:
    return jwt.encode({"sub": "ann", "read": ["#"], "write": [], **more}, SECRET, "HS256")


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("algorithm", "private", "public"),
    [("HS256", SECRET, SECRET), ("RS256", RSA_PRIVATE, RSA_PUBLIC), ("ES256", EC_PRIVATE, EC_PUBLIC)],
    ids=["HS256", "RS256", "ES256"],  # keys are new in each process, and workers must agree on names
)
def test_what_is_made_is_read_again(algorithm: str, private: bytes, public: bytes) -> None:
    text = make_token(
        TokenKey(algorithm, private),
        user="ann",
        now=1000.0,
        seconds=60.0,
        read=["a/#"],
        write=["b"],
        limits=[RateLimit("b", 10.0, 3)],
    )
    identity = read_token(text, TokenKey(algorithm, public), now=1059.0)
    assert (identity.user, identity.origin, identity.read, identity.write) == ("ann", "ann", ("a/#",), ("b",))
    assert identity.limits == (RateLimit("b", 10.0, 3),)
    assert identity.expires == 1060.0
    with pytest.raises(TokenRefused, match="expired"):
        read_token(text, TokenKey(algorithm, public), now=1060.0)


def test_a_token_without_a_user_is_a_guest_without_origin() -> None:
    identity = read_token(claims(sub=None), KEY, now=0.0)
    assert (identity.user, identity.origin) == (GUEST, None)


def test_invalid_filters_are_dropped_and_at_least_one_must_be_left() -> None:
    assert read_token(claims(read=["a b", 7, "a/#"]), KEY, now=0.0).read == ("a/#",)
    with pytest.raises(TokenRefused, match="neither"):
        read_token(claims(read=["a b"]), KEY, now=0.0, topics_required=True)
    with pytest.raises(TokenRefused, match="neither"):
        read_token(jwt.encode({"sub": "ann"}, SECRET, "HS256"), KEY, now=0.0, topics_required=True)


def test_one_claim_alone_leaves_the_other_empty() -> None:
    identity = read_token(jwt.encode({"read": ["a"]}, SECRET, "HS256"), KEY, now=0.0)
    assert (identity.read, identity.write) == (("a",), ())


def unsigned(algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part({'sub': 'admin', 'read': ['#']})}."


def confused() -> str:
    """A token signed with HS256 whose secret is the public key of an RS256 gateway."""
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'admin', 'read': ['#']})}"
    mac = hmac.digest(RSA_PUBLIC, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        "....",
        "ä.ö.ü",
        unsigned("none"),
        unsigned("None"),
        unsigned("HS256"),
        jwt.encode({"sub": "admin", "read": ["#"]}, b"another secret of thirty-two bytes", "HS256"),
        jwt.encode({"sub": "admin", "read": ["#"]}, SECRET, "HS512"),
        jwt.encode({"sub": "admin", "read": ["#"]}, RSA_PRIVATE, "RS256"),
        claims() + "x",
        "x" * 20_000,
        jwt.encode({}, SECRET, "HS256", headers={"crit": ["x"], "x": 1}),
    ],
    ids=range(14),
)
def test_a_forged_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        read_token(text, KEY, now=0.0)


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    with pytest.raises(TokenRefused):
        read_token(confused(), TokenKey("RS256", RSA_PUBLIC), now=0.0)
    with pytest.raises(SettingsError, match="PEM"):
        TokenKey("HS256", RSA_PUBLIC)


@pytest.mark.parametrize(
    "more",
    [
        {"sub": 7},
        {"sub": ["ann"]},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": "now"},
        {"nbf": 10.0},
        {"read": "#"},
        {"read": {"#": 1}},
        {"rlimit": {}},
        {"rlimit": [7]},
        {"rlimit": [{"topic": "a"}]},
        {"rlimit": [{"topic": "a", "interval": 1}]},
        {"rlimit": [{"topic": "a", "interval": "1", "max": 1}]},
        {"rlimit": [{"topic": "a", "interval": -1, "max": 1}]},
        {"rlimit": [{"interval": 1, "max": 1}]},
        {"rlimit": [{"topic": "a", "interval": 1, "max": 1}] * 101},
        {"read": ["a"] * 1001},
    ],
)
def test_a_signed_token_with_a_wrong_claim_is_refused_and_ends_nothing(more: Any) -> None:
    with pytest.raises(TokenRefused):
        read_token(claims(**more), KEY, now=1.0)


def test_a_limit_of_zero_is_none() -> None:
    limits = [{"topic": "a", "interval": 0, "max": 1}, {"topic": "a", "interval": 1, "max": 0}]
    assert read_token(claims(rlimit=limits), KEY, now=0.0).limits == ()


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("HS256", b"short"), ("none", SECRET), ("RS256", SECRET), ("HS512", SECRET)],
    ids=range(4),
)
def test_a_key_that_is_none_is_refused(algorithm: str, key: bytes) -> None:
    with pytest.raises(SettingsError):
        TokenKey(algorithm, key)


def test_a_token_is_not_made_for_what_is_no_topic_or_with_what_cannot_sign() -> None:
    with pytest.raises(SettingsError, match="neither"):
        make_token(KEY, user=None, now=0.0, seconds=None, read=["a b"])
    with pytest.raises(SettingsError, match="cannot sign"):
        make_token(TokenKey("RS256", RSA_PUBLIC), user=None, now=0.0, seconds=None)


def test_a_key_does_not_show() -> None:
    assert "0123" not in repr(KEY)
