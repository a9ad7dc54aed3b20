"""Commands: functions that callers on the bus may use, marked by ``Command``, and the table that runs them.

Agents and clients share this. Who may call what, and which commands there are, is theirs: a table binds the
arguments, runs the function and turns what goes wrong into a ``CommandError``. No network here.
"""

from __future__ import annotations

import enum
import inspect
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from clacks.common.errors import (
    BusError,
    CommandError,
    CommandRefused,
    EventError,
    InvalidEvent,
    MalformedEvent,
    SchemaError,
)
from clacks.common.jsonrpc import INTERNAL_ERROR, INVALID_EVENT, METHOD_NOT_FOUND, UNAVAILABLE, Request
from clacks.common.signature import Signature

__all__ = ["Command", "CommandTable", "CommandType", "RegisteredCommand", "event_refused", "is_command"]

_log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = "__clacks_command__"


class CommandType(enum.Enum):
    """How a command is carried out when several nodes offer it; the values are the words of the wire."""

    NORMAL = "NORMAL"
    """One node carries it out."""
    FIRSTRESULT = "FIRSTRESULT"
    """Nodes are asked until one has a result."""
    CUMULATIVE = "CUMMULATIVE"  # spelt so by all existing peers
    """All nodes carry it out, the results are joined."""


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    needs_user: bool
    needs_deadline: bool
    queue: str | None
    type: CommandType


@overload
def Command(function: Function, /) -> Function: ...
@overload
def Command(
    *,
    name: str | None = None,
    needs_user: bool = False,
    needs_deadline: bool = False,
    queue: str | None = None,
    type: CommandType = CommandType.NORMAL,
) -> Callable[[Function], Function]: ...
def Command(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    needs_user: bool = False,
    needs_deadline: bool = False,
    queue: str | None = None,
    type: CommandType = CommandType.NORMAL,  # noqa: A002 - the word of the wire
) -> Function | Callable[[Function], Function]:
    """Mark a function or method as a command.

    Its type hints are its signature, its docstring is what ``getMethods`` tells callers. It runs in a worker
    thread, several at a time. What it returns must be a JSON value; what it wants the caller to read it
    raises as ``CommandError``. Of any other exception the caller learns only the class and a reference into
    the log.

    Args:
        function: What is marked, when the decorator stands without parentheses.
        name: Name for callers; the function's own if not said.
        needs_user: The first parameter is the caller's login; callers do not see it.
        needs_deadline: The next parameter is when the caller stops waiting, on the clock of
            ``time.monotonic``, or None if nobody knows; callers do not see it.
        queue: Command queue that it belongs to; None for every queue that its agent serves.
        type: How it is carried out when several nodes offer it.

    Example:
        >>> class Lamp:
        ...     @Command(needs_user=True)
        ...     def dim(self, user: str, percent: int = 50) -> str:
        ...         "Dim the lamp."
        ...         return f"{user}: {percent}"
        >>> Lamp().dim("jane")
        'jane: 50'
    """

    def mark(target: Function) -> Function:
        setattr(target, _MARK, _Mark(name or target.__name__, needs_user, needs_deadline, queue, type))
        return target

    return mark if function is None else mark(function)


def is_command(function: object) -> bool:
    """Tell whether a function is marked as a command."""
    return isinstance(getattr(function, _MARK, None), _Mark)


@dataclass(frozen=True, slots=True)
class RegisteredCommand:
    """A command as it stands in a table."""

    name: str
    function: Callable[..., Any]
    signature: Signature
    needs_user: bool
    needs_deadline: bool
    queue: str | None
    type: CommandType
    documentation: str


