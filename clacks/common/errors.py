"""Every error that Clacks raises on purpose.

::

    ClacksError
    ├── EventError            the XML is at fault
    │   ├── MalformedEvent        not well-formed, or a document we never read (DTD, too deep, too large)
    │   ├── InvalidEvent          well-formed, but its schema refuses it
    │   └── SchemaError           a schema file itself is refused
    ├── QueryError            the query is at fault
    │   ├── QuerySyntaxError      found while compiling (static errors, XPST*, XQST*)
    │   ├── QueryEvaluationError  found while evaluating (dynamic and type errors)
    │   └── QueryBudgetExceeded   the query wanted more steps, memory or time than it may have
    ├── BusError              the connection or the broker is at fault
    │   ├── ConnectionFailed      nobody there, TLS refused, wrong host name
    │   ├── LoginRefused          the peer does not take these credentials
    │   ├── ConnectionLost        it was there, now it is not
    │   ├── LinkRefused           the peer closed or refused a link: address, filter, rights
    │   └── ProtocolError         the peer does not speak AMQP 1.0 as it should
    ├── CommandError          the call is at fault
    │   ├── CommandRefused        the remote side answered with an error object
    │   ├── CommandTimeout        no agent took the call in time: it was not carried out
    │   └── OutcomeUnknown        an agent took the call and its answer is lost
    ├── StoreError            the event log or the key/value store cannot do it
    │   └── StoreFull             there is no room: on the disk, or for so many keys
    ├── DialectError          the browser or foreign client is at fault
    └── SettingsError         a settings, rights or credentials file is at fault

Data first, text from the data: an error keeps what was found as attributes and ``str()`` makes the
sentence from them.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BusError",
    "ClacksError",
    "CommandError",
    "CommandRefused",
    "CommandTimeout",
    "ConnectionFailed",
    "ConnectionLost",
    "DialectError",
    "EventError",
    "InvalidEvent",
    "LinkRefused",
    "LoginRefused",
    "MalformedEvent",
    "OutcomeUnknown",
    "ProtocolError",
    "QueryBudgetExceeded",
    "QueryError",
    "QueryEvaluationError",
    "QuerySyntaxError",
    "SchemaError",
    "SettingsError",
    "StoreError",
    "StoreFull",
]


class ClacksError(Exception):
    """Root of all errors that Clacks raises on purpose."""


class EventError(ClacksError):
    """The XML of an event is at fault."""


class MalformedEvent(EventError):
    """The text is no XML document that Clacks reads.

    Attributes:
        reason: What was found, for people.
        line: Line in the document, counted from 1, or None.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.reason = reason
        self.line = line
        super().__init__(reason, line)

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line is not None else ""
        return f"not an event document: {self.reason}{where}"


class InvalidEvent(EventError):
    """The document is well-formed and its schema refuses it.

    Attributes:
        kind: The event type, such as ``NodeStatus``; empty if the document does not say.
        path: Where, as an XPath without prefixes: ``/Event/NodeStatus/Load``.
        reason: What was found and what was expected.
        line: Line in the document, counted from 1, or None.
        found: The offending value or element name, or None.
        expected: What the schema wants there, or None.
    """

    def __init__(
        self,
        kind: str,
        path: str,
        reason: str,
        line: int | None = None,
        *,
        found: str | None = None,
        expected: str | None = None,
    ) -> None:
        self.kind = kind
        self.path = path
        self.reason = reason
        self.line = line
        self.found = found
        self.expected = expected
        super().__init__(kind, path, reason, line)

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line is not None else ""
        return f"{self.kind or 'event'}: {self.path}: {self.reason}{where}"


class SchemaError(EventError):
    """A schema file is refused; the other files stay usable.

    Attributes:
        file: Path of the file.
        reason: What is wrong with it.
        line: Line in the file, counted from 1, or None.
    """

    def __init__(self, file: str, reason: str, line: int | None = None) -> None:
        self.file = file
        self.reason = reason
        self.line = line
        super().__init__(file, reason, line)

    def __str__(self) -> str:
        where = f":{self.line}" if self.line is not None else ""
        return f"{self.file}{where}: {self.reason}"


