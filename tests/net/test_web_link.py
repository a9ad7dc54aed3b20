"""What a connection gets goes out whole and in order, whether the kernel takes it at once or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from clacks.common.metrics import Metrics
from clacks.net.web_frames import plain
from clacks.net.web_link import Link, Outbox

LIMIT = 20.0

pytestmark = pytest.mark.net


@dataclass
class Joined:
    link: Link
    outbox: Outbox
    transport: asyncio.Transport
    far: socket.socket
    metrics: Metrics


@contextlib.asynccontextmanager
async def joined(limit: int = 1 << 22) -> AsyncIterator[Joined]:
    """A link whose other end is a socket that nobody reads until the test does."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    far.setblocking(False)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    metrics = Metrics()
    outbox = Outbox(loop, metrics)

    async def nothing() -> None:
        return None

    link = Link(outbox, transport, plain, limit=limit, receive=nothing, drain=nothing)
    try:
        yield Joined(link, outbox, transport, far, metrics)
    finally:
        transport.abort()
        far.close()
        await asyncio.sleep(0)


async def read(far: socket.socket, size: int) -> bytes:
    """Read that many bytes."""
    loop = asyncio.get_running_loop()
    found = b""
    async with asyncio.timeout(LIMIT):
        while len(found) < size:
            found += await loop.sock_recv(far, 65536)
    return found


def test_what_the_kernel_takes_goes_out_in_the_turn_of_the_flush() -> None:
    async def check() -> None:
        async with joined() as here:
            here.link.send(b"one")
            here.link.send(b"two")
            here.outbox.flush()
            assert here.far.recv(100) == b"onetwo"
            assert not here.link.waiting

    asyncio.run(check())


def test_frames_stay_in_order_when_the_kernel_takes_only_a_part() -> None:
    async def check() -> None:
        async with joined() as here:
            frames = [f"{number:06d}".encode() * 500 for number in range(100)]
            for frame in frames:
                here.link.send(frame)
                here.outbox.flush()
            assert here.link.waiting
            expected = b"".join(frames)
            assert await read(here.far, len(expected)) == expected
            here.link.send(b"last")  # the buffer is empty again
            here.outbox.flush()
            assert await read(here.far, 4) == b"last"

    asyncio.run(check())


def test_a_reader_that_does_not_read_is_cut_off_at_its_limit() -> None:
    async def check() -> None:
        async with joined(limit=100_000) as here:
            for _ in range(100):
                here.link.send(b"x" * 10_000)
                here.outbox.flush()
            assert here.link.closed
            assert here.metrics.value("web_cut_off") == 1

    asyncio.run(check())


def test_nothing_is_written_to_a_descriptor_that_the_connection_gave_up() -> None:
    async def check() -> None:
        async with joined() as here:
            number = here.link.descriptor
            assert number is not None
            read_end, write_end = os.pipe()
            here.link.send(b"too late")
            here.transport.abort()
            await asyncio.sleep(0)  # asyncio closes the socket
            try:
                # The system gives a number that is free again to whoever comes next.
                os.dup2(write_end, number)
                here.outbox.flush()
                os.set_blocking(read_end, False)
                with pytest.raises(BlockingIOError):
                    os.read(read_end, 100)
            finally:
                os.close(number)
                os.close(read_end)
                os.close(write_end)

    asyncio.run(check())
