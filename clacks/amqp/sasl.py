"""The login in front of AMQP, both sides: AMQP 1.0 part 5.3 without sockets, before proton sees a byte."""

from __future__ import annotations

from clacks.amqp.sasl_client import ClientState, SaslClient, choose_mechanism
from clacks.amqp.sasl_server import (
    DEFAULT_MECHANISMS,
    Channel,
    PeerCertificate,
    Pending,
    SaslServer,
    State,
    user_of_certificate,
)

__all__ = [
    "DEFAULT_MECHANISMS",
    "Channel",
    "ClientState",
    "PeerCertificate",
    "Pending",
    "SaslClient",
    "SaslServer",
    "State",
    "choose_mechanism",
    "user_of_certificate",
]
