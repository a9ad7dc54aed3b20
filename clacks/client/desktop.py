"""Show a text on the desktop of a user of this machine.

A session bus serves its own user only. A client that runs as somebody else, which must be root, starts
``python -m clacks.client.desktop`` with what to show as JSON on its standard input. That process becomes the
user for good, before it speaks to anybody: not earlier, for the user may not be able to read where Python is.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clacks.net.dbus import DBusUnavailable, show_notification

__all__ = ["main", "show"]

_log = logging.getLogger(__name__)

_TIME: Final = 15.0  # seconds that showing it may take
_RUNTIME: Final = Path("/run/user")


def show(user: str, title: str, body: str, icon: str, timeout: int, *, runtime: Path = _RUNTIME) -> bool:
    """Show a text to a user; tell whether that worked: there is a desktop and it took the text.

    Takes a moment: not for the loop.

    Args:
        user: Login on this machine.
        title, body, icon, timeout: As `clacks.net.dbus.show_notification` takes them.
        runtime: Folder with a folder of each user who is logged on, by number.
    """
    try:
        account = pwd.getpwnam(user)
    except (KeyError, ValueError):
        return False
    bus = runtime / str(account.pw_uid) / "bus"
    try:
        # The folder is its owner's alone; a path that somebody else put there is not the user's desktop.
        if bus.stat().st_uid != account.pw_uid:
            return False
    except OSError:
        return False
    words: dict[str, str | int] = {
        "address": f"unix:path={bus}",
        "title": title,
        "body": body,
        "icon": icon,
        "timeout": timeout,
    }
    if os.geteuid() == account.pw_uid:
        return _show(words)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "clacks.client.desktop"],
            input=json.dumps(words | {"user": account.pw_uid, "group": account.pw_gid}).encode(),
            cwd="/",
            timeout=_TIME,
            capture_output=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        _log.warning("a notification was not shown user=%s reason=%s", user, error)
        return False
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace")[-200:].strip()
        _log.info("a notification was not shown user=%s reason=%s", user, reason)
    return done.returncode == 0


def _show(words: Mapping[str, str | int]) -> bool:
    try:
        asyncio.run(
            show_notification(
                str(words["address"]),
                str(words["title"]),
                str(words["body"]),
                icon=str(words["icon"]),
                timeout=int(words["timeout"]),
            )
        )
    except DBusUnavailable as error:
        _log.info("a notification was not shown reason=%s", error)
        return False
    return True


def main() -> int:
    """Become the user that standard input names, show what it says, and return 0 if that worked."""
    words = json.load(sys.stdin)
    with contextlib.suppress(ImportError):
        importlib.import_module("dbus_fast.aio")
    os.setgroups([])
    os.setresgid(words["group"], words["group"], words["group"])
    os.setresuid(words["user"], words["user"], words["user"])
    return 0 if _show(words) else 1


if __name__ == "__main__":
    sys.exit(main())
