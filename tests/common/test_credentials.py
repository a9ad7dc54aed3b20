from __future__ import annotations

import base64
import itertools
import time
from dataclasses import replace

import pytest
from scramp import ScramClient, ScramMechanism

from clacks.common.credentials import (
    Credentials,
    ScramKeys,
    VerifiedPasswords,
    format_credentials,
    make_api_key,
    make_credentials,
    make_keys,
    parse_credentials,
    verify_password,
)
from clacks.common.errors import SettingsError


def test_keys_are_those_of_rfc_7677() -> None:
    # Section 3, the example exchange: user "user", password "pencil".
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = make_keys("pencil", salt=salt, iterations=4096)
    client = ScramClient(["SCRAM-SHA-256"], "user", "pencil", c_nonce="rOprNGfwEbeRWgbNEkqO")
    server = ScramMechanism("SCRAM-SHA-256").make_server(
        lambda user: (keys.salt, keys.stored_key, keys.server_key, keys.iterations),
        s_nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    )
    client.get_client_first()
    server.set_client_first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    client.set_server_first(server.get_server_first())
    final = client.get_client_final()
    assert final.endswith("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    server.set_client_final(final)
    assert server.get_server_final() == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_right_password_is_right_and_another_is_not() -> None:
    credentials = make_credentials("jane", "secret")
    assert verify_password(credentials, "jane", "secret")
    assert not verify_password(credentials, "jane", "Secret")
    assert not verify_password(credentials, "jane", "")
    assert not verify_password(credentials, "joe", "secret")
    assert credentials.users["jane"].iterations == 20_000


def test_passwords_are_compared_after_saslprep() -> None:
    keys = make_keys("I\u00adX \u2168", iterations=4096)  # soft hyphen goes, roman nine becomes IX
    assert keys.verify("IX IX")
    assert not keys.verify("IX\x07")


@pytest.mark.parametrize("password", ["", "\u00ad", "a\x00", "\ue000", "\ud800", "x" * 1025])
def test_passwords_that_nobody_may_have_are_refused(password: str) -> None:
    with pytest.raises(SettingsError):
        make_keys(password)
    assert not make_keys("good", iterations=4096).verify(password)


@pytest.mark.parametrize("user", ["", "a b", "a:b", "a/b", "a\nb", 'a"b', "x" * 256])
def test_names_that_would_be_misread_are_refused(user: str) -> None:
    with pytest.raises(SettingsError):
        make_credentials(user, "secret")


def test_an_unknown_user_costs_as_much_and_keeps_its_salt() -> None:
    credentials = make_credentials("jane", "secret")
    assert credentials.keys("ghost").salt == credentials.keys("ghost").salt
    assert credentials.keys("ghost").salt != credentials.keys("ghost2").salt
    assert credentials.keys("ghost").iterations == credentials.keys("jane").iterations
    assert credentials.keys("ghost").stored_key != credentials.keys("ghost").stored_key

    def cost(user: str, password: str) -> float:
        best = 1.0
        for _ in range(5):
            start = time.thread_time()
            credentials.verify_password(user, password)
            best = min(best, time.thread_time() - start)
        return best

    known = cost("jane", "wrong")
    for unknown in (cost("ghost", "wrong"), cost("jane", "forbidden\x00")):
        assert known / 2 < unknown < known * 2


def test_no_repr_shows_a_key() -> None:
    credentials = make_credentials("jane", "secret")
    stored = credentials.users["jane"].stored_key
    assert repr(stored) not in repr(credentials)
    assert "secret" not in repr(credentials)


def test_salts_of_unknown_users_come_from_the_secret_that_is_kept() -> None:
    one, same, other = (replace(Credentials(), salts=secret) for secret in (b"a", b"a", b"b"))
    assert one.keys("ghost").salt == same.keys("ghost").salt != other.keys("ghost").salt
    assert one.api_key_keys("ghost", 1).salt == same.api_key_keys("ghost", 1).salt
    changed = one.joined(make_credentials("jane", "secret")).without_user("jane")
    assert changed.keys("ghost").salt == one.keys("ghost").salt
    assert "salts" not in repr(one)


def test_credentials_survive_the_file_and_no_password_is_in_it() -> None:
    credentials = make_credentials("jane", "geheim1").joined(make_credentials("o.k@x", "geheim2"))
    text, key = make_api_key(credentials, "jane", 'the "ci" job\n')
    written = format_credentials(credentials.with_api_key(key))
    assert "geheim" not in written
    assert text.partition("-")[2] not in written
    again = parse_credentials(written)
    assert again.users == credentials.users
    assert again.verify_password("o.k@x", "geheim2")
    assert again.verify_api_key(text) == "jane"
    assert format_credentials(again) == format_credentials(parse_credentials(format_credentials(again)))


def test_an_api_key_has_digits_a_hyphen_and_letters() -> None:
    credentials = make_credentials("jane", "secret")
    text, key = make_api_key(credentials, "jane")
    number, _, secret = text.partition("-")
    assert number == str(key.id) == "1"
    assert secret.isalnum()
    assert secret.isascii()
    assert len(secret) == 64
    assert make_api_key(credentials.with_api_key(key), "jane")[1].id == 2
    with pytest.raises(SettingsError):
        make_api_key(credentials, "nobody")


@pytest.mark.slow
def test_wrong_revoked_and_malformed_api_keys_are_nobody() -> None:
    credentials = make_credentials("jane", "secret")
    text, key = make_api_key(credentials, "jane")
    credentials = credentials.with_api_key(key)
    assert credentials.verify_api_key(text) == "jane"
    for wrong in (text[:-1], text + "x", "2" + text[1:], "", "-", "1-", "x-y", "1-ä", "\u0661-abc"):
        assert credentials.verify_api_key(wrong) is None
    assert credentials.without_api_key(1).verify_api_key(text) is None
    assert credentials.without_user("jane") == Credentials()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("iterations = 20000", "iterations = 1", "iterations"),
        ("iterations = 20000", "iterations = true", "iterations"),
        ("iterations = 20000", "iterations = 99999999", "iterations"),
        ("iterations = 20000", "", "iterations"),
        ("SCRAM-SHA-256", "MD5", "missing or unknown"),
        ('salt = "', 'salt = "!', "base64"),
        ('stored_key = "', 'stored_key = "AAAA', "length"),
        ("iterations", "color = 1\niterations", "unknown key"),
        ("[users", "[people", "unknown table"),
        ("[users", "[users", ""),
        ('"SCRAM-SHA-256"', "[", "line"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(old: str, new: str, word: str) -> None:
    written = format_credentials(Credentials({"a": ScramKeys(b"s" * 16, 20000, b"k" * 32, b"v" * 32)}))
    if old == new:
        assert parse_credentials(written).users["a"].salt == b"s" * 16
        return
    with pytest.raises(SettingsError, match=word):
        parse_credentials(written.replace(old, new))


def test_verified_passwords_are_remembered_for_a_while() -> None:
    credentials = make_credentials("jane", "secret")
    cache = VerifiedPasswords(lifetime=300)
    assert not cache.known(credentials, "jane", "secret", now=0)
    cache.remember(credentials, "jane", "secret", now=0)
    assert cache.known(credentials, "jane", "secret", now=299)
    assert not cache.known(credentials, "jane", "Secret", now=1)
    assert not cache.known(credentials, "joe", "secret", now=1)
    assert not cache.known(credentials, "jane", "secret", now=300)
    assert len(cache) == 0


def test_a_changed_password_or_a_removed_user_is_forgotten_at_once() -> None:
    credentials = make_credentials("jane", "secret")
    cache = VerifiedPasswords()
    cache.remember(credentials, "jane", "secret", now=0)
    assert not cache.known(make_credentials("jane", "other"), "jane", "secret", now=1)
    assert not cache.known(Credentials(), "jane", "secret", now=1)
    cache.remember(Credentials(), "ghost", "secret", now=1)
    assert not cache.known(Credentials(), "ghost", "secret", now=1)


def test_user_and_password_are_not_run_together() -> None:
    keys = make_keys("x", iterations=4096)
    credentials = Credentials({"ab": keys, "a": keys})
    cache = VerifiedPasswords()
    cache.remember(credentials, "ab", "c", now=0)
    assert not cache.known(credentials, "a", "bc", now=0)


def test_the_memory_of_passwords_has_an_end() -> None:
    keys = make_keys("x", iterations=4096)
    credentials = Credentials({"a": keys})
    cache = VerifiedPasswords(size=3)
    for number in range(5):
        cache.remember(credentials, "a", f"p{number}", now=0)
    assert len(cache) == 3
    assert [cache.known(credentials, "a", f"p{number}", now=1) for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_the_memory_of_passwords_holds_no_password() -> None:
    credentials = make_credentials("jane", "very-secret-word")
    cache = VerifiedPasswords()
    cache.remember(credentials, "jane", "very-secret-word", now=0)
    held = itertools.chain(vars(cache).values(), cache._until)
    assert not any("very-secret-word" in repr(value) for value in held)
