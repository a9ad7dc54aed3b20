"""SCRAM-SHA-256-PLUS (RFC 5802, 6): a login that fits one certificate only."""

from __future__ import annotations

import pytest

from clacks.amqp.sasl import Channel, SaslClient
from clacks.amqp.sasl_frames import SASL_HEADER, Mechanisms, encode_frame
from clacks.common.errors import LoginRefused

from .logins import TLS, broker, join

OURS, FOREIGN = b"o" * 32, b"f" * 32


def bound(binding: bytes | None = OURS) -> Channel:
    return Channel(tls=True, binding=binding)


def alice(binding: bytes | None = OURS, **more) -> SaslClient:
    return SaslClient("alice", "correct horse", tls=True, binding=binding, **more)


def test_both_bind_where_both_can():
    client, server = alice(), broker(channel=bound())
    assert server.offered == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")
    join(client, server)
    assert client.done
    assert server.user == "alice"
    assert client.mechanism == server.mechanism == "SCRAM-SHA-256-PLUS"


def test_a_login_forwarded_by_somebody_with_another_certificate_is_refused():
    client, server = alice(FOREIGN), broker(channel=bound())
    join(client, server)
    assert isinstance(server.failure, LoginRefused)
    assert not server.done
    assert "somebody in between" in str(client.failure)


def test_who_takes_the_offer_of_binding_away_is_found_out():
    client, server = alice(), broker(channel=bound())
    server.receive(client.bytes_to_send())
    server.bytes_to_send()  # the man in the middle keeps this ...
    client.receive(SASL_HEADER + encode_frame(Mechanisms(("SCRAM-SHA-256",))))  # ... and says something else
    join(client, server)
    assert client.mechanism == "SCRAM-SHA-256"
    assert isinstance(server.failure, LoginRefused)
    assert "channel binding" in str(server.failure)
    assert not client.done


def test_a_client_that_cannot_bind_comes_in_without():
    client, server = alice(None), broker(channel=bound())
    join(client, server)
    assert client.done
    assert server.mechanism == "SCRAM-SHA-256"


def test_a_client_that_can_bind_comes_in_at_a_broker_that_cannot():
    client, server = alice(), broker(channel=TLS)
    assert "SCRAM-SHA-256-PLUS" not in server.offered
    join(client, server)
    assert client.done
    assert server.mechanism == "SCRAM-SHA-256"


def test_a_wrong_password_is_refused_with_binding_too():
    client, server = SaslClient("alice", "wrong", tls=True, binding=OURS), broker(channel=bound())
    join(client, server)
    assert isinstance(server.failure, LoginRefused)
    assert "SCRAM-SHA-256-PLUS" in str(server.failure)


def test_who_allows_a_scram_allows_its_bound_form():
    client, server = alice(allowed=["SCRAM-SHA-256"]), broker(channel=bound())
    join(client, server)
    assert client.mechanism == "SCRAM-SHA-256-PLUS"


def test_who_allows_the_bound_form_alone_does_not_come_in_without():
    client, server = alice(allowed=["SCRAM-SHA-256-PLUS"]), broker(channel=TLS)
    join(client, server)
    assert isinstance(client.failure, LoginRefused)


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("EXTERNAL", "PLAIN")])
def test_a_broker_without_scram_offers_no_binding(mechanisms):
    assert "SCRAM-SHA-256-PLUS" not in broker(*mechanisms, channel=bound()).offered
