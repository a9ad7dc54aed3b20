"""D-Bus: who is logged on, by systemd-logind; and texts shown on the desktop of a user.

The only importer of dbus-fast, which is in the extra ``client``; without it `DBusUnavailable` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

__all__ = ["DBusUnavailable", "logind_users", "show_notification"]

_log = logging.getLogger(__name__)

_ANSWER: Final = 10.0  # seconds that the other side has for an answer
_MOST_SESSIONS: Final = 10_000  # logind itself allows 8,192
_LOGIN1: Final = "org.freedesktop.login1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"


class DBusUnavailable(Exception):
    """There is no D-Bus here, nobody answers on it, or dbus-fast is not installed; the text says which."""


@contextlib.asynccontextmanager
async def _connected(address: str | None) -> AsyncIterator[MessageBus]:
    """Connect to the bus at an address, or to the system bus."""
    try:
        from dbus_fast import BusType
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import DBusError
    except ImportError as error:
        raise DBusUnavailable("dbus-fast is not installed: pip install 'clacks[client]'") from error
    bus = None
    try:
        async with asyncio.timeout(_ANSWER):
            # Building it opens the socket.
            bus = MessageBus(address, BusType.SYSTEM)
            await bus.connect()
    except (OSError, EOFError, ValueError, TimeoutError, DBusError) as error:
        if bus is not None:
            bus.disconnect()
        raise DBusUnavailable(f"no D-Bus at {address or 'the system bus'}: {error}") from error
    try:
        yield bus
    finally:
        bus.disconnect()


async def _call(
    bus: MessageBus, destination: str, path: str, interface: str, member: str, signature: str = "", *body: Any
) -> list[Any]:
    """Call a method and return what it answers."""
    from dbus_fast import Message, MessageType

    call = Message(
        destination=destination,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
    )
    try:
        async with asyncio.timeout(_ANSWER):
            answer = await bus.call(call)
    except (OSError, EOFError, TimeoutError) as error:
        raise DBusUnavailable(f"no answer to {member}: {error or 'out of time'}") from error
    if answer is None or answer.message_type is not MessageType.METHOD_RETURN:
        words = answer.body[0] if answer is not None and answer.body else "no reason given"
        raise DBusUnavailable(f"{destination} refused {member}: {words}")
    return list(answer.body)


async def logind_users(address: str | None = None) -> AsyncIterator[tuple[str, ...]]:
    """Yield who is logged on, now and after each change; each user once, sorted.

    A session counts that belongs to a user (not a greeter, not a service) and is not being closed.

    Args:
        address: Of the bus; the system bus if None.

    Raises:
        DBusUnavailable: At the start, if there is no bus or no logind; later, when the connection is lost.
    """
    async with _connected(address) as bus:
        changed = asyncio.Event()

        def heard(message: Message) -> None:
            if message.sender is not None and message.member in _SIGNALS:
                changed.set()

        bus.add_message_handler(heard)
        for rule in (
            f"type='signal',sender='{_LOGIN1}',interface='{_LOGIN1}.Manager'",
            f"type='signal',sender='{_LOGIN1}',interface='{_PROPERTIES}',"
            "path_namespace='/org/freedesktop/login1/session'",
        ):
            await _call(
                bus,
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                "AddMatch",
                "s",
                rule,
            )
        lost = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]  # theirs
        known: tuple[str, ...] | None = None
        try:
            while True:
                changed.clear()
                users = await _users(bus)
                if users != known:
                    known = users
                    yield users
                waiting = asyncio.ensure_future(changed.wait())
                try:
                    await asyncio.wait((waiting, lost), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if lost.done():
                    raise DBusUnavailable("the connection to D-Bus was lost")
                await asyncio.sleep(_TOGETHER)
        finally:
            lost.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
                await lost


_SIGNALS: Final = frozenset({"SessionNew", "SessionRemoved", "PropertiesChanged"})
_TOGETHER: Final = 0.05  # seconds in which several signals of one login become one question


async def _users(bus: MessageBus) -> tuple[str, ...]:
    (sessions,) = await _call(bus, _LOGIN1, "/org/freedesktop/login1", f"{_LOGIN1}.Manager", "ListSessions")
    users = set()
    for _, _, user, _, path in sessions[:_MOST_SESSIONS]:
        try:
            (found,) = await _call(bus, _LOGIN1, path, _PROPERTIES, "GetAll", "s", f"{_LOGIN1}.Session")
        except DBusUnavailable:
            continue  # it ended meanwhile
        session = {key: value.value for key, value in found.items()}
        if session.get("Class") == "user" and session.get("State") != "closing":
            users.add(str(user))
    return tuple(sorted(users))


async def show_notification(
    address: str, title: str, body: str, *, icon: str = "", timeout: int = -1
) -> None:
    """Show a text on the desktop whose session bus is at ``address``.

    Args:
        address: Such as ``unix:path=/run/user/1000/bus``.
        title, body: What is shown; the body is plain text here, whatever the desktop makes of markup.
        icon: Name or path of a picture.
        timeout: Milliseconds that it is shown; -1 leaves that to the desktop, 0 is until it is closed.

    Raises:
        DBusUnavailable: No session bus, or nobody on it shows notifications.
    """
    shown = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    async with _connected(address) as bus:
        await _call(
            bus,
            "org.freedesktop.Notifications",
            "/org/freedesktop/Notifications",
            "org.freedesktop.Notifications",
            "Notify",
            "susssasa{sv}i",
            "clacks",
            0,
            icon,
            title,
            shown,
            [],
            {},
            timeout,
        )
