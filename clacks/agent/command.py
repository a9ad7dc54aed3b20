"""Commands: functions that callers on the bus may use, and the registry that finds and guards them.

No network here: ``CommandRegistry.dispatch`` takes a request and a user and returns a value or raises a
``CommandError``. How events leave is the function ``publish`` that the registry is given.
"""

from __future__ import annotations

import enum
import inspect
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from clacks.agent.signature import Signature
from clacks.common.errors import (
    BusError,
    CommandError,
    CommandRefused,
    EventError,
    InvalidEvent,
    MalformedEvent,
    SchemaError,
)
from clacks.common.event import Event
from clacks.common.jsonrpc import (
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_EVENT,
    METHOD_NOT_FOUND,
    UNAVAILABLE,
    Request,
)
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry

__all__ = ["Command", "CommandRegistry", "CommandType", "RegisteredCommand"]

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
    queue: str | None
    type: CommandType


@overload
def Command(function: Function, /) -> Function: ...
@overload
def Command(
    *,
    name: str | None = None,
    needs_user: bool = False,
    queue: str | None = None,
    type: CommandType = CommandType.NORMAL,
) -> Callable[[Function], Function]: ...
def Command(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    needs_user: bool = False,
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
        setattr(target, _MARK, _Mark(name or target.__name__, needs_user, queue, type))
        return target

    return mark if function is None else mark(function)


@dataclass(frozen=True, slots=True)
class RegisteredCommand:
    """A command as it stands in the registry."""

    name: str
    function: Callable[..., Any]
    signature: Signature
    needs_user: bool
    queue: str | None
    type: CommandType
    documentation: str


class CommandRegistry:
    """The commands of one agent, its own first ones among them.

    Args:
        publish: Sends a valid event on; raises ``BusError`` if it cannot.
        rights: Who may do what. The attribute may be set anew at any time, from any thread.
        registry: The event types.
        node: Name of this node.
        nodes: Returns the nodes of the domain with what is known of each; this one alone if not given.

    Example:
        >>> from clacks.common.rights import parse_rights
        >>> sent = []
        >>> commands = CommandRegistry(
        ...     publish=sent.append,
        ...     rights=parse_rights('[users.jane]\\nroles = ["publisher"]'),
        ...     registry=SchemaRegistry(),
        ... )
        >>> commands.dispatch(Request("getSessionUser"), "jane")
        'jane'
    """

    def __init__(
        self,
        *,
        publish: Callable[[Event], object],
        rights: Rights,
        registry: SchemaRegistry,
        node: str = "",
        nodes: Callable[[], Mapping[str, Mapping[str, Any]]] | None = None,
    ) -> None:
        self.rights = rights
        self._publish = publish
        self._registry = registry
        self._node = node
        self._nodes = nodes if nodes is not None else lambda: {node: {}} if node else {}
        self._commands: dict[str, RegisteredCommand] = {}
        self.register(self)

    def register(self, source: object) -> None:
        """Add a marked function, or all marked methods of an object.

        Raises:
            TypeError: If there is nothing marked, or the hints of a command cannot be its signature.
            ValueError: If there is already a command of that name.
        """
        found = list(_marked(source))
        if not found:
            raise TypeError(f"{source!r} has no command; mark functions with @Command")
        for function, mark in found:
            if mark.name in self._commands:
                raise ValueError(f"there is already a command {mark.name!r}")
            if inspect.iscoroutinefunction(function):
                raise TypeError(f"{mark.name}: commands run in threads, so they are plain functions")
            self._commands[mark.name] = RegisteredCommand(
                mark.name,
                function,
                Signature.of(function, skip=1 if mark.needs_user else 0),
                mark.needs_user,
                mark.queue,
                mark.type,
                inspect.cleandoc(function.__doc__ or ""),
            )

    @property
    def commands(self) -> Mapping[str, RegisteredCommand]:
        """All commands by name."""
        return dict(self._commands)

    def dispatch(
        self, request: Request, user: str | None, on_behalf_of: str | None = None, *, queue: str | None = None
    ) -> Any:
        """Carry out a call and return its result. Called from worker threads, several at a time.

        Args:
            request: What is to be done.
            user: The login that sent it, as the broker vouches for it; None if nobody does.
            on_behalf_of: Whom the login speaks for. It counts if the login may impersonate that user; then
                that user's rights hold, not the login's.
            queue: The queue that the call came by; None means any.

        Raises:
            CommandError: ``FORBIDDEN``, ``METHOD_NOT_FOUND``, ``INVALID_PARAMS``, ``INVALID_EVENT``,
                ``UNAVAILABLE``, ``INTERNAL_ERROR``, or what the command itself raised.
        """
        caller = self._caller(user, on_behalf_of)
        method = request.method
        # Rights first: who may not call a method does not learn whether it exists.
        if not self.rights.may_call(caller, method):
            raise CommandError(FORBIDDEN, f"{caller} may not call {method[:100]}")
        command = self._commands.get(method)
        if command is None or (command.queue is not None and queue is not None and command.queue != queue):
            raise CommandError(METHOD_NOT_FOUND, f"there is no command {method[:100]}")
        places, names = command.signature.bind(request.params)
        if command.needs_user:
            places = (caller, *places)
        try:
            return command.function(*places, **names)
        except CommandError:
            raise
        except EventError as error:
            raise _event_refused(error) from error
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
                f"the log of agent {self._node or 'on duty'} says more under {reference}",
            ) from error

    def _caller(self, user: str | None, on_behalf_of: str | None) -> str:
        if not user:
            raise CommandError(FORBIDDEN, "a command must say whose it is: the message has no user id")
        if on_behalf_of is None or on_behalf_of == user:
            return user
        if not self.rights.may_impersonate(user, on_behalf_of):
            raise CommandError(FORBIDDEN, f"{user} may not act in the name of {on_behalf_of[:100]}")
        return on_behalf_of

    # -- the first commands ------------------------------------------------------------------------

    @Command(needs_user=True)
    def getMethods(self, user: str) -> dict[str, Any]:
        """Return the commands that the caller may use, by name, each with its signature and documentation."""
        return {
            name: {
                "signature": name + command.signature.text,
                "type": command.type.value,
                "queue": command.queue,
                "documentation": command.documentation,
            }
            for name, command in sorted(self._commands.items())
            if self.rights.may_call(user, name)
        }

    @Command
    def getNodes(self) -> dict[str, Any]:
        """Return the nodes of the domain by name, each with what is known of it."""
        return {name: dict(facts) for name, facts in self._nodes().items()}

    @Command(needs_user=True)
    def getSessionUser(self, user: str) -> str:
        """Return the login of the caller."""
        return user

    @Command
    def getSchemas(self) -> dict[str, str]:
        """Return the texts of all schema files by file name without ``.xsd``, which is the event type."""
        return {name: source.decode("utf-8-sig") for name, source in self._registry.sources().items()}

    @Command(needs_user=True)
    def sendEvent(self, user: str, data: str) -> None:
        """Publish an event, given as XML text: ``<Event>`` with the event inside.

        It is validated first, and the caller must have the right to publish its type; otherwise nothing
        is sent. Events are fire and forget: nobody may be listening.
        """
        event = self._registry.receive(data)
        if not self.rights.may_publish(user, event.kind):
            raise CommandError(FORBIDDEN, f"{user} may not publish {event.kind}")
        self._publish(event)


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


def _event_refused(error: EventError) -> CommandError:
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
