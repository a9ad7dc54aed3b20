"""The commands of an agent: who may call them, and the first ones that every agent has.

No network here: ``CommandRegistry.dispatch`` takes a request and a user and returns a value or raises a
``CommandError``. How events leave is the function ``publish`` that the registry is given. What a command is,
and how it is run, is in ``clacks.common.command``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clacks.common import audit
from clacks.common.command import Command, CommandTable, CommandType, RegisteredCommand
from clacks.common.errors import CommandError
from clacks.common.event import Event
from clacks.common.jsonrpc import FORBIDDEN, UNAVAILABLE, Request
from clacks.common.presence import speaker_of
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry

__all__ = ["Command", "CommandRegistry", "CommandType", "RegisteredCommand"]


class CommandRegistry:
    """The commands of one agent, its own first ones among them.

    Args:
        publish: Sends a valid event on; raises ``BusError`` if it cannot.
        rights: Who may do what. The attribute may be set anew at any time, from any thread.
        registry: The event types.
        node: Name of this node.
        nodes: Returns the nodes of the domain with what is known of each; this one alone if not given.
        elsewhere: Returns the commands of other nodes by name, each as ``getMethods`` shows it.

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
        elsewhere: Callable[[], Mapping[str, Mapping[str, Any]]] | None = None,
    ) -> None:
        self.rights = rights
        self.record: Callable[[Event, str], str] | None = None
        """Records an event of a user and publishes it; returns its log id. Called on worker threads."""
        self._publish = publish
        self._registry = registry
        self._nodes = nodes if nodes is not None else lambda: {node: {}} if node else {}
        self._elsewhere = elsewhere if elsewhere is not None else dict
        self._node = node
        self._table = CommandTable(f"agent {node or 'on duty'}")
        self.register(self)

    def register(self, source: object) -> None:
        """Add a marked function, or all marked methods of an object: all of them, or none if one is at fault.

        Raises:
            TypeError: If there is nothing marked, or the hints of a command cannot be its signature.
            ValueError: If there is already a command of that name.
        """
        self._table.register(source)

    @property
    def commands(self) -> Mapping[str, RegisteredCommand]:
        """All commands by name."""
        return self._table.commands

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
        caller = self.admit(request.method, user, on_behalf_of)
        return self._table.run(request, caller, queue=queue)

    def find(self, method: str, queue: str | None = None) -> RegisteredCommand | None:
        """Return the command of that name, if it belongs to this queue; a queue of None means any."""
        command = self._table.commands.get(method)
        if command is None or (command.queue is not None and queue is not None and command.queue != queue):
            return None
        return command

    def admit(self, method: str, user: str | None, on_behalf_of: str | None = None) -> str:
        """Return who calls: the login, or whom it may speak for.

        Raises:
            CommandError: ``FORBIDDEN``. Rights come first: who may not call a method does not learn whether
                it exists.
        """
        try:
            caller = self._caller(user, on_behalf_of)
            if not self.rights.may_call(caller, method):
                raise CommandError(FORBIDDEN, f"{caller} may not call {method[:100]}")
        except CommandError:
            audit.command(self._node, user or "", on_behalf_of or "", method, "forbidden")
            raise
        audit.command(self._node, user or "", on_behalf_of or "", method, "accepted")
        return caller

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
        """Return the commands that the caller may use, by name: signature, documentation, and the nodes that
        provide it."""
        found = {name: dict(facts) for name, facts in self._elsewhere().items()}
        for name, command in self._table.commands.items():
            others = found[name]["nodes"] if name in found else []
            found[name] = {
                "signature": name + command.signature.text,
                "type": command.type.value,
                "queue": command.queue,
                "documentation": command.documentation,
                "nodes": sorted({*others, *([self._node] if self._node else [])}),
            }
        return {name: found[name] for name in sorted(found) if self.rights.may_call(user, name)}

    @Command
    def getNodes(self) -> dict[str, Any]:
        """Return the nodes of the domain by name: load, latency, workers, since when, when last heard of."""
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
    def sendEvent(self, user: str, data: str, stored: bool = False) -> str | None:
        """Publish an event, given as XML text: ``<Event>`` with the event inside.

        It is validated first, and the caller must have the right to publish its type; otherwise nothing
        is sent. Events are fire and forget: nobody may be listening. With ``stored`` it is committed to the
        event log first, and the answer is its log id.
        """
        event = self._registry.receive(data)
        if not self.rights.may_publish(user, event.kind):
            raise CommandError(FORBIDDEN, f"{user} may not publish {event.kind}")
        speaker = speaker_of(event)
        if speaker is not None and not self.rights.may_announce(user, speaker):
            raise CommandError(FORBIDDEN, f"{user} may not speak as {speaker[:100]!r}")
        if stored:
            if self.record is None:
                raise CommandError(UNAVAILABLE, "no agent on this domain records events")
            return self.record(event, user)
        self._publish(event)
        return None