class QueryError(ClacksError):
    """A query is at fault.

    Attributes:
        code: The W3C code without prefix, such as ``XPST0003``.
        reason: What was found, for people.
        line: Line in the query, counted from 1, or None when it is not known.
        column: Column in that line, counted from 1, or None.
        source: The text of the query, or None; with it ``excerpt`` can show the place.
        value: The error object (third argument of ``fn:error``) as a sequence.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        line: int | None = None,
        column: int | None = None,
        *,
        source: str | None = None,
        value: Sequence[object] = (),
    ) -> None:
        self.code = code
        self.reason = reason
        self.line = line
        self.column = column
        self.source = source
        self.value = value
        super().__init__(code, reason, line, column)

    def __str__(self) -> str:
        where = f" (line {self.line}, column {self.column})" if self.line is not None else ""
        return f"{self.code}: {self.reason}{where}"

    def excerpt(self) -> str:
        """Return the line of the query with a caret below the place, or an empty string."""
        if self.source is None or self.line is None or self.column is None:
            return ""
        lines = self.source.splitlines() or [""]
        if self.line > len(lines):
            return ""
        text = lines[self.line - 1].replace("\t", " ")
        start = max(0, self.column - 60)  # a query may be one line of a megabyte
        return f"{text[start : start + 80]}\n{' ' * (self.column - 1 - start)}^"


class QuerySyntaxError(QueryError):
    """The query does not compile."""


class QueryEvaluationError(QueryError):
    """The query compiled and failed on this document."""


class QueryBudgetExceeded(QueryError):
    """The query wanted more than its budget of steps, memory, depth or time."""


class BusError(ClacksError):
    """The connection or the broker is at fault."""


class ConnectionFailed(BusError):
    """No connection could be made: nobody listens, TLS was refused, the host name is wrong."""


class LoginRefused(BusError):
    """The peer refuses these credentials, or offers no way to log in that we may use.

    Attributes:
        reason: What was found, for people.
        temporary: Whether the same credentials may do later: the peer could not check them just now.
    """

    def __init__(self, reason: str, *, temporary: bool = False) -> None:
        self.reason = reason
        self.temporary = temporary
        super().__init__(reason)


class ConnectionLost(BusError):
    """The connection ended before the work was done."""


class LinkRefused(BusError):
    """The peer refused or closed a link.

    Attributes:
        condition: The AMQP error condition, such as ``amqp:unauthorized-access``.
        description: The peer's own words.
        address: The address of the link.
    """

    def __init__(self, condition: str, description: str = "", address: str = "") -> None:
        self.condition = condition
        self.description = description
        self.address = address
        super().__init__(condition, description, address)

    def __str__(self) -> str:
        address = f" at {self.address}" if self.address else ""
        return f"refused{address}: {self.description or 'no reason given'} [{self.condition}]"


class ProtocolError(BusError):
    """The peer sent something that is not AMQP 1.0, or breaks a limit."""


class CommandError(ClacksError):
    """A call did not succeed.

    Attributes:
        code: The JSON-RPC 2.0 error code.
        message: A sentence for people.
        data: What the remote side added: any JSON value, or None.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(code, message, data)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class CommandRefused(CommandError):
    """The remote side answered the call with an error."""


class CommandTimeout(CommandError):
    """Nobody took the call before its deadline: it was not carried out."""


class OutcomeUnknown(CommandError):
    """An agent took the call and its answer is lost: it may have been carried out."""


class StoreError(ClacksError):
    """The event log or the key/value store cannot do what was asked.

    Attributes:
        reason: What is wrong, for people.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class StoreFull(StoreError):
    """There is no room: on the disk, or for so many keys or so long a text."""


class DialectError(ClacksError):
    """A browser or a foreign client broke the rules of its protocol."""


class SettingsError(ClacksError):
    """A file of settings, rights or credentials cannot be used.

    Attributes:
        file: Path of the file, or the name of the option or variable.
        reason: What is wrong with it.
    """

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        self.reason = reason
        super().__init__(file, reason)

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"
