"""A broker on loopback in a thread of its own, and a peer on a blocking socket."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from proton import Described, symbol

from clacks.amqp.engine import Engine
from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.messages import Message, encode
from clacks.amqp.sasl import SaslClient
from clacks.broker.broker import Broker
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.net.certificates import ensure_local_certificates
from clacks.net.listener import BrokerServer
from clacks.net.tls import server_context

__all__ = ["EVENT", "NS", "PATIENCE", "RawPeer", "Served", "event", "serving"]

PATIENCE = 20.0
"""Seconds that a condition may take on a loaded machine."""

NS = "http://www.gonicus.de/Events"

RIGHTS = '[users.admin]\nroles = ["admin"]\n[users.joe]\nroles = ["reader"]\n'

CREDENTIALS = make_credentials("admin", "secret").joined(make_credentials("joe", "pass"))

_registry = SchemaRegistry(plugins=False)


def event(caller: str) -> bytes:
    """A valid PhoneStatus."""
    return (
        f'<Event xmlns="{NS}"><PhoneStatus><CallerId>{caller}</CallerId><ReceiverId>9</ReceiverId>'
        "<Status>busy</Status></PhoneStatus></Event>"
    ).encode()


EVENT = "org.clacks.event.PhoneStatus"


class Served:
    """A running broker."""

    def __init__(self, limits: Limits, folder: Path | None, host: str = "localhost") -> None:
        self.credentials: Credentials = CREDENTIALS
        self.broker = Broker(_registry, parse_rights(RIGHTS), limits)
        self.loop = asyncio.new_event_loop()
        self.troubles: list[str] = []
        self.loop.set_exception_handler(lambda loop, what: self.troubles.append(str(what)))
        tls: ssl.SSLContext | None = None
        if folder is not None:
            made = ensure_local_certificates(folder)
            self.authority = made.authority
            tls = server_context(made.server)
        self.server = BrokerServer(
            self.broker, lambda: self.credentials, host=host, port=0, tls_port=0 if tls else None, tls=tls
        )
        self._thread = threading.Thread(target=self.loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self.call(self.server.start())

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.call(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    @property
    def port(self) -> int:
        return self.server.ports["amqp"]

    def url(self, user: str = "", password: str = "") -> str:
        who = f"{user}:{password}@" if user else ""
        return f"amqp://{who}127.0.0.1:{self.port}"

    def dropped(self, reason: str) -> int:
        return self.broker.metrics.value("messages_dropped", reason=reason)


@contextlib.contextmanager
def serving(limits: Limits = DEFAULT_LIMITS, folder: Path | None = None, **more: Any) -> Iterator[Served]:
    """Run a broker; an exception that reached its loop fails the test."""
    served = Served(limits, folder, **more)
    served.start()
    try:
        yield served
    finally:
        served.stop()
    assert served.troubles == []


def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what or "it did not happen"
        time.sleep(0.005)


class RawPeer:
    """A client on a blocking socket that does only what it is told, when it is told."""

    def __init__(
        self, served: Served | None, user: str = "admin", password: str = "secret", *, sock: Any = None
    ) -> None:
        self.got: list[bytes] = []
        self.outcomes: list[tuple[object, Outcome]] = []
        self.errors: list[tuple[str, str]] = []
        self.closed: tuple[str, str] | None = None
        self.ended = False
        self.attached = 0
        sasl = None
        if sock is None:
            assert served is not None
            sock = socket.create_connection(("127.0.0.1", served.port))
            sasl = SaslClient(user, password, tls=False, loopback=True)
        self.socket = sock
        self.engine = Engine(self, server=False, container_id="raw", sasl=sasl)
        self.engine.connection.open()
        self.session = self.engine.connection.session()
        self.session.open()
        self.opened = False

    # -- the engine's head

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        self.got.append(body)
        if incoming is not None:
            incoming.accept()

    def on_credit(self, sender: Sender) -> None:
        pass

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        self.outcomes.append((context, outcome))

    def on_endpoint(self, event: Any) -> None:
        name = event.type.name
        if name == "PN_CONNECTION_REMOTE_OPEN":
            self.opened = True
        elif name == "PN_LINK_REMOTE_OPEN":
            self.attached += 1
        elif name == "PN_LINK_REMOTE_CLOSE":
            condition = event.link.remote_condition
            if condition:
                self.errors.append((condition.name, condition.description))
        elif name == "PN_CONNECTION_REMOTE_CLOSE":
            condition = event.connection.remote_condition
            self.closed = (condition.name, condition.description) if condition else ("", "")
            event.connection.close()

    # -- bytes

    def flush(self) -> None:
        data = self.engine.bytes_to_send()
        if data:
            self.socket.sendall(data)

    def run(self, condition: Callable[[], object]) -> None:
        """Read and write until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            with contextlib.suppress(ConnectionError):
                self.flush()
            if select.select([self.socket], [], [], 0.02)[0]:
                try:
                    data = self.socket.recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    self.ended = True
                    assert condition(), f"the broker closed the connection: {self.closed}"
                    return
                self.engine.receive(data)
        with contextlib.suppress(ConnectionError):
            self.flush()

    def open(self) -> RawPeer:
        self.run(lambda: self.opened)
        return self

    def sender(self, address: str) -> Sender:
        link = self.session.sender(f"s{self.attached}")
        link.target.address = address
        sender = self.engine.sender(link)
        link.open()
        self.run(lambda: sender.credit)
        return sender

    def receiver(self, address: str, query: str | None = None, window: int = 1000) -> Receiver:
        before = self.attached
        link = self.session.receiver(f"r{before}")
        link.source.address = address
        if query is not None:
            name = symbol("apache.org:xquery-filter:string")
            link.source.filter.put_object({symbol("q"): Described(name, query)})
        receiver = self.engine.receiver(link, window)
        receiver.open()
        self.run(lambda: self.attached > before)
        return receiver

    def publish(self, sender: Sender, body: bytes, **fields: Any) -> None:
        message = Message(body=body)
        for name, value in fields.items():
            setattr(message, name, value)
        self.run(lambda: sender.credit)
        sender.send(encode(message))
        self.flush()

    def close(self) -> None:
        self.socket.close()
