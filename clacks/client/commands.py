"""The commands that every client has: what it can do, who is logged on, a text for a user. Pure.

What they do to the machine is handed in, so that a test sees what they would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clacks.common.command import Command, RegisteredCommand
from clacks.common.errors import CommandError
from clacks.common.jsonrpc import INVALID_PARAMS

__all__ = ["BasicCommands", "NotifyCommand"]

_LONGEST = 10_000  # characters of a text that is shown: what a screen holds


class BasicCommands:
    """What a client tells about itself.

    Args:
        methods: Returns its commands.
        users: Returns who is logged on.
    """

    def __init__(
        self, methods: Callable[[], Mapping[str, RegisteredCommand]], users: Callable[[], tuple[str, ...]]
    ) -> None:
        self._methods = methods
        self._users = users

    @Command
    def getMethods(self) -> dict[str, Any]:
        """Return the commands of this client by name, each with its signature and documentation."""
        return {
            name: {"signature": name + command.signature.text, "documentation": command.documentation}
            for name, command in sorted(self._methods().items())
        }

    @Command
    def getUsers(self) -> list[str]:
        """Return who is logged on to this client."""
        return list(self._users())


class NotifyCommand:
    """A text for a user who sits in front of this client.

    Args:
        users: Returns who is logged on.
        show: Shows title, body, icon and timeout to a user and tells whether that user has a desktop.
    """

    def __init__(
        self,
        users: Callable[[], tuple[str, ...]],
        show: Callable[[str, str, str, str, int], bool],
    ) -> None:
        self._users = users
        self._show = show

    @Command
    def notify(self, user: str, title: str, body: str, icon: str = "", timeout: int = -1) -> list[str]:
        """Show a text on the desktop of a user, or of all that are logged on if user is ``*``.

        Timeout is in milliseconds; -1 leaves it to the desktop. Returns the users whose desktop shows it.
        """
        for text in (title, body, icon):
            if len(text) > _LONGEST or "\0" in text:
                raise CommandError(INVALID_PARAMS, f"a text has at most {_LONGEST} characters and no U+0000")
        if not -1 <= timeout <= 2**31 - 1:
            raise CommandError(INVALID_PARAMS, "timeout must be -1 or milliseconds")
        here = self._users()
        wanted = here if user == "*" else [user] if user in here else []
        return [name for name in wanted if self._show(name, title, body, icon, timeout)]
