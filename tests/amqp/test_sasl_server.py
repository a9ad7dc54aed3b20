from __future__ import annotations

import base64
import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clacks.amqp.sasl import Channel, PeerCertificate, SaslServer, State
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
from clacks.common.errors import LoginRefused, ProtocolError
from clacks.common.limits import DEFAULT_LIMITS

from .logins import LOOPBACK, OPEN_LINE, TLS, broker, pieces

CERTIFICATE = PeerCertificate("O=Example,CN=node1", "node1", uris=("urn:user:node1",))


def frames_of(server: SaslServer):
    """Return what the server wrote behind its header."""
    buffer = FrameBuffer()
    buffer.append(server.bytes_to_send())
    assert buffer.header() == SASL_HEADER
    found = []
    while (frame := buffer.frame()) is not None:
        found.append(frame)
    assert buffer.rest() == b""
    return found


def offered(server: SaslServer) -> tuple[str, ...]:
    server.receive(SASL_HEADER)
    (frame,) = frames_of(server)
    assert isinstance(frame, Mechanisms)
    return frame.names


def test_scram_and_plain_are_offered_on_loopback():
    assert offered(broker()) == ("SCRAM-SHA-256", "PLAIN")


def test_plain_is_not_offered_on_an_open_line():
    assert offered(broker(channel=OPEN_LINE)) == ("SCRAM-SHA-256",)


def test_plain_is_offered_over_tls():
    assert offered(broker("PLAIN", channel=TLS)) == ("PLAIN",)


def test_anonymous_is_off_unless_asked_for():
    assert "ANONYMOUS" not in offered(SaslServer(channel=LOOPBACK, keys=broker()._keys))
    assert offered(broker("ANONYMOUS")) == ("ANONYMOUS",)


def test_external_is_offered_to_a_certificate_that_stands_for_a_user():
    channel = Channel(tls=True, certificate=CERTIFICATE)
    known = broker("EXTERNAL", "PLAIN", channel=channel, user_of=lambda peer: peer.common_name)
    assert offered(known) == ("EXTERNAL", "PLAIN")
    stranger = broker("EXTERNAL", "PLAIN", channel=channel, user_of=lambda peer: None)
    assert offered(stranger) == ("PLAIN",)
    assert offered(broker("EXTERNAL", "PLAIN", channel=TLS, user_of=lambda peer: "x")) == ("PLAIN",)


def test_connection_on_which_nothing_may_be_offered_is_closed_with_the_reason():
    server = broker("PLAIN", channel=OPEN_LINE)
    with pytest.raises(LoginRefused, match="PLAIN needs TLS or loopback"):
        server.receive(SASL_HEADER)
    assert server.bytes_to_send() == SASL_HEADER


def test_unknown_mechanism_in_the_settings_is_an_error_at_once():
    with pytest.raises(ValueError, match="CRAM-MD5"):
        SaslServer(("CRAM-MD5",))


def test_plain_waits_for_somebody_to_check_the_password():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0pass word", "bus.example")))
    assert server.state is State.NEEDS_VERIFICATION
    assert server.pending is not None
    assert (server.pending.user, server.pending.password) == ("alice", "pass word")
    assert "pass word" not in repr(server.pending)
    assert server.user is None
    assert server.hostname == "bus.example"
    server.resolve(True)
    server.receive(b"")
    assert server.done
    assert server.user == "alice"
    assert frames_of(server)[-1] == Outcome(Code.OK)


def test_wrong_password_is_answered_with_an_outcome_and_raised_at_the_next_receive():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0wrong")))
    server.resolve(False)
    assert frames_of(server)[-1] == Outcome(Code.AUTH)
    with pytest.raises(LoginRefused, match="wrong user or password: 'alice' by PLAIN"):
        server.receive(b"")
    assert server.state is State.FAILED
    assert server.user is None
    assert server.claimed == "alice"


def test_password_that_could_not_be_checked_just_now_is_a_temporary_refusal():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0x")))
    server.resolve(False, temporary=True)
    assert frames_of(server)[-1] == Outcome(Code.SYS_TEMP)
    with pytest.raises(LoginRefused) as caught:
        server.receive(b"")
    assert caught.value.temporary


def test_verdict_after_the_peer_broke_the_protocol_changes_nothing():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0x")))
    with pytest.raises(ProtocolError, match="ahead of its login"):
        server.receive(bytes(70_000))
    server.resolve(True)
    assert server.state is State.FAILED
    assert server.user is None
    assert not server.done


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"alice\0secret",
        b"\0alice",
        b"\0\0secret",
        b"\0alice\0",
        b"\0a\0b\0c",
        b"\0\xff\0x",
        b"\0a\x07\0x",
    ],
)
def test_plain_without_user_and_password_is_refused(response):
    server = broker()
    with pytest.raises(LoginRefused, match="PLAIN with"):
        server.receive(SASL_HEADER + encode_frame(Init("PLAIN", response)))
    assert frames_of(server)[-1] == Outcome(Code.AUTH)


