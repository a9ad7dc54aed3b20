"""Who is logged on, and when that changes: by systemd-logind where there is one, else by utmp."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from clacks.client.machine import Utmp
from clacks.net.dbus import DBusUnavailable, logind_users

__all__ = ["sessions"]

_log = logging.getLogger(__name__)

_LOOK_AGAIN: Final = 1.0  # seconds between two looks at utmp: one stat, and one for each session
_ANEW: Final = 5.0  # seconds before a lost D-Bus is tried again


async def sessions(
    way: str, *, utmp: Path, address: str | None = None, look_again: float = _LOOK_AGAIN
) -> AsyncIterator[tuple[str, ...]]:
    """Yield who is logged on, now and after each change; each user once, sorted. Does not end by itself.

    Args:
        way: ``logind``, ``utmp``, or ``auto``: the first of these that there is.
        utmp: The file to read.
        address: Of the D-Bus with logind; the system's if None.
        look_again: Seconds between two looks at the file.
    """
    known: tuple[str, ...] | None = None
    heard = False
    while way != "utmp":
        try:
            async for users in logind_users(address):
                heard = True
                if users != known:
                    known = users
                    yield users
        except DBusUnavailable as error:
            if way == "auto" and not heard:
                _log.info("sessions are read from utmp file=%s reason=%s", utmp, error)
                break
            _log.warning("systemd-logind cannot be asked, trying again in %g s: %s", _ANEW, error)
            await asyncio.sleep(_ANEW)
    file = Utmp(utmp)
    while True:
        users = await asyncio.to_thread(file.users)
        if users != known:
            known = users
            yield users
        await asyncio.sleep(look_again)
