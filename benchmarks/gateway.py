"""What the gateway costs: CPU of its process for each delivered message, with everything switched on.

    python -m benchmarks.gateway saturated 100
    python -m benchmarks.gateway saturated 1000
    python -m benchmarks.gateway paced 1000 20        (subscribers, publishes a second)
    python -m benchmarks.gateway idle 1000 [tls]
    python -m benchmarks.gateway slow
    python -m benchmarks.gateway many 5000
    python -m benchmarks.gateway                      (all of them, shorter)

With `bare` at the end it measures the same load on aiohttp's WebSocket alone, for a ratio where others use
the machine.

The gateway runs with broker, bus, rights, tokens and an event log in a process of its own; its CPU is read
from the system. Subscribers are plain sockets in another process that only counts and checks: 64 bytes of
text a message, each a number, so that what is lost, doubled or out of order shows. Delays are told twice: by
the kernel's own stamp of arrival at each subscriber's socket, and by the process that reads all.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import resource
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import psutil

SIZE = 64
SO_TIMESTAMPNS = 35  # Linux: when the kernel had the last byte, CLOCK_REALTIME


# -- the gateway, in a process of its own


def serve(pipe: Connection, tls: bool, uvloop: bool) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    async def run() -> None:
        from pathlib import Path

        from clacks.net.certificates import ensure_local_certificates
        from clacks.net.tls import server_context
        from clacks.net.web import WebListener
        from tests.gateway.served import gateway

        more = []
        if tls:
            import tempfile

            folder = Path(tempfile.mkdtemp())
            more.append(
                WebListener(
                    "https", "127.0.0.1", 0, tls=server_context(ensure_local_certificates(folder).server)
                )
            )
        async with gateway(recording="agent", listeners=more) as served:
            ports = [port for _, port in served.gateway.server.ports]
            pipe.send((ports, served.token("ann", seconds=None)))
            loop = asyncio.get_running_loop()
            asked: asyncio.Queue[str] = asyncio.Queue()
            loop.add_reader(pipe.fileno(), lambda: asked.put_nowait(pipe.recv()))
            while (word := await asked.get()) != "stop":
                if word == "stats":
                    metrics = served.gateway.metrics
                    pipe.send(
                        {
                            "delivered": metrics.value("web_delivered"),
                            "cut": metrics.value("web_cut_off"),
                            "dropped": served.bus.metrics.total("events_dropped")
                            + served.broker.metrics.total("events_dropped"),
                            "connections": metrics.value("web_connections"),
                        }
                    )

    if os.environ.get("PROFILE"):
        import cProfile

        profile = cProfile.Profile()
        profile.enable()
        asyncio.run(run())
        profile.disable()
        profile.dump_stats(os.environ["PROFILE"])
        return
    if uvloop:
        import uvloop as fast

        fast.run(run())
    else:
        asyncio.run(run())


def serve_bare(pipe: Connection, tls: bool, uvloop: bool) -> None:
    """The peer: aiohttp's WebSocket and nothing else. No rights, no validation, no bus, no log; what is
    published is sent to each subscriber with ``send_str``, in the envelope that Eventhub has."""
    from aiohttp import web

    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    everybody: dict[web.WebSocketResponse, int] = {}

    async def connected(request: web.Request) -> web.WebSocketResponse:
        one = web.WebSocketResponse(compress=False)
        await one.prepare(request)
        async for message in one:
            call = json.loads(message.data)
            params = call["params"]
            if call["method"] == "subscribe":
                everybody[one] = call["id"]
            await one.send_str(
                json.dumps(
                    {"id": call["id"], "jsonrpc": "2.0", "result": {"status": "ok"}}, separators=(",", ":")
                )
            )
            if call["method"] == "publish":
                for other, id_ in everybody.items():
                    result = {"id": "1690000000000-0", "topic": params["topic"], "message": params["message"]}
                    await other.send_str(
                        json.dumps({"id": id_, "jsonrpc": "2.0", "result": result}, separators=(",", ":"))
                    )
        everybody.pop(one, None)
        return one

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/eventhub", connected)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        pipe.send(([runner.addresses[0][1]], "none"))
        asked: asyncio.Queue[str] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(pipe.fileno(), lambda: asked.put_nowait(pipe.recv()))
        while await asked.get() != "stop":
            pipe.send({"delivered": 0, "cut": 0, "dropped": 0, "connections": 0})
        os._exit(0)

    asyncio.run(run())


class Server:
    """The gateway's process, or that of a peer, as the bench sees it."""

    def __init__(
        self,
        target: Callable[[Connection, bool, bool], None] = serve,
        *,
        tls: bool = False,
        uvloop: bool = False,
    ) -> None:
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.bare = target is serve_bare
        self.process = context.Process(target=target, args=(theirs, tls, uvloop), daemon=True)
        self.process.start()
        self.pipe = ours
        if not ours.poll(60):
            raise RuntimeError("the gateway does not start")
        self.ports, self.token = ours.recv()
        self.ps = psutil.Process(self.process.pid)

    def cpu(self) -> float:
        """Seconds of CPU by the kernel's clock of that process (clock_getcpuclockid), to the nanosecond."""
        return time.clock_gettime((~self.ps.pid << 3) | 2)

    def memory(self) -> int:
        return int(self.ps.memory_full_info().uss)

    def stats(self) -> dict[str, int]:
        self.pipe.send("stats")
        return dict(self.pipe.recv())

    def stop(self) -> None:
        self.pipe.send("stop")
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()


