"""A private D-Bus with a small systemd-logind on it: as much of its interface as who is logged on needs."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

LOGIN1 = "org.freedesktop.login1"
SESSION = "/org/freedesktop/login1/session"

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy></busconfig>
"""


@contextlib.asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[str]:
    """Run dbus-daemon and yield the address of its bus."""
    path = folder / "bus"
    configuration = folder / "bus.conf"
    configuration.write_text(CONFIGURATION.format(path=path))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout is not None
        assert await asyncio.to_thread(daemon.stdout.readline)
        yield f"unix:path={path}"
    finally:
        daemon.terminate()
        daemon.wait(10)
        assert daemon.stdout is not None
        daemon.stdout.close()


class Login1:
    """The service; sessions come and go as the test says."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.sessions: dict[str, dict[str, Any]] = {}
        self.bus: MessageBus | None = None

    async def __aenter__(self) -> Login1:
        self.bus = await MessageBus(self._address).connect()
        self.bus.add_message_handler(self._answer)
        await self.bus.request_name(LOGIN1)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.bus is not None
        self.bus.disconnect()

    def login(self, session: str, user: str, kind: str = "user", uid: int = 1000) -> None:
        self.sessions[session] = {"Name": user, "Class": kind, "State": "active", "uid": uid}
        self._signal(f"{LOGIN1}.Manager", "SessionNew", "/org/freedesktop/login1", "so", session)

    def logout(self, session: str) -> None:
        del self.sessions[session]
        self._signal(f"{LOGIN1}.Manager", "SessionRemoved", "/org/freedesktop/login1", "so", session)

    def closing(self, session: str) -> None:
        self.sessions[session]["State"] = "closing"
        assert self.bus is not None
        changed = {"State": Variant("s", "closing")}
        self.bus.send(
            Message.new_signal(
                f"{SESSION}/_{session}",
                "org.freedesktop.DBus.Properties",
                "PropertiesChanged",
                "sa{sv}as",
                [f"{LOGIN1}.Session", changed, []],
            )
        )

    def _signal(self, interface: str, name: str, path: str, signature: str, session: str) -> None:
        assert self.bus is not None
        self.bus.send(
            Message.new_signal(path, interface, name, signature, [session, f"{SESSION}/_{session}"])
        )

    def _answer(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        if message.member == "ListSessions":
            rows = [
                [id_, item["uid"], item["Name"], "seat0", f"{SESSION}/_{id_}"]
                for id_, item in self.sessions.items()
            ]
            return Message.new_method_return(message, "a(susso)", [rows])
        if message.member == "GetAll":
            session = self.sessions.get(str(message.path).rpartition("_")[2])
            if session is None:
                return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "gone")
            told = {key: Variant("s", session[key]) for key in ("Name", "Class", "State")}
            return Message.new_method_return(message, "a{sv}", [told])
        return False


class Desktop:
    """Somebody who shows notifications, and remembers them."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.shown: list[list[Any]] = []
        self.bus: MessageBus | None = None

    async def __aenter__(self) -> Desktop:
        self.bus = await MessageBus(self._address).connect()
        self.bus.add_message_handler(self._answer)
        await self.bus.request_name("org.freedesktop.Notifications")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.bus is not None
        self.bus.disconnect()

    def _answer(self, message: Message) -> Message | bool:
        if message.message_type is MessageType.METHOD_CALL and message.member == "Notify":
            self.shown.append(message.body)
            return Message.new_method_return(message, "u", [len(self.shown)])
        return False
