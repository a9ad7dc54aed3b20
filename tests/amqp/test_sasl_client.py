from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clacks.amqp.sasl import ClientState, SaslClient, choose_mechanism
from clacks.amqp.sasl_frames import (
    SASL_HEADER,
    Challenge,
    Code,
    FrameBuffer,
    Init,
    Mechanisms,
    Outcome,
    Response,
    encode_frame,
)
from clacks.common.errors import ConnectionFailed, LoginRefused, ProtocolError

from .logins import LOOPBACK, OPEN_LINE, broker, join, pieces


def alice(password: str = "correct horse", **more) -> SaslClient:
    return SaslClient("alice", password, **{"tls": False, "loopback": True, **more})


def init_of(client: SaslClient) -> Init:
    buffer = FrameBuffer()
    buffer.append(client.bytes_to_send())
    assert buffer.header() == SASL_HEADER
    frame = buffer.frame()
    assert isinstance(frame, Init)
    return frame


def offer(client: SaslClient, *names: str) -> None:
    client.receive(SASL_HEADER + encode_frame(Mechanisms(names)))


# -- both ends


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_right_password_logs_in(mechanism):
    client, server = alice(allowed=[mechanism], hostname="bus.example"), broker()
    join(client, server)
    assert client.failure is server.failure is None
    assert client.done
    assert server.done
    assert server.user == "alice"
    assert client.mechanism == server.mechanism == mechanism
    assert server.hostname == "bus.example"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize(("user", "password"), [("alice", "wrong"), ("nobody", "correct horse")])
def test_wrong_password_and_unknown_user_are_refused_alike(mechanism, user, password):
    client = SaslClient(user, password, tls=True, allowed=[mechanism])
    server = broker()
    join(client, server)
    assert isinstance(client.failure, LoginRefused)
    assert str(client.failure) == f"the broker refuses user '{user}' by {mechanism}: wrong user or password"
    assert isinstance(server.failure, LoginRefused)
    assert not client.done
    assert not server.done


def test_scram_logs_in_on_an_open_line():
    client, server = alice(loopback=False), broker(channel=OPEN_LINE)
    join(client, server)
    assert client.done
    assert server.user == "alice"


def test_anonymous_logs_in_without_credentials_only():
    client, server = SaslClient(tls=True), broker("ANONYMOUS")
    join(client, server)
    assert client.done
    assert server.user == "anonymous"
    client, server = alice(), broker("ANONYMOUS")
    join(client, server)
    assert isinstance(client.failure, LoginRefused)
    assert server.mechanism is None


def test_user_that_must_wait_learns_that_it_is_temporary():
    client, server = alice(), broker(admit=lambda user: 30.0)
    join(client, server)
    assert isinstance(client.failure, LoginRefused)
    assert client.failure.temporary
    assert "try again later" in str(client.failure)


@settings(max_examples=40, deadline=None)
@given(user=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x17F), min_size=1, max_size=12))
def test_any_name_is_the_same_name_at_the_other_end(user):
    claims = []
    for mechanism in ("SCRAM-SHA-256", "PLAIN"):
        client, server = SaslClient(user, "x", tls=True, allowed=[mechanism]), broker()
        join(client, server)
        assert client.failure is not None
        claims.append(server.claimed)
    assert claims[0] == claims[1]  # None for both where RFC 4013 forbids a character
    if user.isascii():
        assert claims[0] == user


# -- the choice


def test_scram_sha_256_is_preferred_whatever_the_order():
    assert choose("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256") == "SCRAM-SHA-256"
    assert choose("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512") == "SCRAM-SHA-512"
    assert choose("PLAIN", "SCRAM-SHA-1") == "SCRAM-SHA-1"
    assert choose("ANONYMOUS", "AMQPLAIN", "PLAIN") == "PLAIN"


def choose(*offered: str, user=True, password=True, private=True, **more) -> str:
    return choose_mechanism(offered, user=user, password=password, private=private, **more)


def test_password_is_never_shown_on_an_open_line():
    with pytest.raises(LoginRefused) as caught:
        choose("PLAIN", "ANONYMOUS", private=False)
    assert str(caught.value) == (
        "no common way to log in: the broker offers PLAIN, ANONYMOUS; "
        "we may use SCRAM-SHA-256, SCRAM-SHA-512, SCRAM-SHA-1; "
        "PLAIN would show the password to everybody on the way: use amqps://"
    )
    with pytest.raises(LoginRefused):
        choose("PLAIN", private=False, allowed=["PLAIN"])


def test_credentials_never_become_an_anonymous_login():
    for more in ({}, {"allowed": ["ANONYMOUS"]}, {"certificate": True}, {"password": False}):
        with pytest.raises(LoginRefused):
            choose("ANONYMOUS", **more)
    with pytest.raises(LoginRefused, match="to come in as anonymous"):
        choose("ANONYMOUS", user=False, password=False, certificate=True)


