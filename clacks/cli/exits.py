"""Exit codes: what a script can tell from how a command ended."""

from __future__ import annotations

import enum

from clacks.common.errors import (
    BusError,
    ClacksError,
    CommandError,
    CommandTimeout,
    DialectError,
    EventError,
    LinkRefused,
    LoginRefused,
    OutcomeUnknown,
    QueryError,
    SettingsError,
    StoreError,
)

__all__ = ["MEANINGS", "Exit", "exit_code"]


class Exit(enum.IntEnum):
    """Every code with which ``clacks`` ends."""

    OK = 0
    FAULT = 1
    USAGE = 2
    SETTINGS = 3
    EVENT = 4
    QUERY = 5
    CONNECTION = 6
    REFUSED = 7
    COMMAND = 8
    TIMEOUT = 9
    DOCTOR = 10
    INTERRUPTED = 130
    PIPE = 141


MEANINGS: dict[Exit, str] = {
    Exit.OK: "Done. Also after Ctrl-C where that is the usual end: up, broker, agent, endless listen.",
    Exit.FAULT: "A fault of Clacks itself; --debug shows where.",
    Exit.USAGE: "The command line cannot be understood, or a file that it names cannot be read.",
    Exit.SETTINGS: "A setting, a URL, a password, a file of rights or the event log is at fault.",
    Exit.EVENT: "An event or a schema is at fault: malformed, unknown, invalid.",
    Exit.QUERY: "An XQuery is at fault; the message has code, line and column.",
    Exit.CONNECTION: "No connection to the broker, or it was lost, or what is there does not speak AMQP 1.0.",
    Exit.REFUSED: "The broker refuses the login, or the rights do not suffice.",
    Exit.COMMAND: "The agent answered the call with an error.",
    Exit.TIMEOUT: "Nobody took the call in time, or its outcome is unknown.",
    Exit.DOCTOR: "The doctor found something that needs to be mended.",
    Exit.INTERRUPTED: "Ended by Ctrl-C before the work was done.",
    Exit.PIPE: "Whoever read the output has gone.",
}

# The first class that fits counts: special ones before general ones.
_CODES: tuple[tuple[type[ClacksError], Exit], ...] = (
    (EventError, Exit.EVENT),
    (QueryError, Exit.QUERY),
    (SettingsError, Exit.SETTINGS),
    (LoginRefused, Exit.REFUSED),
    (LinkRefused, Exit.REFUSED),
    (BusError, Exit.CONNECTION),
    (CommandTimeout, Exit.TIMEOUT),
    (OutcomeUnknown, Exit.TIMEOUT),
    (CommandError, Exit.COMMAND),
    (DialectError, Exit.COMMAND),
    (StoreError, Exit.SETTINGS),
)


def exit_code(error: ClacksError) -> Exit:
    """Return the code with which a command ends after this error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAULT)
