"""What a link asks of a node (AMQP 1.0, 3.5): read from the peer's attach, written into ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from proton import (
    Array,
    Connection,
    Data,
    DataException,
    Described,
    Link,
    Session,
    Terminus,
    symbol,
    ulong,
)

from clacks.common.errors import ProtocolError

__all__ = [
    "SELECTOR_FILTER",
    "SELECTOR_FILTER_CODE",
    "XQUERY_FILTER",
    "XQUERY_FILTER_CODE",
    "Asked",
    "Filter",
    "answer_source",
    "answer_target",
    "open_properties",
    "read_condition",
    "read_open",
    "read_source",
    "read_target",
    "refuse_termini",
    "selector_filter",
    "subject_filter",
    "xquery_filter",
]

XQUERY_FILTER: Final = "apache.org:xquery-filter:string"
"""Symbolic descriptor of an XQuery source filter, as registered for AMQP 1.0."""

XQUERY_FILTER_CODE: Final = 0x0000_468C_0000_0005
"""Numeric descriptor of the same filter."""

SELECTOR_FILTER: Final = "apache.org:selector-filter:string"
"""Symbolic descriptor of a JMS selector as source filter."""

SELECTOR_FILTER_CODE: Final = 0x0000_468C_0000_0004
"""Numeric descriptor of the same filter."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One entry of a filter set: its name in the map, its descriptor and its value.

    ``descriptor`` is text, a number, or None if the value was not described at all.
    """

    name: str
    descriptor: str | int | None
    value: object

    @property
    def is_xquery(self) -> bool:
        """Whether this is an XQuery filter, by either descriptor."""
        return self.descriptor in (XQUERY_FILTER, XQUERY_FILTER_CODE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the peer asks for: a source it wants to read or a target it wants to write."""

    address: str | None
    dynamic: bool = False
    capabilities: frozenset[str] = frozenset()
    filters: tuple[Filter, ...] = ()
    coordinator: bool = False
    """The target of transactions (part 4)."""
    absent: bool = False
    """The peer sent no terminus at all."""
    copy: bool = False
    """The source is to be browsed: messages stay for others."""


# Proton checks lengths and leaves the rest to its wrappers: a symbol beyond ASCII is a ValueError there,
# a character beyond Unicode an OverflowError, a map as a key a TypeError, a thousand maps in each other a
# RecursionError.
_UNREADABLE = (DataException, RecursionError, OverflowError, ValueError, TypeError, KeyError)


def xquery_filter(query: str) -> Filter:
    """Return the filter that lets an XQuery decide (registered for the XML exchange of Qpid)."""
    return Filter("xquery", XQUERY_FILTER_CODE, query)


def selector_filter(selector: str) -> Filter:
    """Return the filter that lets a JMS selector decide (registered for ActiveMQ and others)."""
    return Filter("selector", SELECTOR_FILTER_CODE, selector)


def subject_filter(subject: str) -> Filter:
    """Return the filter that binds a receiver to one subject (Qpid's direct binding)."""
    return Filter("subject", 0x0000_468C_0000_0000, subject)


def _value(data: Data) -> Any:
    try:
        data.rewind()
        found = data.get_object() if data.next() is not None else None
        data.rewind()
    except _UNREADABLE as error:
        raise ProtocolError(f"a terminus cannot be read: {error}") from error
    return found


