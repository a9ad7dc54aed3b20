from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from clacks.amqp.sasl_frames import SASL_HEADER, Init, Mechanisms, encode_frame
from clacks.common.errors import ConnectionFailed, ProtocolError
from clacks.net.probe import lets_in_without_login, offered_mechanisms

pytestmark = pytest.mark.net

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"


@contextlib.asynccontextmanager
async def answering(answer: bytes, *, pieces: int = 1, stay: bool = False) -> AsyncIterator[int]:
    """Run a broker that says this to everybody, whatever it hears; yield its port."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        size = max(1, len(answer) // pieces)
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size])
            await writer.drain()
        if stay:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("pieces", [1, 1000])
def test_what_a_broker_offers_is_returned_in_its_order(pieces: int) -> None:
    async def run() -> tuple[str, ...]:
        offer = SASL_HEADER + encode_frame(Mechanisms(("PLAIN", "ANONYMOUS")))
        async with answering(offer, pieces=pieces, stay=True) as port:
            return await offered_mechanisms("127.0.0.1", port)

    assert asyncio.run(run()) == ("PLAIN", "ANONYMOUS")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (AMQP_HEADER, ProtocolError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError),
        (SASL_HEADER + encode_frame(Init("PLAIN")), ProtocolError),
        (b"", ConnectionFailed),
        (SASL_HEADER, ConnectionFailed),
    ],
    ids=["no login", "another protocol", "another frame", "nothing", "half"],
)
def test_who_does_not_offer_a_login_is_an_error(answer: bytes, error: type[Exception]) -> None:
    async def run() -> None:
        async with answering(answer) as port:
            await offered_mechanisms("127.0.0.1", port)

    with pytest.raises(error):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "open_to_all"),
    [(AMQP_HEADER, True), (SASL_HEADER, False), (b"", False)],
    ids=["speaks AMQP at once", "wants a login", "closes"],
)
def test_a_broker_that_skips_the_login_is_found_out(answer: bytes, open_to_all: bool) -> None:
    async def run() -> bool:
        async with answering(answer) as port:
            return await lets_in_without_login("127.0.0.1", port)

    assert asyncio.run(run()) is open_to_all


def test_nobody_there_is_said_so() -> None:
    async def run() -> None:
        async with answering(b"") as port:
            pass
        await offered_mechanisms("127.0.0.1", port)

    with pytest.raises(ConnectionFailed):
        asyncio.run(run())


def test_a_broker_that_says_nothing_is_not_waited_for_long() -> None:
    async def run() -> None:
        async with answering(b"", stay=True) as port:
            await lets_in_without_login("127.0.0.1", port, timeout=0.05)

    with pytest.raises(ConnectionFailed, match="no answer in time"):
        asyncio.run(run())