def test_plain_with_an_oversize_name_or_password_is_refused():
    for response in (b"\0" + b"u" * 256 + b"\0x", b"\0u\0" + b"x" * 1025):
        server = broker()
        with pytest.raises(LoginRefused, match="oversize"):
            server.receive(SASL_HEADER + encode_frame(Init("PLAIN", response)))


def test_user_cannot_log_in_as_another():
    server = broker()
    with pytest.raises(LoginRefused, match="'alice' asked to log in as 'admin'"):
        server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"admin\0alice\0correct horse")))


def test_user_may_name_itself_twice():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"alice\0alice\0correct horse")))
    assert server.state is State.NEEDS_VERIFICATION


def test_client_that_waits_to_be_asked_is_asked():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN")))
    assert frames_of(server)[-1] == Challenge(b"")
    server.receive(encode_frame(Response(b"\0alice\0x")))
    assert server.state is State.NEEDS_VERIFICATION


def test_mechanism_that_was_not_offered_is_refused():
    for mechanism in ("ANONYMOUS", "EXTERNAL", "SCRAM-SHA-1", "plain", "X" * 1000):
        server = broker()
        with pytest.raises(LoginRefused, match="offered were SCRAM-SHA-256, PLAIN"):
            server.receive(SASL_HEADER + encode_frame(Init(mechanism, b"\0alice\0x")))
        assert frames_of(server)[-1] == Outcome(Code.AUTH)


def test_password_sent_readable_on_an_open_line_is_not_even_looked_at():
    server = broker(channel=OPEN_LINE)
    with pytest.raises(LoginRefused, match="PLAIN needs TLS"):
        server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0correct horse")))
    assert server.pending is None


def test_certificate_stands_for_its_own_user_only():
    channel = Channel(tls=True, certificate=CERTIFICATE)

    def login(response: bytes | None) -> SaslServer:
        server = broker("EXTERNAL", channel=channel, user_of=lambda peer: peer.uris[0].rpartition(":")[2])
        server.receive(SASL_HEADER + encode_frame(Init("EXTERNAL", response)))
        return server

    assert login(None).user == login(b"").user == login(b"node1").user == "node1"
    with pytest.raises(LoginRefused, match="does not stand for another user"):
        login(b"admin")


def test_anonymous_has_a_user_name_for_rights():
    server = broker("ANONYMOUS")
    server.receive(SASL_HEADER + encode_frame(Init("ANONYMOUS", b"trace@example")))
    assert server.user == "anonymous"


def test_unknown_user_gets_a_salt_that_does_not_change_and_the_same_refusal():
    def first(user: str) -> tuple[SaslServer, dict[str, str]]:
        server = broker()
        message = f"n,,n={user},r=nonce".encode()
        server.receive(SASL_HEADER + encode_frame(Init("SCRAM-SHA-256", message)))
        challenge = frames_of(server)[-1]
        assert isinstance(challenge, Challenge)
        return server, dict(part.split("=", 1) for part in challenge.data.decode().split(","))

    _, once = first("nobody")
    server, again = first("nobody")
    real, known = first("alice")
    assert once["s"] == again["s"] != known["s"]
    assert len(once["s"]) == len(known["s"])
    assert once["i"] == known["i"] == "20000"
    proof = base64.b64encode(bytes(32)).decode()
    reasons = []
    for end, parts in ((server, again), (real, known)):
        with pytest.raises(LoginRefused) as caught:
            end.receive(encode_frame(Response(f"c=biws,r={parts['r']},p={proof}".encode())))
        assert end.bytes_to_send() == encode_frame(Outcome(Code.AUTH))
        reasons.append(str(caught.value).replace(end.claimed or "", "X"))
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"\xff\xfe",
        b"n,a=admin,n=alice,r=x",
        b"p=tls-unique,,n=alice,r=x",
        b"n,,n=al=ice,r=x",
        b"n,,r=x",
    ],
)
def test_first_message_of_scram_that_is_wrong_is_refused(message):
    server = broker()
    with pytest.raises(LoginRefused, match="SCRAM failed"):
        server.receive(SASL_HEADER + encode_frame(Init("SCRAM-SHA-256", message)))
    assert frames_of(server)[-1] == Outcome(Code.AUTH)


def test_scram_with_an_endless_user_name_is_refused():
    server = broker()
    with pytest.raises(LoginRefused, match="at most 255"):
        server.receive(SASL_HEADER + encode_frame(Init("SCRAM-SHA-256", b"n,,n=" + b"u" * 300 + b",r=x")))