class CommandTable:
    """Commands by name, and how they are run.

    Args:
        who: Whose log the caller is pointed to when a command fails, such as ``agent desk-1``.

    Example:
        >>> table = CommandTable("agent desk-1")
        >>> @Command
        ... def double(number: int) -> int:
        ...     return 2 * number
        >>> table.register(double)
        >>> table.run(Request("double", (4,)), "jane")
        8
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._commands: dict[str, RegisteredCommand] = {}

    def register(self, source: object) -> None:
        """Add a marked function, or all marked methods of an object; all of them or none.

        Raises:
            TypeError: If there is nothing marked, or the hints of a command cannot be its signature.
            ValueError: If there is already a command of that name.
        """
        added: dict[str, RegisteredCommand] = {}
        for function, mark in _marked(source):
            if mark.name in self._commands or mark.name in added:
                raise ValueError(f"there is already a command {mark.name!r}")
            if inspect.iscoroutinefunction(function):
                raise TypeError(f"{mark.name}: commands run in threads, so they are plain functions")
            added[mark.name] = RegisteredCommand(
                mark.name,
                function,
                Signature.of(function, skip=mark.needs_user + mark.needs_deadline),
                mark.needs_user,
                mark.needs_deadline,
                mark.queue,
                mark.type,
                inspect.cleandoc(function.__doc__ or ""),
            )
        if not added:
            raise TypeError(f"{source!r} has no command; mark functions with @Command")
        self._commands.update(added)

    @property
    def commands(self) -> Mapping[str, RegisteredCommand]:
        """All commands by name."""
        return dict(self._commands)

    def run(self, request: Request, caller: str, *, queue: str | None = None) -> Any:
        """Carry out a call and return its result; whether the caller may was decided before.

        Called from worker threads, several at a time.

        Args:
            request: What is to be done.
            caller: Whose call it is; commands that need a user get it.
            queue: The queue that the call came by; None means any.

        Raises:
            CommandError: ``METHOD_NOT_FOUND``, ``INVALID_PARAMS``, ``INVALID_EVENT``, ``UNAVAILABLE``,
                ``INTERNAL_ERROR``, or what the command itself raised.
        """
        method = request.method
        command = self._commands.get(method)
        if command is None or (command.queue is not None and queue is not None and command.queue != queue):
            raise CommandError(METHOD_NOT_FOUND, f"there is no command {method[:100]}")
        places, names = command.signature.bind(request.params)
        if command.needs_deadline:
            places = (request.deadline, *places)
        if command.needs_user:
            places = (caller, *places)
        try:
            return command.function(*places, **names)
        except CommandError:
            raise
        except EventError as error:
            raise event_refused(error) from error
        except BusError as error:
            raise CommandError(UNAVAILABLE, f"{method} could not use the bus: {error}") from error
        except Exception as error:
            # Somebody else's code: the caller gets an answer and the agent lives on.
            # Texts of foreign exceptions tell paths, queries and secrets; so the caller gets a reference.
            reference = secrets.token_hex(4)
            _log.exception("command failed method=%s user=%s reference=%s", method, caller, reference)
            raise CommandError(
                INTERNAL_ERROR,
                f"{method} failed with {type(error).__name__}; "
                f"the log of {self._who} says more under {reference}",
            ) from error


def _marked(source: object) -> Iterator[tuple[Callable[..., Any], _Mark]]:
    if callable(source) and isinstance(mark := getattr(source, _MARK, None), _Mark):
        yield source, mark
        return
    # The class is searched, not the object: a property must not run because somebody looks for commands.
    seen: set[str] = set()
    for holder in type(source).__mro__:
        for name, value in vars(holder).items():
            if name in seen:
                continue
            seen.add(name)
            mark = getattr(value, _MARK, None)
            if isinstance(mark, _Mark):
                yield getattr(source, name), mark


def event_refused(error: EventError) -> CommandError:
    """Return what a caller is told of an event that was refused."""
    match error:
        case InvalidEvent():
            where = {"kind": error.kind, "path": error.path, "reason": error.reason, "line": error.line}
            return CommandRefused(INVALID_EVENT, str(error), where)
        case MalformedEvent():
            return CommandRefused(INVALID_EVENT, str(error), {"reason": error.reason, "line": error.line})
        case SchemaError():
            # Its text names a file of this machine.
            return CommandRefused(UNAVAILABLE, "a schema of the agent cannot be used")
        case _:
            return CommandRefused(INVALID_EVENT, str(error))
