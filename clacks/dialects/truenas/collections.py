"""Events as collections: which name stands for which type, and the message that an event becomes.

Two collections have the shape that real clients know, the rest follow the schema::

    core.get_jobs         JobStatus         a job, whole, at each change
    reporting.realtime    RealtimeReport    memory, processor, interfaces; only while somebody listens
    TYPE                  any other         content by the schema; key and operation from its annotations
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final, TypeAlias

from clacks.common.schema import SchemaRegistry
from clacks.common.schema_model import Annotations, ComplexType
from clacks.dialects.actions import Encoded
from clacks.dialects.delivered import Delivered

__all__ = [
    "Collection",
    "CollectionForm",
    "collection_name",
    "collections_of",
    "job_fields",
    "member_names",
    "safe_value",
    "shown_fields",
]

AnnotationsOf: TypeAlias = Callable[[str], Annotations]


@dataclass(frozen=True, slots=True)
class Collection:
    """A name that can be subscribed to.

    Attributes:
        name: The name without argument.
        kind: The event type behind it.
        wildcard: Whether ``*`` covers it.
        source: Whether it is an event source: with an interval, running while somebody listens.
    """

    name: str
    kind: str
    wildcard: bool
    source: bool


def collections_of(registry: SchemaRegistry) -> dict[str, Collection]:
    """Return all collections by name. A type whose name an annotation of another takes keeps its own name."""
    found: dict[str, Collection] = {}
    for kind in sorted(registry.kinds):
        annotations = registry.annotations(kind)
        name = collection_name(kind, annotations)
        found.setdefault(name, Collection(name, kind, annotations.wildcard, kind == "RealtimeReport"))
    return found


def collection_name(kind: str, annotations: Annotations) -> str:
    """Return the name of the collection of an event type."""
    return annotations.collection or kind


@dataclass(frozen=True, slots=True)
class CollectionForm:
    """How events look to a subscription.

    Attributes:
        annotations: Key and operation by event type.
        name: The collection as it was subscribed to, argument included; None for ``*``: its own name.
        rpc: Whether it is wrapped as a notification of JSON-RPC 2.0.
        xml: Whether the document is shown too, for sessions that asked for it: the way without loss.
    """

    annotations: AnnotationsOf
    name: str | None = None
    rpc: bool = False
    xml: bool = False

    def encode(self, delivered: Delivered, topic: str) -> Encoded | None:
        """Return the message; nothing in it is one subscriber's own."""
        message = self.message(delivered)
        if self.rpc:
            message = {"jsonrpc": "2.0", "method": "collection_update", "params": message}
        return Encoded(json.dumps(message, separators=(",", ":")).encode())

    def message(self, delivered: Delivered) -> dict[str, Any]:
        """Return the event as ``added``, ``changed`` or ``removed``."""
        kind, fields = delivered.kind, delivered.fields
        annotations = self.annotations(kind)
        extra: dict[str, Any] = {
            "event": kind,
            "eventId": delivered.event_id or delivered.id,
            "time": {"$date": delivered.time},
        }
        if self.xml:
            extra["xml"] = delivered.event.xml.decode("utf-8")
        message: dict[str, Any] = {
            "msg": _operation(annotations, fields),
            "collection": self.name or collection_name(kind, annotations),
        }
        key = annotations.key
        if key is not None and key in fields:
            message["id"] = fields[key]
        shown = safe_value(shown_fields(delivered))
        if message["msg"] == "removed":
            extra["fields"] = shown  # as the original puts them
        else:
            message["fields"] = shown
        message["extra"] = extra
        return message


def _operation(annotations: Annotations, fields: Mapping[str, Any]) -> str:
    if annotations.key is None:
        return "added"
    if annotations.operation is None:
        return "changed"
    return annotations.operations.get(str(fields.get(annotations.operation)), "changed")


# -- the shapes that clients know

_JOB: Final[Mapping[str, str]] = {
    "Id": "id",
    "Method": "method",
    "Arguments": "arguments",
    "State": "state",
    "Result": "result",
    "Error": "error",
    "Exception": "exception",
    "ExcInfo": "exc_info",
    "TimeStarted": "time_started",
    "TimeFinished": "time_finished",
    "LogsPath": "logs_path",
    "LogsExcerpt": "logs_excerpt",
    "MessageIds": "message_ids",
    "Description": "description",
    "Abortable": "abortable",
    "Transient": "transient",
}