def _texts(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset((str(value),))
    if isinstance(value, Array):
        value = value.elements
    if isinstance(value, (list, tuple)):
        return frozenset(str(item) for item in value if isinstance(item, str))
    return frozenset()


def _filters(value: Any) -> tuple[Filter, ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise ProtocolError("a filter set is no map")
    filters = []
    for name, entry in value.items():
        if not isinstance(name, str):
            raise ProtocolError("a filter set has a key that is no symbol")
        if entry is None:
            continue
        if isinstance(entry, Described):
            key = entry.descriptor
            descriptor: str | int | None = str(key) if isinstance(key, str) else None
            if isinstance(key, int) and not isinstance(key, bool):
                descriptor = int(key)
            filters.append(Filter(str(name), descriptor, entry.value))
        else:
            filters.append(Filter(str(name), None, entry))
    return tuple(filters)


def _read(terminus: Terminus) -> Asked:
    try:
        address = terminus.address
    except UnicodeDecodeError as error:
        raise ProtocolError("an address is not UTF-8") from error
    kind = terminus.type
    if kind == Terminus.COORDINATOR:
        return Asked(None, coordinator=True)
    return Asked(
        address=address,
        dynamic=bool(terminus.dynamic),
        capabilities=_texts(_value(terminus.capabilities)),
        filters=_filters(_value(terminus.filter)) if kind == Terminus.SOURCE else (),
        absent=kind == Terminus.UNSPECIFIED,
        copy=kind == Terminus.SOURCE and terminus.distribution_mode == Terminus.DIST_MODE_COPY,
    )


def read_source(link: Link) -> Asked:
    """Read the source that the peer wants.

    Raises:
        ProtocolError: If its parts are not what AMQP says they are.
    """
    return _read(link.remote_source)


def read_target(link: Link) -> Asked:
    """Read the target that the peer wants.

    Raises:
        ProtocolError: If its parts are not what AMQP says they are.
    """
    return _read(link.remote_target)


def _write(terminus: Terminus, address: str | None, capabilities: Iterable[str]) -> None:
    if address is not None:
        terminus.address = address
    found = sorted(capabilities)
    if found:
        data = terminus.capabilities
        data.clear()
        data.put_array(False, Data.SYMBOL)
        data.enter()
        for name in found:
            data.put_symbol(symbol(name))
        data.exit()


def answer_source(
    link: Link,
    address: str,
    capabilities: Iterable[str] = (),
    filters: Iterable[Filter] = (),
    *,
    settled: bool = False,
) -> bool:
    """Say which source is in force: the address, and only the filters that are really applied.

    Nothing outlives the link, whatever the peer asked for. Return whether messages are sent settled: because
    we say so with ``settled``, or because the peer wants it.
    """
    link.source.copy(link.remote_source)
    _write(link.source, address, capabilities)
    link.source.durability = Terminus.NONDURABLE
    link.source.expiry_policy = Terminus.EXPIRE_WITH_LINK
    link.target.copy(link.remote_target)
    settled = settled or link.remote_snd_settle_mode == Link.SND_SETTLED
    link.snd_settle_mode = Link.SND_SETTLED if settled else Link.SND_UNSETTLED
    link.rcv_settle_mode = link.remote_rcv_settle_mode
    data = link.source.filter
    data.clear()
    active = tuple(filters)
    if active:
        data.put_map()
        data.enter()
        for entry in active:
            data.put_symbol(symbol(entry.name))
            data.put_described()
            data.enter()
            if isinstance(entry.descriptor, int):
                data.put_ulong(ulong(entry.descriptor))
            else:
                data.put_symbol(symbol(entry.descriptor or ""))
            data.put_object(entry.value)
            data.exit()
        data.exit()
    return settled


def answer_target(link: Link, address: str | None, capabilities: Iterable[str] = ()) -> None:
    """Say which target is in force; None is the anonymous relay."""
    link.target.copy(link.remote_target)
    _write(link.target, address, capabilities)
    link.source.copy(link.remote_source)
    link.snd_settle_mode = link.remote_snd_settle_mode


def read_open(connection: Connection) -> tuple[Mapping[Any, Any], frozenset[str], str]:
    """Return properties, offered capabilities and container id of the peer's open frame.

    Raises:
        ProtocolError: If one of them cannot be read.
    """
    try:
        said: object = connection.remote_properties
        capabilities: object = connection.remote_offered_capabilities
        container = connection.remote_container or ""
    except _UNREADABLE as error:
        raise ProtocolError(f"the open frame cannot be read: {error}") from error
    return said if isinstance(said, Mapping) else {}, _texts(capabilities), container


def read_condition(endpoint: Connection | Session | Link) -> tuple[str, str]:
    """Return the name and the words of the error with which the peer closes something; empty without one.

    Raises:
        ProtocolError: If it cannot be read.
    """
    try:
        condition = endpoint.remote_condition
    except _UNREADABLE as error:
        raise ProtocolError(f"an error condition cannot be read: {error}") from error
    return (str(condition.name), condition.description or "") if condition else ("", "")


def open_properties(connection: Connection, domain: str) -> None:
    """Say in our open frame who we are and what we can do."""
    connection.offered_capabilities = [symbol("ANONYMOUS-RELAY")]
    connection.properties = {
        symbol("product"): "clacks",
        symbol("version"): version("clacks"),
        symbol("domain"): domain,
        symbol("source-filters"): [symbol(XQUERY_FILTER)],
    }


def refuse_termini(link: Link) -> None:
    """Say with empty termini that the attach will be followed by a detach (2.6.3)."""
    (link.target if link.is_receiver else link.source).type = Terminus.UNSPECIFIED
