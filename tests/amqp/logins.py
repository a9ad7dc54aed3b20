"""Words for tests of the login: two ends joined without a socket."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from clacks.amqp.sasl import Channel, SaslClient, SaslServer, State
from clacks.common.credentials import Credentials, make_credentials

LOOPBACK = Channel(loopback=True)
OPEN_LINE = Channel()
TLS = Channel(tls=True)


@cache
def credentials() -> Credentials:
    return make_credentials("alice", "correct horse")


def broker(*mechanisms: str, channel: Channel = LOOPBACK, **more) -> SaslServer:
    offered = mechanisms or ("SCRAM-SHA-256", "PLAIN")
    return SaslServer(offered, channel=channel, keys=credentials().keys, **more)


def join(client: SaslClient, server: SaslServer) -> None:
    """Carry bytes until both are quiet; what an end raises is kept in its ``failure``."""
    for _ in range(20):
        up, down = client.bytes_to_send(), None
        if up and server.failure is None:
            feed(server, up)
        if server.state is State.NEEDS_VERIFICATION and server.pending is not None:
            server.resolve(credentials().verify_password(server.pending.user, server.pending.password))
            feed(server, b"")
        down = server.bytes_to_send()
        if down and client.failure is None:
            feed(client, down)
        if not up and not down:
            return
    raise AssertionError("the two ends never fall silent")


def feed(end: SaslClient | SaslServer, data: bytes) -> None:
    try:
        end.receive(data)
    except Exception as error:
        if error is not end.failure:
            raise


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut ``data`` at these places, taken modulo its length."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]
