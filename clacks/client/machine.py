"""What the client reads of its machine: network devices, its id, who is logged on by utmp."""

from __future__ import annotations

import os
import platform
import re
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from clacks.client.announcement import Address, Family, NetworkDevice, devices_of
from clacks.common.errors import SettingsError

__all__ = ["Utmp", "check_id", "kept_id", "logged_on", "network_devices"]

_FAMILIES: Final = {
    "AF_INET": Family.IPV4,
    "AF_INET6": Family.IPV6,
    "AF_PACKET": Family.MAC,  # Linux
    "AF_LINK": Family.MAC,  # others, and psutil's own name
}

_ID: Final = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9_.@-]{0,126}[A-Za-z0-9_-])?", re.ASCII)

# glibc: struct utmp, utmp.h. All we need stands before the place where machines differ: in the width of time.
_RECORD: Final = struct.Struct("=h2xi32s4s32s")
_SIZE: Final = 400 if platform.machine() in ("aarch64", "arm64", "loongarch64", "alpha") else 384
_USER_PROCESS: Final = 7
_MOST: Final = 16 * 1024 * 1024
"""Bytes of utmp that are read: forty thousand sessions."""


def network_devices() -> tuple[NetworkDevice, ...]:
    """Return the network devices of this machine that are up, with their addresses."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    return devices_of(
        {
            name: [
                Address(_FAMILIES[item.family.name], item.address, item.netmask or "", item.broadcast or "")
                for item in addresses
                if item.family.name in _FAMILIES
            ]
            for name, addresses in psutil.net_if_addrs().items()
            if name in up
        }
    )


def check_id(text: str) -> str:
    """Return a client id if it can be one.

    Raises:
        SettingsError: If not: it is part of an address.
    """
    if not _ID.fullmatch(text):
        raise SettingsError(
            "client id", f"{text[:80]!r}: 1 to 128 letters, digits, '_', '-', inside also '.', '@'"
        )
    return text


def kept_id(folder: Path) -> str:
    """Return the id that is kept in a state folder; make one if there is none.

    Raises:
        SettingsError: If the file holds something else.
        OSError: If it cannot be read or made.
    """
    file = folder / "client-id"
    try:
        return check_id(file.read_text("utf-8").strip())
    except FileNotFoundError:
        pass
    except UnicodeDecodeError as error:
        raise SettingsError(str(file), "not UTF-8 text") from error
    except SettingsError as error:
        raise SettingsError(str(file), error.reason) from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = folder / f".client-id-{uuid.uuid4().hex}"
    new.write_text(f"{uuid.uuid4()}\n", "utf-8")
    try:
        # A link fails if the file is there: of two that start at the same time both take the first one's.
        os.link(new, file)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return check_id(file.read_text("utf-8").strip())


def logged_on(data: bytes, alive: Callable[[int], bool]) -> tuple[str, ...]:
    """Return the users with a session in the bytes of a utmp file: each once, sorted.

    Args:
        data: The file; what is left of a record at its end is passed over.
        alive: Tells whether a process lives. A session that was never closed (power cut, kill) stays in the
            file; its process does not.
    """
    users = set()
    for start in range(0, len(data) - _SIZE + 1, _SIZE):
        kind, process, _, _, user = _RECORD.unpack_from(data, start)
        name = user.partition(b"\0")[0].decode("utf-8", "replace")
        if kind == _USER_PROCESS and name and name.isprintable() and alive(process):
            users.add(name)
    return tuple(sorted(users))


class Utmp:
    """Who is logged on, by a utmp file; a missing one means nobody.

    Args:
        file: Where it is.
        alive: Tells whether a process lives.
    """

    def __init__(self, file: Path, alive: Callable[[int], bool] = psutil.pid_exists) -> None:
        self._file = file
        self._alive = alive
        self._state: tuple[int, int, int] | None = None
        self._data = b""

    def users(self) -> tuple[str, ...]:
        """Return who is logged on now; the file is read only if it changed."""
        try:
            found = self._file.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            if state != self._state:
                with self._file.open("rb") as file:
                    self._data = file.read(_MOST)
                self._state = state
        except OSError:
            self._state, self._data = None, b""
        return logged_on(self._data, self._alive)