def test_certificate_logs_in_by_external():
    assert choose("PLAIN", "EXTERNAL", user=False, password=False, certificate=True) == "EXTERNAL"
    assert choose("PLAIN", "EXTERNAL", password=False, certificate=True) == "EXTERNAL"
    assert choose("PLAIN", "EXTERNAL", certificate=True) == "PLAIN"
    assert choose("PLAIN", "EXTERNAL", certificate=True, allowed=["EXTERNAL", "PLAIN"]) == "EXTERNAL"


def test_user_without_password_is_told_to_give_one():
    with pytest.raises(LoginRefused, match="give a password"):
        choose("PLAIN", password=False)
    with pytest.raises(LoginRefused, match="give a user and password"):
        choose("PLAIN", user=False, password=False)


def test_choice_is_written_with_its_first_word_and_the_host():
    client = alice(allowed=["PLAIN"], hostname="bus.example")
    offer(client, "PLAIN")
    assert init_of(client) == Init("PLAIN", b"\0alice\0correct horse", "bus.example")
    client = SaslClient(tls=True, certificate=True)
    offer(client, "EXTERNAL")
    assert init_of(client) == Init("EXTERNAL", b"")


@pytest.mark.parametrize("password", ["bell\x07", "\U0010ffff"])
def test_password_that_scram_forbids_is_said_to_be_so(password):
    client = alice(password)
    with pytest.raises(LoginRefused, match="cannot be used with SCRAM-SHA-256"):
        offer(client, "SCRAM-SHA-256")


def test_plain_with_nul_is_refused_before_it_is_sent():
    client = alice("a\0b", allowed=["PLAIN"])
    with pytest.raises(LoginRefused, match="NUL"):
        offer(client, "PLAIN")


# -- brokers that lie


def challenged(nonce_end: str = "server", salt: str = "c2FsdHNhbHRzYWx0", rounds: str = "4096"):
    """Return a client that waits for the broker's part, and that part."""
    client = alice()
    offer(client, "SCRAM-SHA-256")
    nonce = (init_of(client).response or b"").decode().split("r=")[1]
    return client, f"r={nonce}{nonce_end},s={salt},i={rounds}".encode()


def test_yes_without_the_proof_is_not_believed():
    client = alice()
    offer(client, "SCRAM-SHA-256")
    with pytest.raises(LoginRefused, match="without the proof"):
        client.receive(encode_frame(Outcome(Code.OK)))
    client, message = challenged()
    client.receive(encode_frame(Challenge(message)))
    with pytest.raises(LoginRefused, match="without the proof"):
        client.receive(encode_frame(Outcome(Code.OK)))
    assert not client.done