# -- clients: as little as possible, for they share the machine


def masked(text: str) -> bytes:
    data = text.encode()
    head = (
        bytes((0x81, 0x80 | len(data)))
        if len(data) < 126
        else struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
    )
    return head + b"\0\0\0\0" + data  # a mask of zeros is a mask


def request(port: int, token: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /eventhub HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: {token}\r\n\r\n"
    ).encode()


class Crowd:
    """Sockets that are read by one thread, without asyncio's work for each.

    One epoll of its own: one inside that of a loop would make the kernel wake both for every message, at the
    expense of who sends."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.readers: dict[int, Reader] = {}
        threading.Thread(target=self.run, daemon=True).start()

    def add(self, reader: Reader) -> None:
        self.readers[reader.socket.fileno()] = reader
        self.poll.register(reader.socket.fileno(), select.EPOLLIN)

    def run(self) -> None:
        while True:
            for number, _ in self.poll.poll(None, 2000):
                self.read(number, self.readers[number])

    def read(self, number: int, reader: Reader) -> None:
        world = reader.world
        try:
            if world.paced:
                data, extra, _, _ = reader.socket.recvmsg(65_536, 64)
                for _, _, stamp in extra:  # none at the end
                    seconds, nanos = struct.unpack("qq", stamp)
                    world.arrived = seconds + nanos / 1e9
            else:
                data = reader.socket.recv(262_144)
                while data and isinstance(reader.socket, ssl.SSLSocket):
                    reader.data_received(data)
                    data = reader.socket.recv(262_144)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        if data:
            reader.data_received(data)
        else:
            self.poll.unregister(number)
            world.lost += 1


class Reader:
    """Takes messages apart just enough to see their numbers."""

    def __init__(self, held: socket.socket, port: int, token: str, topic: str | None, world: World) -> None:
        self.socket, self.topic, self.world = held, topic, world
        self.buffer = b""
        self.upgraded = False
        self.ready = False
        self.seen = -1
        self.count = 0
        if world.stamped:
            held.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        held.setblocking(False)
        held.send(request(port, token))

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        if not self.upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = buffer
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(buffer[:200].decode())
            self.upgraded = True
            buffer = buffer[end + 4 :]
            if self.topic is None:
                self.ready = True
                self.world.ready += 1
            else:
                call = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"topic": self.topic}}
                self.socket.send(masked(json.dumps(call)))
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, head = buffer[at + 1] & 0x7F, 2
            if length == 126:
                if size - at < 4:
                    break
                length, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif length == 127:
                if size - at < 10:
                    break
                length, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if size - at < head + length:
                break
            if buffer[at] == 0x81:
                self.took(buffer, at + head, at + head + length)
            elif buffer[at] == 0x89:  # ping
                self.socket.send(b"\x8a\x80\0\0\0\0")
            at += head + length
        self.buffer = buffer[at:]

    def took(self, buffer: bytes, start: int, end: int) -> None:
        found = buffer.find(b'"message":"', start, end)
        if found < 0:
            if not self.ready:
                self.ready = True
                self.world.ready += 1
            return
        number = int(buffer[found + 11 : found + 19])
        world = self.world
        if number != self.seen + 1:
            world.wrong += 1
        self.seen = number
        self.count += 1
        world.count += 1
        if world.paced:
            world.delays.append(world.arrived - world.sent[number])
            world.waits.append(time.time() - world.sent[number])


class World:
    def __init__(self, *, stamped: bool = False) -> None:
        self.ready = self.count = self.wrong = self.lost = 0
        self.stamped = stamped
        self.paced = False
        self.arrived = 0.0
        self.sent: dict[int, float] = {}
        self.delays: list[float] = []
        """Seconds from publish to when the kernel had the message for its subscriber."""
        self.waits: list[float] = []
        """Seconds from publish to when this process came to read it: it reads for a thousand."""


async def connect(
    port: int, token: str, count: int, topic: str | None, world: World, tls: ssl.SSLContext | None = None
) -> Crowd:
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    for start in range(0, count, 100):
        for _ in range(min(100, count - start)):
            held = socket.socket()
            held.setblocking(False)
            await loop.sock_connect(held, ("127.0.0.1", port))
            if tls is not None:
                held = await shaken(tls, held)
            crowd.add(Reader(held, port, token, topic, world))
        await until(lambda start=start: world.ready >= min(start + 100, count))
    return crowd


async def shaken(tls: ssl.SSLContext, held: socket.socket) -> ssl.SSLSocket:
    secret = tls.wrap_socket(held, do_handshake_on_connect=False)
    while True:
        try:
            secret.do_handshake()
        except ssl.SSLWantReadError:
            await asyncio.sleep(0.0005)
        else:
            return secret


async def until(condition: Any, limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("too slow")
        await asyncio.sleep(0.002)


class Writer:
    """Publishes: so many requests under way, or one at a time."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.world = World()
        self.answers = 0

    async def start(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request(self.port, self.token))
        await self.reader.readuntil(b"\r\n\r\n")
        self.listening = asyncio.ensure_future(self.listen())

    async def listen(self) -> None:
        while True:
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            data = await self.reader.readexactly(length)
            if b'"status":"ok"' in data:
                self.answers += 1
            elif head[0] == 0x81:
                raise RuntimeError(data.decode())

    def publish(self, number: int) -> None:
        text = f"{number:08d}".ljust(SIZE, "x")
        call = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "publish",
            "params": {"topic": "bench/topic", "message": text},
        }
        self.writer.write(masked(json.dumps(call)))


