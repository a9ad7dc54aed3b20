"""Keep passwords of the command line out of what other users of the machine can see."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["hide_passwords", "without_passwords"]

_IN_URL = re.compile(r"(amqps?://[^/@:\s]*):[^@\s]*@", re.IGNORECASE)


def without_passwords(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``***`` for each password, of ``--user NAME:PASSWORD`` and in URLs."""
    shown: list[str] = []
    after_user = False
    for argument in arguments:
        text = _IN_URL.sub(r"\1:***@", argument)
        if after_user or text.startswith(("--user=", "-u=")):
            option, equals, value = text.partition("=") if not after_user else ("", "", text)
            name, colon, _ = value.partition(":")
            text = f"{option}{equals}{name}{':***' if colon else ''}"
        after_user = not after_user and argument in ("--user", "-u")
        shown.append(text)
    return shown


def hide_passwords(arguments: Sequence[str]) -> None:
    """Rewrite the title of this process, which ``ps`` shows, if the arguments hold a password.

    For a moment, until the interpreter has come this far, the password can be seen: that is why it is
    accepted for trying things out on this machine only, with a warning.
    """
    shown = without_passwords(arguments)
    if shown != list(arguments):
        import setproctitle  # most command lines hold no password, and --help has to be quick

        setproctitle.setproctitle(" ".join(["clacks", *shown]))
