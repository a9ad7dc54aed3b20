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
from clacks.net.web_link import Link
from clacks.net.web_outbox import Audience, Outbox

LIMIT = 20.0

pytestmark = pytest.mark.net


class Watching(asyncio.Protocol):
    """Tells its link what its transport says, as the web server's protocol does."""

    link: Link

    def pause_writing(self) -> None:
        self.link.paused()

    def resume_writing(self) -> None:
        self.link.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.lost()


@dataclass
class Joined:
    link: Link
    outbox: Outbox
    transport: asyncio.Transport
    far: socket.socket
    metrics: Metrics


@contextlib.asynccontextmanager
async def joined(
    limit: int = 1 << 22, outbox: Outbox | None = None, *, direct: bool = True
) -> AsyncIterator[Joined]:
    """A link whose other end is a socket that nobody reads until the test does."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    far.setblocking(False)
    transport, protocol = await loop.create_connection(Watching, sock=near)
    metrics = Metrics()
    if outbox is None:
        outbox = Outbox(loop, metrics)

    async def nothing() -> None:
        return None

    descriptor = near.fileno() if direct else None
    link = Link(outbox, transport, plain, limit=limit, receive=nothing, drain=nothing, descriptor=descriptor)
    protocol.link = link
    transport.set_write_buffer_limits(0)
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


@pytest.mark.parametrize("shared", [False, True])
def test_nothing_is_written_to_a_descriptor_that_the_connection_gave_up(shared: bool) -> None:
    async def check() -> None:
        async with joined() as here:
            number = here.link.descriptor
            assert number is not None
            read_end, write_end = os.pipe()
            audience = Audience([here.link])
            if shared:
                here.outbox.share((audience,))
                audience.frames.append(b"too late")
            else:
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


def test_what_many_get_and_what_one_gets_stay_in_order() -> None:
    async def check() -> None:
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(joined())
            two = await stack.enter_async_context(joined(outbox=one.outbox, direct=False))
            far = await stack.enter_async_context(joined(outbox=one.outbox))
            outbox = one.outbox
            both, all_three = Audience([one.link, two.link]), Audience([one.link, two.link, far.link])

            def share(audience: Audience, frame: bytes) -> None:
                outbox.share(sets[audience])
                audience.frames.append(frame)

            sets = {both: (both,), all_three: (all_three,)}
            one.link.send(b"a")
            share(both, b"b")
            share(both, b"c")
            two.link.send(b"d")  # comes between
            share(both, b"e")
            far.link.send(b"f")  # has nothing to do with the two
            share(all_three, b"g")
            one.link.send(b"h")
            outbox.flush()
            assert one.far.recv(100) == b"abcegh"
            assert two.far.recv(100) == b"bcdeg"
            assert far.far.recv(100) == b"fg"
            outbox.flush()
            assert not outbox.dirty

    asyncio.run(check())


def test_who_does_not_keep_up_gets_everything_in_order_and_holds_up_nobody() -> None:
    async def check() -> None:
        async with joined() as slow, joined(outbox=slow.outbox) as quick:
            audience = Audience([slow.link, quick.link])
            frames = [f"{number:06d}".encode() * 500 for number in range(40)]
            got = b""
            for frame in frames:
                slow.outbox.share((audience,))
                audience.frames.append(frame)
                slow.outbox.flush()
                got += await read(quick.far, len(frame))
            assert got == b"".join(frames)
            assert slow.link in slow.outbox.busy
            assert quick.link not in slow.outbox.busy
            assert await read(slow.far, len(got)) == got
            async with asyncio.timeout(LIMIT):
                while slow.link.waiting:
                    await asyncio.sleep(0)
            assert slow.link not in slow.outbox.busy

    asyncio.run(check())


def test_a_link_that_is_over_is_written_to_no_more_and_then_forgotten() -> None:
    async def check() -> None:
        async with joined() as gone, joined(outbox=gone.outbox) as other:
            outbox = gone.outbox
            audience = Audience([gone.link, other.link])
            outbox.share((audience,))
            audience.frames.append(b"x")
            gone.link.abort()
            outbox.flush()
            assert await asyncio.get_running_loop().sock_recv(gone.far, 100) == b""
            assert other.far.recv(100) == b"x"
            assert gone.link in outbox.busy
            outbox.forget(gone.link)
            assert not outbox.busy
            gone.link.send(b"nobody hears it")
            outbox.flush()

    asyncio.run(check())