# -- what is measured


async def saturated(server: Server, subscribers: int, seconds: float) -> None:
    world = World()
    port, token = server.ports[0], server.token
    await connect(port, token, subscribers, "bench/topic", world)
    writer = Writer(port, token)
    await writer.start()
    under_way = max(4, 4000 // subscribers)
    number = 0
    begun: float | None = None
    deadline = time.monotonic() + seconds + 1
    cpu = count = 0.0
    while time.monotonic() < deadline:
        if begun is None and time.monotonic() > deadline - seconds:
            begun, cpu, count = time.monotonic(), server.cpu(), world.count
        while number - writer.answers < under_way and number * subscribers - world.count < 40 * subscribers:
            writer.publish(number)
            number += 1
        await asyncio.sleep(0.0005)
    assert begun is not None
    used, done, took = server.cpu() - cpu, world.count - count, time.monotonic() - begun
    await until(lambda: world.count >= number * subscribers)
    report(f"saturated, {subscribers} subscribers", used, done, took, world, server, number * subscribers)


async def paced(server: Server, subscribers: int, rate: float, seconds: float) -> None:
    world = World(stamped=True)
    port, token = server.ports[0], server.token
    await connect(port, token, subscribers, "bench/topic", world)
    writer = Writer(port, token)
    await writer.start()
    world.paced = True
    begun, cpu = time.monotonic(), server.cpu()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        world.sent[number] = time.time()
        writer.publish(number)
    total = int(rate * seconds) * subscribers
    await until(lambda: world.count >= total)
    used, took = server.cpu() - cpu, time.monotonic() - begun
    report(f"paced, {subscribers} subscribers x {rate:g}/s", used, total, took, world, server, total)
    for words, times in (("its subscriber's socket", world.delays), ("a client that reads all", world.waits)):
        times.sort()
        print(
            f"    publish to {words}: median {1e3 * times[len(times) // 2]:.1f} ms, "
            f"p99 {1e3 * times[int(0.99 * len(times))]:.1f} ms, most {1e3 * times[-1]:.1f} ms"
        )


def report(
    what: str, used: float, done: float, took: float, world: World, server: Server, total: int
) -> None:
    stats = server.stats()
    print(
        f"{'bare aiohttp, ' if server.bare else ''}{what}: {1e6 * used / done:.2f} us of CPU a message, "
        f"{done / took:,.0f} messages/s, {world.count - total} missing or too many, "
        f"{world.wrong} out of order, dropped {stats['dropped']}, cut off {stats['cut']}",
        flush=True,
    )


async def idle(server: Server, count: int, tls: bool) -> None:
    port, token = server.ports[-1 if tls else 0], server.token
    context: ssl.SSLContext | None = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    held = [await connect(port, token, 50, "bench/idle", World(), context)]
    before = server.memory()
    held.append(await connect(port, token, count, "bench/idle", World(), context))
    await asyncio.sleep(1.0)
    each = (server.memory() - before) / count / 1024
    kind = " with TLS" if tls else ""
    print(f"idle{kind}: {each:.1f} KB for each of {count} connections with a subscription", flush=True)


async def slow(server: Server) -> None:
    """One reader stops reading; a hundred others must not notice."""
    world = World()
    port, token = server.ports[0], server.token
    stuck = socket.create_connection(("127.0.0.1", port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(request(port, token))
    stuck.recv(1024)
    stuck.sendall(masked('{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"topic":"bench/topic"}}'))
    stuck.recv(1024)
    await connect(port, token, 100, "bench/topic", world)
    writer = Writer(port, token)
    await writer.start()
    before = server.memory()
    number = most = 0
    deadline = time.monotonic() + 60
    while server.stats()["cut"] == 0 and time.monotonic() < deadline:
        for _ in range(200):
            writer.publish(number)
            number += 1
        await until(lambda number=number: writer.answers >= number)
        most = max(most, server.memory() - before)
    await until(lambda: world.count == number * 100)
    print(
        f"slow reader: cut off after {number} messages, the gateway grew by {most / 2**20:.1f} MB meanwhile; "
        f"the 100 others: {world.count - number * 100} missing, {world.wrong} out of order",
        flush=True,
    )


async def many(server: Server, count: int) -> None:
    world = World()
    port, token = server.ports[0], server.token
    begun, cpu = time.monotonic(), server.cpu()
    await connect(port, token, count, "bench/topic", world)
    took, used = time.monotonic() - begun, server.cpu() - cpu
    writer = Writer(port, token)
    await writer.start()
    for number in range(20):
        writer.publish(number)
    await until(lambda: world.count >= 20 * count)
    print(
        f"{count} connections: {took:.1f} s and {1e3 * used / count:.2f} ms of CPU each to connect; "
        f"20 messages to all: {world.count - 20 * count} missing, {world.wrong} out of order",
        flush=True,
    )


def measure(name: str, *args: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    tls = "tls" in args
    server = Server(serve_bare if "bare" in args else serve, tls=tls, uvloop="uvloop" in args)
    numbers = [float(arg) for arg in args if arg not in ("tls", "uvloop", "bare")]
    try:
        match name:
            case "saturated":
                asyncio.run(saturated(server, int(numbers[0]), *(numbers[1:] or [5.0])))
            case "paced":
                asyncio.run(paced(server, int(numbers[0]), numbers[1], *(numbers[2:] or [5.0])))
            case "idle":
                asyncio.run(idle(server, int(numbers[0]), tls))
            case "slow":
                asyncio.run(slow(server))
            case "many":
                asyncio.run(many(server, int(numbers[0])))
            case _:
                raise SystemExit(__doc__)
    finally:
        server.stop()


def main() -> None:
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
        return
    measure("saturated", "100", "4")
    measure("saturated", "1000", "4")
    measure("paced", "1000", "20", "4")
    measure("idle", "1000")
    measure("idle", "300", "tls")
    measure("slow")
    measure("many", "5000")


if __name__ == "__main__":
    main()