@pytest.mark.parametrize("wrap", [Challenge, lambda data: Outcome(Code.OK, data)])
def test_wrong_proof_is_not_believed(wrap):
    client, message = challenged()
    client.receive(encode_frame(Challenge(message)))
    with pytest.raises(LoginRefused, match="could not prove that it knows 'alice'"):
        client.receive(encode_frame(wrap(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")))
    assert client.state is ClientState.FAILED


@pytest.mark.parametrize("then_wait", [True, False])
def test_proof_may_come_in_a_challenge_of_its_own(then_wait):
    # Some brokers put the signature into a challenge and wait for an empty response, some do not wait.
    client, server = alice(), broker("SCRAM-SHA-256")
    server.receive(client.bytes_to_send())
    client.receive(server.bytes_to_send())
    server.receive(client.bytes_to_send())
    client.receive(server.bytes_to_send())
    server.receive(client.bytes_to_send())
    buffer = FrameBuffer()
    buffer.append(server.bytes_to_send())
    outcome = buffer.frame()
    assert isinstance(outcome, Outcome)
    assert outcome.data is not None
    signature, yes = encode_frame(Challenge(outcome.data)), encode_frame(Outcome(Code.OK))
    if then_wait:
        client.receive(signature)
        assert client.bytes_to_send() == encode_frame(Response(b""))
        assert not client.done
        client.receive(yes)
    else:
        client.receive(signature + yes)
    assert client.done


def test_broker_that_asks_for_too_much_or_too_little_work_is_refused():
    for rounds, words in (("1000001", "at most 1000000"), ("9999999999", "10000000"), ("4095", "4096")):
        client, message = challenged(rounds=rounds)
        with pytest.raises(LoginRefused, match=words):
            client.receive(encode_frame(Challenge(message)))


@pytest.mark.parametrize(
    "message", [b"\xff", b"e=other-error", b"r=x,s=c2FsdHNhbHRzYWx0,i=4096", b"r=,s=,i="]
)
def test_nonsense_in_the_brokers_part_is_refused(message):
    client, _ = challenged()
    with pytest.raises(LoginRefused, match="the broker's part of SCRAM-SHA-256 cannot be accepted"):
        client.receive(encode_frame(Challenge(message)))


def test_broker_that_only_repeats_our_nonce_is_refused():
    client, message = challenged(nonce_end="")
    with pytest.raises(LoginRefused, match="nonce"):
        client.receive(encode_frame(Challenge(message)))


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        (b"AMQP\x00\x01\x00\x00", "offers no login"),
        (b"AMQP\x00\x00\x09\x01", "rabbitmq_amqp1_0"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a web server listens there"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
        (b"SSH-2.0-OpenSSH_9", "does not speak AMQP"),
    ],
)
def test_peer_that_is_no_broker_is_named(opening, words):
    with pytest.raises(ProtocolError, match=words):
        alice().receive(opening)


@pytest.mark.parametrize("frame", [Challenge(b""), Outcome(Code.OK), Init("PLAIN"), Response(b"")])
def test_frame_out_of_turn_is_refused(frame):
    with pytest.raises(ProtocolError, match="out of turn"):
        alice().receive(SASL_HEADER + encode_frame(frame))


def test_second_offer_is_refused():
    client = alice()
    offer(client, "SCRAM-SHA-256", "PLAIN")
    with pytest.raises(ProtocolError, match="mechanisms out of turn"):
        client.receive(encode_frame(Mechanisms(("PLAIN",))))


@pytest.mark.parametrize("code", [Code.SYS, Code.SYS_PERM, Code.SYS_TEMP])
def test_trouble_of_the_broker_is_told_from_wrong_credentials(code):
    client = alice(allowed=["PLAIN"])
    offer(client, "PLAIN")
    with pytest.raises(LoginRefused) as caught:
        client.receive(encode_frame(Outcome(code)))
    assert "wrong" not in str(caught.value)
    assert caught.value.temporary == (code is Code.SYS_TEMP)


def test_connection_that_ends_in_the_login_says_at_which_step():
    with pytest.raises(ConnectionFailed, match="use amqps://"):
        alice().eof()
    client = alice(allowed=["PLAIN"])
    client.receive(SASL_HEADER)
    with pytest.raises(ConnectionFailed, match="before it offered a login"):
        client.eof()
    client.receive(encode_frame(Mechanisms(("PLAIN",))))
    with pytest.raises(ConnectionFailed, match="at the login by PLAIN"):
        client.eof()
    client.receive(encode_frame(Outcome(Code.OK)))
    client.eof()
    assert client.done


def test_bytes_behind_the_login_belong_to_amqp():
    client = alice(allowed=["PLAIN"])
    offer(client, "PLAIN")
    client.receive(encode_frame(Outcome(Code.OK)) + b"AMQP\x00\x01\x00\x00")
    assert client.leftover == b"AMQP\x00\x01\x00\x00"


def test_failed_client_stays_failed():
    client = alice()
    with pytest.raises(ProtocolError):
        client.receive(b"nonsense")
    with pytest.raises(ProtocolError, match="nonsense"):
        client.receive(SASL_HEADER)


PREFIXES = st.sampled_from(
    [
        b"",
        SASL_HEADER,
        SASL_HEADER + encode_frame(Mechanisms(("SCRAM-SHA-256",))),
        SASL_HEADER + encode_frame(Mechanisms(("PLAIN", "ANONYMOUS"))),
        SASL_HEADER + encode_frame(Mechanisms(("ANONYMOUS",))),
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=5000),
    st.builds(
        lambda body: (len(body) + 8).to_bytes(4, "big") + b"\x02\x01\0\0" + body, st.binary(max_size=300)
    ),
    st.builds(lambda names: encode_frame(Mechanisms(tuple(names))), st.lists(st.text("ABC-", min_size=1))),
    st.builds(lambda body: encode_frame(Challenge(body)), st.binary(max_size=300)),
    st.builds(lambda text: encode_frame(Challenge(text.encode())), st.text("rsive=,abc0123\0é", max_size=40)),
    st.builds(
        lambda code, body: encode_frame(Outcome(code, body)), st.sampled_from(list(Code)[1:]), st.binary()
    ),
)


@settings(max_examples=400, deadline=None)
@given(PREFIXES, st.lists(GARBAGE, max_size=4), st.lists(st.integers(0, 20_000), max_size=12))
def test_whatever_comes_the_client_says_no_in_its_own_words_and_keeps_little(prefix, garbage, cuts):
    client = alice(loopback=False)
    with contextlib.suppress(ProtocolError, LoginRefused):
        for chunk in pieces(prefix + b"".join(garbage), cuts):
            client.receive(chunk)
            assert len(client._buffer) <= 4096 + len(chunk)
    if client.failure is not None:
        assert str(client.failure)
        assert client.state is ClientState.FAILED
        assert len(client._buffer) == 0
    assert not client.done
    assert b"correct horse" not in client.bytes_to_send()


def test_loopback_constant_is_private():
    assert LOOPBACK.private
    assert not OPEN_LINE.private
