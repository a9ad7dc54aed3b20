"""Where the CPU of a paced delivery goes: the kernel, the way of the message, and the rest.

    python -m benchmarks.gateway_shares [subscribers 1000] [publishes a second 20] [rounds 5]

Four servers are measured in turn, two seconds each, so that all of them meet the same machine:

- the gateway with all its subscribers (``paced`` of `benchmarks.gateway`),
- a gateway with one subscriber: what a message costs before it is given away,
- the floor: one ``send`` of the same bytes for each subscriber, in a loop of C where there is a compiler,
- aiohttp's WebSocket alone (``bare``).

The figures are sums over all rounds. A message meets colder caches where it went to a thousand before, so the
share of its way is told too small, and the rest too large.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.gateway import Server, World, Writer, connect, serve, serve_bare, until

SECONDS = 2.0
LOOP = """
#include <sys/socket.h>
int send_all(const int *numbers, int n, const char *data, int size)
{
    int missed = 0;
    for (int i = 0; i < n; i++)
        if (send(numbers[i], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) != size)
            missed++;
    return missed;
}
"""


def loop_in_c() -> Callable[[array[int], bytes], int] | None:
    """Return a function that sends to all and tells who missed it; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "loop.c"), Path(folder, "loop.so")
        source.write_text(LOOP)
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        loaded = ctypes.CDLL(str(library))

    def send_all(numbers: array[int], data: bytes) -> int:
        return int(loaded.send_all(ctypes.c_void_p(numbers.buffer_info()[0]), len(numbers), data, len(data)))

    return send_all


def loop_in_python(numbers: array[int], data: bytes) -> int:
    """Do the same without a compiler."""
    return sum(os.write(number, data) != len(data) for number in numbers)


def framed(text: str) -> bytes:
    data = text.encode()
    head = bytes((0x81, len(data))) if len(data) < 126 else b"\x81\x7e" + len(data).to_bytes(2, "big")
    return head + data


def messages(data: bytes) -> list[str]:
    """Return the texts of frames whose mask is zero."""
    found = []
    while len(data) >= 6:
        size, head = data[1] & 0x7F, 6
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 8
        found.append(data[head : head + size].decode())
        data = data[head + size :]
    return found


def serve_floor(pipe: Connection, tls: bool, uvloop: bool) -> None:
    """A server that does nothing but what the kernel must do, for clients of this benchmark."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    send_all = loop_in_c()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(pipe, select.EPOLLIN)
    held: dict[int, socket.socket] = {}
    upgraded: set[int] = set()
    everybody = array("i")
    pipe.send(([listener.getsockname()[1]], "none"))
    while True:
        for number, _ in poll.poll():
            if number == pipe.fileno():
                return
            if number == listener.fileno():
                one, _ = listener.accept()
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                held[one.fileno()] = one
                poll.register(one, select.EPOLLIN)
                continue
            data = held[number].recv(65_536)
            if not data:
                poll.unregister(number)
            elif number not in upgraded:
                upgraded.add(number)
                held[number].sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            else:
                for text in messages(data):
                    call = json.loads(text)
                    if call["method"] == "subscribe":
                        everybody.append(number)
                    else:
                        result = {"id": "1690000000000-000000", **call["params"]}
                        event = {"id": 1, "jsonrpc": "2.0", "result": result}
                        frame = framed(json.dumps(event, separators=(",", ":")))
                        missed = (send_all or loop_in_python)(everybody, frame)
                        assert not missed, "a client does not read"
                    held[number].sendall(framed(f'{{"id":{call["id"]},"result":{{"status":"ok"}}}}'))


class Kind:
    """One of the servers, with its subscribers and its publisher."""

    def __init__(self, name: str, server: Server, subscribers: int) -> None:
        self.name = name
        self.server = server
        self.subscribers = subscribers
        self.world = World(stamped=True)
        self.cpu = 0.0
        self.number = 0
        self.writer = Writer(server.ports[0], server.token)

    async def start(self) -> None:
        await connect(self.server.ports[0], self.server.token, self.subscribers, "bench/topic", self.world)
        await self.writer.start()
        self.world.paced = True

    async def publish(self, rate: float, *, counted: bool = True) -> None:
        """Publish for some seconds, each message when everybody has the one before."""
        before, begun = self.server.cpu(), time.monotonic()
        for n in range(int(SECONDS * rate)):
            await asyncio.sleep(max(0.0, begun + n / rate - time.monotonic()))
            self.world.sent[self.number] = time.time()
            self.writer.publish(self.number)
            self.number += 1
            # On a machine that is behind, two messages would go out in one write.
            await until(lambda: self.world.count >= self.number * self.subscribers)
        if counted:
            self.cpu += self.server.cpu() - before


async def measure(subscribers: int, rate: float, rounds: int) -> None:
    kinds = [
        Kind("gateway", Server(serve), subscribers),
        Kind("gateway, one subscriber", Server(serve), 1),
        Kind("floor", Server(serve_floor), subscribers),
        Kind("bare aiohttp", Server(serve_bare), subscribers),
    ]
    try:
        for kind in kinds:
            await kind.start()
            await kind.publish(rate, counted=False)
        for _ in range(rounds):
            for kind in kinds:
                await kind.publish(rate)
    finally:
        for kind in kinds:
            kind.server.stop()
    assert not any(kind.world.wrong for kind in kinds), "lost, doubled or out of order"
    published = int(SECONDS * rate) * rounds
    whole, way, floor, bare = (1e6 * kind.cpu / published / subscribers for kind in kinds)
    loop = "C" if shutil.which("cc") else "Python"
    print(f"{subscribers} subscribers x {rate:g}/s, us of CPU for each delivery:")
    print(f"    {floor:5.2f}  one send each, in a loop of {loop}")
    print(f"    {way:5.2f}  the way of the message: {1e-3 * way * subscribers:.2f} ms for all of them")
    print(f"    {whole - floor - way:5.2f}  the rest: the loop in Python, and colder caches")
    print(f"    {whole:5.2f}  the gateway, {whole / bare:.2f} of bare aiohttp's {bare:.2f}")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    given = [float(argument) for argument in sys.argv[1:]]
    subscribers, rate, rounds = (*given, *(1000.0, 20.0, 5.0)[len(given) :])
    asyncio.run(measure(int(subscribers), rate, int(rounds)))


if __name__ == "__main__":
    main()
