"""Asterisk's manager interface without sockets: bytes in, events out; bytes to send.

A message is lines ``Key: Value`` up to an empty line. The session logs in by the answer to a challenge, so
that the secret itself is never sent; from then on each event of Asterisk is a `Happened`.

There is a library for this on PyPI (panoramisk). Its last release is of 2021 and it opens connections by
itself; what is needed of the protocol is less than what it would take to guard it.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from clacks.common.limits import DEFAULT_LIMITS, Limits

__all__ = ["AmiError", "AmiEvent", "AmiSession", "Happened", "Ready", "Refused"]


class AmiError(Exception):
    """What came is not Asterisk's manager interface; the connection is of no use any more."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The login was accepted; ``version`` is that of the interface."""

    version: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The login was refused."""

    reason: str


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of Asterisk: its name and its fields."""

    name: str
    fields: Mapping[str, str]


AmiEvent: TypeAlias = Ready | Refused | Happened


class _State(enum.Enum):
    BANNER = "waiting for the banner"
    CHALLENGE = "waiting for the challenge"
    LOGIN = "waiting for the login"
    READY = "ready"
    OVER = "over"


_BANNER: Final = "Asterisk Call Manager/"


@dataclass(slots=True)
class AmiSession:
    """One connection.

    Example:
        >>> session = AmiSession("clacks", "secret")
        >>> session.receive(b"Asterisk Call Manager/5.0.1\\r\\n")
        []
        >>> session.to_send()
        b'Action: Challenge\\r\\nActionID: login\\r\\nAuthType: MD5\\r\\n\\r\\n'
    """

    user: str
    secret: str = field(repr=False)
    limits: Limits = DEFAULT_LIMITS
    _state: _State = _State.BANNER
    _version: str = ""
    _rest: bytes = b""
    _lines: list[str] = field(default_factory=list)
    _out: list[bytes] = field(default_factory=list)

    def receive(self, data: bytes) -> list[AmiEvent]:
        """Take bytes and return what they say.

        Raises:
            AmiError: They are not the manager interface, or break a limit.
        """
        found: list[AmiEvent] = []
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in (*lines, self._rest):
            if len(line) > self.limits.ami_line:
                raise AmiError(f"a line of more than {self.limits.ami_line} bytes")
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            if self._state is _State.BANNER:
                self._begin(text)
            elif text:
                self._lines.append(text)
                if len(self._lines) > self.limits.ami_lines:
                    raise AmiError(f"a message of more than {self.limits.ami_lines} lines")
            elif self._lines:
                message, self._lines = _fields(self._lines), []
                event = self._take(message)
                if event is not None:
                    found.append(event)
        return found

    def to_send(self) -> bytes:
        """Return what is to be sent, once."""
        data, self._out = b"".join(self._out), []
        return data

    def action(self, name: str, **fields: str) -> None:
        """Send an action; its answer is not waited for.

        Raises:
            ValueError: A field holds the end of a line: it would be another field.
        """
        lines = [f"Action: {name}", *(f"{key}: {value}" for key, value in fields.items())]
        if any(sign in line for line in lines for sign in "\r\n\0"):
            raise ValueError(f"the action {name} has a field with the end of a line in it")
        self._out.append("\r\n".join([*lines, "", ""]).encode())

    def _begin(self, line: str) -> None:
        if not line.startswith(_BANNER):
            raise AmiError(f"not Asterisk's manager interface: {line[:60]!r}")
        self._version = line.removeprefix(_BANNER).strip()[:40]
        self._state = _State.CHALLENGE
        self.action("Challenge", ActionID="login", AuthType="MD5")

    def _take(self, message: dict[str, str]) -> AmiEvent | None:
        if self._state is _State.READY:
            name = message.pop("Event", None)
            return Happened(name, message) if name else None
        if message.get("ActionID") != "login" or "Response" not in message:
            return None  # events may come before the answer
        if message["Response"] != "Success":
            self._state = _State.OVER
            return Refused(message.get("Message", "no reason given")[:200])
        if self._state is _State.CHALLENGE:
            challenge = message.get("Challenge", "")
            # The interface knows no other digest; where others can listen, use its TLS port.
            key = hashlib.md5((challenge + self.secret).encode(), usedforsecurity=False).hexdigest()
            self._state = _State.LOGIN
            self.action(
                "Login", ActionID="login", AuthType="MD5", Username=self.user, Key=key, Events="call,agent"
            )
            return None
        if self._state is _State.LOGIN:
            self._state = _State.READY
            return Ready(self._version)
        return None


def _fields(lines: list[str]) -> dict[str, str]:
    """Return the fields of a message; of one that comes twice the first counts, as it is Asterisk's own."""
    found: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found
