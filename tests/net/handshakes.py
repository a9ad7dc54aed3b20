"""TLS between two contexts in memory: the bytes of a connection without a socket."""

from __future__ import annotations

import ssl


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands as if ``host`` had been asked for; raises what the side that refuses raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(down, up, server_hostname=host),
        server.wrap_bio(up, down, server_side=True),
    )
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    # The end of a handshake of TLS 1.3: the server has read the client's last word only now.
    ends[0].write(b"x")
    assert ends[1].read() == b"x"
    return ends
