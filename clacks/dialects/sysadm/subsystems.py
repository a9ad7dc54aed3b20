"""Events as SysAdm's clients see them: names of subsystems, and the ``args`` of each.

Three subsystems have names and shapes of their own, because real clients know just these::

    dispatcher      JobStatus        processes: pending, running, finished
    life-preserver  LifePreserver    snapshots and replications
    system-state    SystemState      host name, pools, updates

Every other event type is a subsystem by its own name, its content as JSON values by the schema. What is data
in the fixed shapes (command lines, names of pools) is a member there and a value in the XML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clacks.common.schema import SchemaRegistry
from clacks.dialects.actions import Encoded
from clacks.dialects.delivered import Delivered
from clacks.dialects.sysadm.envelope import event

__all__ = ["RESERVED", "Subsystem", "args_of", "keeps_last", "kind_of", "priority_text"]

FIXED: Final[Mapping[str, str]] = {
    "dispatcher": "JobStatus",
    "life-preserver": "LifePreserver",
    "life_preserver": "LifePreserver",
    "system-state": "SystemState",
    "system_state": "SystemState",
}
"""Event types by name. The older document and all clients write hyphens, the newer document underscores; a
client hears the spelling that it asked for."""

RESERVED: Final = frozenset({"response", "error", "subscribe", "unsubscribe", "event", "bridge"})
"""Names that mean something else in this namespace: no event type is reached by them."""


def kind_of(name: str, registry: SchemaRegistry) -> str | None:
    """Return the event type behind the name of a subsystem, or None."""
    kind = FIXED.get(name)
    if kind is None and name not in RESERVED and name not in FIXED.values():
        kind = name
    return kind if kind in registry.kinds else None


def keeps_last(kind: str, registry: SchemaRegistry) -> bool:
    """Tell whether who subscribes gets the last event first: types that are a state, but no processes."""
    return kind != "JobStatus" and registry.annotations(kind).state


@dataclass(frozen=True, slots=True)
class Subsystem:
    """The form of the events of a subsystem, under the name that the client uses."""

    name: str

    def encode(self, delivered: Delivered, topic: str) -> Encoded | None:
        """Return the frame: nothing in it is one subscriber's own."""
        return Encoded(event(self.name, args_of(delivered)).encode())


def args_of(delivered: Delivered) -> dict[str, Any]:
    """Return the ``args`` of an event."""
    shape = _SHAPES.get(delivered.kind)
    if shape is not None:
        return shape(delivered.fields)
    args = {name: _plain(value) for name, value in delivered.fields.items()}
    if delivered.replayed:
        # A last event looks like a new one otherwise. XML names do not begin with @.
        args["@time"] = datetime.fromtimestamp(delivered.time / 1000, UTC).isoformat(timespec="milliseconds")
    return args


def priority_text(number: int) -> str:
    """Return a priority as clients read it, the number first.

    >>> priority_text(2), priority_text(5), priority_text(8), priority_text(10)
    ('2 - Information', '5 - Warning', '8 - Critical', '10 - Urgent')
    """
    words = ((2, "Information"), (5, "Warning"), (8, "Critical"))
    return f"{number} - {next((word for most, word in words if number <= most), 'Urgent')}"


def _life_preserver(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "message": _text(fields["Message"]),
        "priority": priority_text(fields["Priority"]),
        "class": fields["Class"],
    }


_POOL: Final = ("Size", "Alloc", "Free", "Frag", "ExpandSz", "Dedup", "AltRoot", "Capacity", "Health")


def _system_state(fields: Mapping[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = {"hostname": fields["Hostname"]}
    if fields.get("HostnameChanged"):
        args["hostnamechanged"] = "true"
    if fields["Pool"]:
        args["zpools"] = {pool["@name"]: _pool(pool) for pool in fields["Pool"]}
    if "Updates" in fields:
        args["updates"] = {"status": fields["Updates"]["Status"]}
    return {**args, "priority": priority_text(fields["Priority"])}


def _pool(pool: Mapping[str, Any]) -> dict[str, str]:
    args = {name.lower(): pool[name] for name in _POOL}
    if "Priority" in pool:
        args["priority"] = priority_text(pool["Priority"])
    return args


_STATES: Final = {"WAITING": "pending", "RUNNING": "running"}


def _dispatcher(fields: Mapping[str, Any]) -> dict[str, Any]:
    state = _STATES.get(fields["State"], "finished")
    # Members of a class of processes, its process id too where that is no number.
    members = {detail["@name"]: _text(detail) for detail in fields["Detail"]}
    process = members.pop("process_id", str(fields["Id"]))
    args: dict[str, Any] = {**members, "state": state, "process_id": process}
    if "EventSystem" in fields:
        args["event_system"] = fields["EventSystem"]
    elif state == "pending":
        return args
    args["process_details"] = _process_details(fields, state, process)
    return args


def _process_details(fields: Mapping[str, Any], state: str, process: str) -> dict[str, Any]:
    lines: list[str] = []
    details: dict[str, Any] = {}
    for command in fields["Command"]:
        line = _distinct(_text(command["Line"]), lines)
        lines.append(line)
        if "Log" in command:
            details[line] = _text(command["Log"])
        if "ReturnCode" in command:
            details[f"return_codes/{line}"] = str(command["ReturnCode"])
    # Last, so that no command line can stand in for them.
    details |= {"state": state, "process_id": process, "cmd_list": lines}
    for name, member in (("TimeStarted", "time_started"), ("TimeFinished", "time_finished")):
        if name in fields:
            details[member] = _local(fields[name])
    if state == "running" and "CurrentCommand" in fields:
        details["current_cmd"] = _text(fields["CurrentCommand"])
    return details


def _distinct(line: str, taken: list[str]) -> str:
    """Return a line that is not there yet: as members of an object two equal ones would be one."""
    found, number = line, 1
    while found in taken:
        number += 1
        found = f"{line} #{number}"
    return found


def _local(value: Any) -> str:
    """Return a time as the original server writes it: ISO 8601, local, no offset, whole seconds."""
    text = _plain(value)
    try:
        return datetime.fromisoformat(text).astimezone().replace(tzinfo=None).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return str(text)


def _plain(value: Any) -> Any:
    """Return a value with times as text of ISO 8601; the schema's JSON values mark them with ``$``."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    match value:
        case {"$date": int(ms)} if len(value) == 1:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
            return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace(
                "+00:00", "Z"
            )
        case {"$time": str(text)} if len(value) == 1:
            return text
        case {"$type": "date", "$value": str(text)} if len(value) == 2:
            return text
    return {name: _plain(item) for name, item in value.items()}


def _text(value: Any) -> str:
    """Return the text of an element, alone or beside its attributes."""
    if isinstance(value, Mapping):
        value = value.get("#text", "")
    return value if isinstance(value, str) else str(value)


_SHAPES: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "JobStatus": _dispatcher,
    "LifePreserver": _life_preserver,
    "SystemState": _system_state,
}
