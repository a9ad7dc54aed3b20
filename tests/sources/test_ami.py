from __future__ import annotations

import hashlib
import random

import pytest

from clacks.common.limits import DEFAULT_LIMITS
from clacks.sources.ami import AmiError, AmiSession, Happened, Ready, Refused

BANNER = b"Asterisk Call Manager/5.0.1\r\n"
CHALLENGE = b"Response: Success\r\nActionID: login\r\nChallenge: 8412374\r\n\r\n"
ACCEPTED = b"Response: Success\r\nActionID: login\r\nMessage: Authentication accepted\r\n\r\n"
EVENT = b"Event: Hangup\r\nPrivilege: call,all\r\nUniqueid: 1.1\r\nCause-txt: Normal: Clearing\r\n\r\n"


def ready() -> AmiSession:
    session = AmiSession("clacks", "secret")
    session.receive(BANNER + CHALLENGE)
    assert session.receive(ACCEPTED) == [Ready("5.0.1")]
    session.to_send()
    return session


def test_it_logs_in_by_a_challenge_and_never_sends_the_secret() -> None:
    session = AmiSession("clacks", "secret")
    assert session.to_send() == b""
    session.receive(BANNER)
    assert session.to_send() == b"Action: Challenge\r\nActionID: login\r\nAuthType: MD5\r\n\r\n"
    session.receive(CHALLENGE)
    sent = session.to_send()
    assert b"Key: " + hashlib.md5(b"8412374secret").hexdigest().encode() + b"\r\n" in sent
    assert b"secret" not in sent
    assert "secret" not in repr(session)
    assert session.receive(ACCEPTED) == [Ready("5.0.1")]


def test_a_refused_login_says_why() -> None:
    session = AmiSession("clacks", "wrong")
    session.receive(BANNER + CHALLENGE)
    refused = b"Response: Error\r\nActionID: login\r\nMessage: Authentication failed\r\n\r\n"
    assert session.receive(refused) == [Refused("Authentication failed")]
    assert session.receive(ACCEPTED) == []


def test_events_are_the_same_however_the_bytes_arrive() -> None:
    whole = ready().receive(EVENT * 3)
    assert (
        whole
        == [Happened("Hangup", {"Privilege": "call,all", "Uniqueid": "1.1", "Cause-txt": "Normal: Clearing"})]
        * 3
    )
    session = ready()
    assert [event for byte in EVENT * 3 for event in session.receive(bytes([byte]))] == whole


def test_answers_and_lines_without_a_colon_are_passed_over() -> None:
    assert ready().receive(b"Response: Success\r\nPing: Pong\r\n\r\nnonsense\r\n\r\n\r\n") == []


def test_an_event_before_the_login_does_not_count() -> None:
    session = AmiSession("clacks", "secret")
    assert session.receive(BANNER + EVENT) == []


def test_of_a_field_that_comes_twice_the_first_counts() -> None:
    (event,) = ready().receive(b"Event: A\r\nX: 1\r\nX: 2\r\nEvent: B\r\n\r\n")
    assert event == Happened("A", {"X": "1"})


def test_an_action_cannot_be_given_another_field() -> None:
    with pytest.raises(ValueError, match="end of a line"):
        ready().action("QueueSummary", Queue="a\r\nAction: Originate")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "not Asterisk's manager interface: 'HTTP/1.1"),
        (b"\x16\x03\x01\x00\n", "not Asterisk's"),
        (b"x" * (DEFAULT_LIMITS.ami_line + 1), "a line of more than"),
        (BANNER + b"X: " + b"y" * DEFAULT_LIMITS.ami_line + b"\r\n", "a line of more than"),
        (BANNER + b"X: y\r\n" * (DEFAULT_LIMITS.ami_lines + 1), "a message of more than 1000 lines"),
    ],
)
def test_what_is_not_asterisk_or_too_much_ends_the_connection(data: bytes, reason: str) -> None:
    with pytest.raises(AmiError) as error:
        AmiSession("clacks", "secret").receive(data)
    assert reason in str(error.value)


def test_any_bytes_are_read_or_refused_and_nothing_else() -> None:
    dice = random.Random(5)
    for _ in range(2000):
        session = ready() if dice.random() < 0.5 else AmiSession("clacks", "secret")
        damaged = bytearray(BANNER + CHALLENGE + ACCEPTED + EVENT)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(len(damaged))] = dice.choice((0, 10, 13, 58, 255, dice.randrange(256)))
        try:
            session.receive(bytes(damaged))
        except AmiError:
            continue
        session.to_send()