def job_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as clients know it, from the fields of a JobStatus event."""
    progress = fields.get("Progress") or {}
    percent = progress.get("Percent")
    owner = fields.get("Owner")
    return {
        # A member that is absent here is null there: clients read all of them.
        **{member: fields.get(name) for name, member in _JOB.items()},
        "progress": {
            "percent": None if percent is None else float(percent),
            "description": progress.get("Description"),
            "extra": progress.get("Extra"),
        },
        "credentials": None if owner is None else {"type": "LOGIN_PASSWORD", "data": {"username": owner}},
    }


_MEMORY: Final = (
    "Total",
    "Available",
    "Percent",
    "Used",
    "Free",
    "Active",
    "Inactive",
    "Buffers",
    "Cached",
    "Shared",
    "Wired",
)


def _realtime(fields: Mapping[str, Any]) -> dict[str, Any]:
    memory, cpu = fields["VirtualMemory"], fields["Cpu"]
    return {
        "virtual_memory": {name.lower(): _number(memory[name]) for name in _MEMORY if name in memory},
        "cpu": {
            "usage": {core["@core"]: _number(core["#text"]) for core in cpu["Usage"]},
            "temperature": {core["@core"]: _number(core["#text"]) for core in cpu["Temperature"]},
        },
        "interfaces": {
            interface["@name"]: {
                "received_bytes": interface["ReceivedBytes"],
                "received_bytes_last": interface["ReceivedBytesLast"],
                "sent_bytes": interface["SentBytes"],
                "sent_bytes_last": interface["SentBytesLast"],
            }
            for interface in fields["Interface"]
        },
    }


def _number(value: Any) -> Any:
    """Return a decimal, which the schema's JSON has as text, as the number that these clients expect."""
    return float(value) if isinstance(value, str) else value


_SHAPES: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "JobStatus": job_fields,
    "RealtimeReport": _realtime,
}


def shown_fields(delivered: Delivered) -> Mapping[str, Any]:
    """Return the fields of an event under the names that clients see."""
    shape = _SHAPES.get(delivered.kind)
    return delivered.fields if shape is None else shape(delivered.fields)


def member_names(kind: str, registry: SchemaRegistry) -> frozenset[str]:
    """Return the names of the fields that events of a type can have."""
    if kind == "JobStatus":
        return frozenset(_JOB.values()) | {"progress", "credentials"}
    content = registry.type(kind).model.type
    return frozenset(content.members) if isinstance(content, ComplexType) else frozenset()


# -- EJSON

_MARKS: Final = frozenset({"$date", "$time", "$set", "$ipv4_interface", "$ipv6_interface"})
_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, in milliseconds since 1970."""
_FIRST_MS: Final = -62_135_596_800_000


def safe_value(value: Any) -> Any:
    """Return a value that the clients' decoder does not choke on.

    It takes each object with one such key for a date, time, set or interface, there is no escape, and at one
    that it cannot convert it loses the whole message. What only looks like one (JSON text of strangers in an
    event, say) is therefore shown as text.
    """
    if isinstance(value, list | tuple):
        return [safe_value(item) for item in value]
    if not isinstance(value, Mapping):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return str(value)
        return value
    if len(value) == 1:
        ((mark, inner),) = value.items()
        if mark == "$date" and type(inner) is int and _FIRST_MS <= inner <= _LAST_MS:
            return dict(value)
        if mark == "$time" and isinstance(inner, str) and _is_time(inner):
            return dict(value)
        if mark in _MARKS:
            return json.dumps(value, separators=(",", ":"))
    if set(value) == {"$type", "$value"} and not _is_date(value["$value"]):
        return json.dumps(value, separators=(",", ":"))
    return {str(name): safe_value(item) for name, item in value.items()}


def _is_time(text: str) -> bool:
    try:
        return time.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


def _is_date(text: Any) -> bool:
    try:
        date.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return True
