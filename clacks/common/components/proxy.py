"""The blocking proxy: commands of agents look like methods."""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from lxml import etree

from clacks.bus import Bus
from clacks.common.components.connection import Connection, Door
from clacks.common.errors import CommandError
from clacks.common.event import Event
from clacks.common.jsonrpc import INVALID_PARAMS, Request
from clacks.common.schema import SchemaRegistry

__all__ = ["AMQPServiceProxy", "RemoteMethod"]

_DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}\?>")
_ENCODING = re.compile(rb"""<\?xml\s[^>]{0,80}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9._-]{1,40})["']""")


class AMQPServiceProxy:
    """Call commands of agents as if they were methods: ``proxy.sendEvent(xml)``.

    Arguments stand by position or by name, not both; they and the results are JSON values. Besides, XML may
    be given as it is: an element, an ``Event``, or bytes that hold a document; it goes as text. A name with
    a dot is two attributes: ``proxy.core.ping()``.

    It connects at its first call and reconnects by itself. Safe to use from several threads; their calls go
    side by side. A call is carried out at most once.

    Args:
        url: ``amqp[s]://user:password@host[:port]/domain``.
        serviceAddress: The command queue, such as that of one agent; the one that all agents share if None.
        timeout: Seconds for each call, the way there and back included.
        ca: File with the certificates to trust instead of the system's and the local one.

    Raises:
        SettingsError: The URL is none.

    Every call raises:
        CommandRefused: The agent answered with an error; ``code``, ``message`` and ``data`` are its own.
        CommandTimeout: Nobody took the call in time: it was not carried out.
        OutcomeUnknown: An agent took it and the answer is lost: it may have been carried out.
        ConnectionFailed, LoginRefused, LinkRefused, ConnectionLost: The connection is at fault.

    Example:
        >>> proxy = AMQPServiceProxy("amqp://admin:secret@localhost/org.clacks")  # doctest: +SKIP
        >>> proxy.getSessionUser()  # doctest: +SKIP
        'admin'
    """

    def __init__(
        self,
        url: str,
        serviceAddress: str | None = None,
        *,
        timeout: float = 30.0,
        ca: str | None = None,
    ) -> None:
        # Not default_registry(): a proxy must not read schemas, it sends text.
        door = Door.of(url, ca=ca, registry=SchemaRegistry(builtin=False, plugins=False))
        self._connection = Connection(door)
        self._address = serviceAddress
        self._timeout = timeout
        self._finalizer = weakref.finalize(self, self._connection.release)

    def getMethods(self) -> dict[str, Any]:
        """Return the commands that the caller may use, by name, each with its signature and documentation."""
        found = self._call("getMethods", (), {})
        if not isinstance(found, dict):
            raise CommandError(INVALID_PARAMS, "the agent's list of methods is no object")
        return found

    def close(self) -> None:
        """Close the connection; calls that are under way fail. Calling it again does nothing."""
        self._finalizer.detach()
        self._connection.close()

    def __getattr__(self, name: str) -> RemoteMethod:
        # Python asks objects for many names of its own (copy, pickle, doctest); none is a command.
        if name.startswith("_"):
            raise AttributeError(name)
        return RemoteMethod(self, name)

    def __enter__(self) -> AMQPServiceProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, method: str, args: tuple[Any, ...], names: Mapping[str, Any]) -> Any:
        if args and names:
            raise CommandError(INVALID_PARAMS, f"{method}: arguments by position or by name, not both")
        places = [json_argument(value) for value in args]
        named = {name: json_argument(value) for name, value in names.items()}
        request = Request(method, named or places)
        address, timeout = self._address, self._timeout

        async def call(bus: Bus) -> Any:
            return await bus.request(request, timeout=timeout, address=address)

        return self._connection.run(call)


class RemoteMethod:
    """A command, ready to be called; its attributes are commands below it (``a.b``)."""

    def __init__(self, proxy: AMQPServiceProxy, name: str) -> None:
        self._proxy = proxy
        self._name = name

    def __call__(self, *args: Any, **names: Any) -> Any:
        """Call the command and return its result; see `AMQPServiceProxy` for what is raised."""
        return self._proxy._call(self._name, args, names)

    def __getattr__(self, name: str) -> RemoteMethod:
        if name.startswith("_"):
            raise AttributeError(name)
        return RemoteMethod(self._proxy, f"{self._name}.{name}")

    def __repr__(self) -> str:
        return f"<remote method {self._name}>"


def json_argument(value: Any) -> Any:
    """Return a value that JSON can hold for one that a caller gave: XML becomes text.

    Raises:
        CommandError: If bytes are no text.
    """
    match value:
        case Event():
            return value.xml.decode()
        case etree._ElementTree():
            return etree.tostring(value.getroot(), encoding="unicode", with_tail=False)
        case etree._Element():
            return etree.tostring(value, encoding="unicode", with_tail=False)
        case bytes() | bytearray() | memoryview():
            return _text(bytes(value))
        case dict():
            return {name: json_argument(inner) for name, inner in value.items()}
        case list() | tuple():
            return [json_argument(inner) for inner in value]
        case _:
            return value


def _text(data: bytes) -> str:
    """Decode bytes as the XML declaration in them says, as UTF-8 if there is none."""
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif match := _ENCODING.match(data):
        encoding = match[1].decode("ascii")
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise CommandError(INVALID_PARAMS, f"bytes must hold text: {error}") from error
    # Text has no encoding any more: a declaration that names one would be a lie.
    return _DECLARATION.sub("", text, count=1) if text.startswith("<?xml") else text