def test_user_that_has_to_wait_is_refused_for_now_whatever_the_mechanism():
    for mechanism, response in (("PLAIN", b"\0alice\0correct horse"), ("SCRAM-SHA-256", b"n,,n=alice,r=x")):
        asked = []
        server = broker(admit=lambda user, asked=asked: asked.append(user) or 12.0)
        with pytest.raises(LoginRefused, match="refused for another 12 s") as caught:
            server.receive(SASL_HEADER + encode_frame(Init(mechanism, response)))
        assert caught.value.temporary
        assert asked == ["alice"]
        assert frames_of(server)[-1] == Outcome(Code.SYS_TEMP)


def test_peer_that_skips_the_login_is_told_what_we_speak_and_refused():
    server = broker()
    with pytest.raises(ProtocolError, match="it skipped the login"):
        server.receive(b"AMQP\x00\x01\x00\x00" + bytes(100))
    assert server.bytes_to_send() == SASL_HEADER
    assert not server.done
    with pytest.raises(ProtocolError, match="it skipped the login"):
        server.receive(SASL_HEADER)


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS on a port without TLS"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP request"),
        (b"AMQP\x00\x00\x09\x01", "AMQP 0-9-1"),
        (b"\x00\x00\x00\x00", "first bytes"),
    ],
)
def test_stranger_on_the_port_leaves_a_clear_reason(opening, reason):
    server = broker()
    with pytest.raises(ProtocolError, match=reason):
        server.receive(opening)
    assert server.bytes_to_send() == SASL_HEADER


@pytest.mark.parametrize("frame", [Response(b"x"), Challenge(b"x"), Outcome(Code.OK), Mechanisms(("PLAIN",))])
def test_frame_out_of_turn_is_refused(frame):
    server = broker()
    with pytest.raises(ProtocolError, match="out of turn"):
        server.receive(SASL_HEADER + encode_frame(frame))


def test_second_choice_is_refused():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("SCRAM-SHA-256", b"n,,n=alice,r=x")))
    with pytest.raises(ProtocolError, match="init out of turn"):
        server.receive(encode_frame(Init("PLAIN", b"\0alice\0x")))


def test_bytes_behind_the_login_belong_to_amqp():
    server = broker()
    server.receive(SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0x")) + b"AMQP\x00\x01")
    assert server.leftover == b""
    server.receive(b"\x00\x00rest")
    server.resolve(True)
    server.receive(b"")
    assert server.leftover == b"AMQP\x00\x01\x00\x00rest"
    assert server.leftover == b""


def test_checking_who_is_there_takes_about_as_long_as_checking_who_is_not():
    # The work itself is compared, as CPU time, minimum of many: a factor, not a figure of this machine.
    def cost(user: str) -> float:
        best = 1.0
        for _ in range(60):
            server = broker()
            data = SASL_HEADER + encode_frame(Init("SCRAM-SHA-256", f"n,,n={user},r=x".encode()))
            start = time.thread_time()
            server.receive(data)
            best = min(best, time.thread_time() - start)
        return best

    assert 0.5 < cost("alice") / cost("nobod") < 2


PREFIXES = st.sampled_from(
    [
        b"",
        SASL_HEADER,
        SASL_HEADER + encode_frame(Init("PLAIN", b"\0alice\0x")),
        SASL_HEADER + encode_frame(Init("PLAIN")),
        SASL_HEADER + encode_frame(Init("SCRAM-SHA-256", b"n,,n=alice,r=x")),
        SASL_HEADER + bytes.fromhex("00000020 02010000 00534145"),
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=5000),
    st.builds(
        lambda body: (len(body) + 8).to_bytes(4, "big") + b"\x02\x01\0\0" + body, st.binary(max_size=300)
    ),
    st.builds(lambda body: encode_frame(Init("SCRAM-SHA-256", body)), st.binary(max_size=300)),
    st.builds(lambda text: encode_frame(Init("SCRAM-SHA-256", text.encode())), st.text(max_size=99)),
    st.builds(lambda body: encode_frame(Response(body)), st.binary(max_size=300)),
    st.builds(lambda text: encode_frame(Response(text.encode())), st.text("crp=,abc0123\0é", max_size=40)),
)


@settings(max_examples=400, deadline=None)
@given(PREFIXES, st.lists(GARBAGE, max_size=4), st.lists(st.integers(0, 20_000), max_size=12))
def test_whatever_comes_the_server_says_no_in_its_own_words_and_keeps_little(prefix, garbage, cuts):
    server = broker()
    written = 0
    with contextlib.suppress(ProtocolError, LoginRefused):
        for chunk in pieces(prefix + b"".join(garbage), cuts):
            server.receive(chunk)
            assert len(server._buffer) <= DEFAULT_LIMITS.frame_size + len(chunk)
            written += len(server.bytes_to_send())
    if server.failure is not None:
        assert str(server.failure)
        assert server.state is State.FAILED
        assert len(server._buffer) == 0
    assert written < 10_000
    assert not server.done
    assert server.user is None
