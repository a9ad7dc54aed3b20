"""One socket and one connection of a client, joined: shovels, beats, and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from clacks.amqp.connection import BusConnection, ConnectionEvent, Opened
from clacks.amqp.sasl import SaslClient
from clacks.common.errors import BusError, ConnectionLost

__all__ = ["Wire"]


class Wire(asyncio.Protocol):
    """One socket and one connection, joined."""

    def __init__(self, deliver: Callable[[Wire, list[ConnectionEvent]], None]) -> None:
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._tick: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._resumed: asyncio.Future[None] | None = None
        self._early: list[bytes] = []
        self.connection: BusConnection | None = None
        self.transport: asyncio.Transport | None = None
        self.sasl: SaslClient | None = None
        self.paused = False
        self.failure: BusError | None = None
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.heard = self._loop.time()

    def begin(self, connection: BusConnection, sasl: SaslClient | None) -> None:
        """Start speaking."""
        self.connection = connection
        self.sasl = sasl
        connection.engine.on_work = self._schedule
        connection.open()
        self.beat()
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)
        self._schedule()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]  # asyncio's word, not the type's

    def data_received(self, data: bytes) -> None:
        """Digest bytes of the broker."""
        self.heard = self._loop.time()
        connection = self.connection
        if connection is None:
            self._early.append(data)
            return
        try:
            connection.receive(data)
        except BusError as error:
            self._failed(error)
        self._hand_on(connection)

    def eof_received(self) -> bool:
        """Note that the broker will send nothing more; asyncio closes our side."""
        if self.connection is not None:
            self._login_ended()
            self.connection.eof()
            self._hand_on(self.connection)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the socket is gone."""
        if self._tick is not None:
            self._tick.cancel()
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        if not self.gone.done():
            self.gone.set_result(None)
        if self.connection is not None:
            self._login_ended()
            self.connection.lost(f"the connection broke: {error}" if error else "the connection was closed")
            self._hand_on(self.connection)

    def _login_ended(self) -> None:
        if self.sasl is not None:
            try:
                self.sasl.eof()  # knows at which step
            except BusError as error:
                self.failure = self.failure or error

    def pause_writing(self) -> None:
        """Leave bytes in proton: the socket takes no more."""
        self.paused = True
        if self.connection is not None:
            self.connection.engine.writable = False

    def resume_writing(self) -> None:
        """Go on writing."""
        self.paused = False
        if self.connection is not None:
            self.connection.engine.writable = True
            self.flush()
        if self._resumed is not None and not self._resumed.done() and not self.paused:
            self._resumed.set_result(None)

    # -- the connection's side

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is to be written, once per turn of the loop."""
        self._scheduled = False
        connection, transport = self.connection, self.transport
        if connection is None or transport is None or transport.is_closing():
            return
        if self.paused:
            return  # proton keeps it; resume_writing comes back
        data = connection.bytes_to_send()
        if data:
            transport.write(data)
        if connection.engine.finished:
            transport.close()
        self._hand_on(connection)

    def beat(self) -> None:
        """Do what time asks for, and come again."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        connection = self.connection
        if connection is None or self.gone.done():
            return
        now = self._loop.time()
        then = connection.tick(now)
        if then is not None:
            self._tick = self._loop.call_at(max(then, now + 0.01), self.beat)
        self._hand_on(connection)

    def _hand_on(self, connection: BusConnection) -> None:
        while events := connection.events():
            if any(type(event) is Opened for event in events):
                self.beat()  # now we know how often the broker wants to hear from us
            self._deliver(self, events)

    def _failed(self, error: BusError) -> None:
        self.failure = self.failure or error
        if self.connection is not None:
            self.connection.lost(str(error))
        if self.transport is not None:
            # The peer may still wait for our last word (an empty frame of SASL); it gets none.
            self.transport.close()

    # -- waiting

    async def writable(self) -> None:
        """Write now, and wait until the socket takes more."""
        self.flush()
        if self.paused and not self.gone.done():
            if self._resumed is None or self._resumed.done():
                self._resumed = self._loop.create_future()
            await asyncio.shield(self._resumed)
        else:
            await asyncio.sleep(0)

    async def empty(self) -> None:
        """Wait until all bytes have been handed to the socket.

        Raises:
            ConnectionLost: The connection went away meanwhile.
        """
        transport, connection = self.transport, self.connection
        assert transport is not None
        assert connection is not None
        while True:
            self.flush()
            if self.gone.done() or transport.is_closing():
                raise ConnectionLost("the connection went away before all was sent")
            if transport.get_write_buffer_size():
                # With both marks at 0 asyncio pauses us now and resumes when the last byte has gone.
                transport.set_write_buffer_limits(high=0)
                try:
                    await self.writable()
                finally:
                    transport.set_write_buffer_limits()
            elif connection.engine.backlog:
                await asyncio.sleep(0.001)  # the broker's session window is closed; its flow opens it
            elif not self._scheduled:
                return
            else:
                await asyncio.sleep(0)

    def abort(self) -> None:
        """Drop the socket."""
        if self.transport is not None:
            self.transport.abort()
