"""Read a report of Puppet: YAML with the tags of Ruby. Pure: bytes in, log lines out.

The parser's events are read one by one and only what an event needs is kept: no object is made of a tag, no
alias is expanded but those of single texts, and what lies deep inside costs no memory. PyYAML is in the extra
``sources``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from clacks.common.event import Event
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry
from clacks.common.xmltext import illegal_character

__all__ = ["LEVELS", "Log", "Report", "ReportError", "read_report", "report_event"]

LEVELS: Final = ("debug", "info", "notice", "warning", "err", "alert", "emerg", "crit")
"""From the least to the gravest, in Puppet's order."""

_LONGEST: Final = 64 * 1024  # characters of one text: a diff of a file may be one message
_TAGS: Final = 100
_ANCHORS: Final = 100_000
_DEEPEST: Final = 100  # levels; reports have 8
_WANTED: Final = {"host", "time", "status", "configuration_version", "logs"}


class ReportError(Exception):
    """It is no report of Puppet; the text says why."""


@dataclass(frozen=True, slots=True)
class Log:
    """One line of a report; texts are empty and numbers None where it does not say."""

    level: str
    message: str
    time: float
    source: str = ""
    file: str = ""
    line: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What an event needs of a report."""

    host: str
    time: float
    status: str
    version: str
    logs: tuple[Log, ...]


def read_report(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Report:
    """Read a report.

    Raises:
        ReportError: It is too large, no YAML, or no report.
    """
    try:
        import yaml
    except ImportError as error:
        raise ReportError("PyYAML is not installed: pip install 'clacks[sources]'") from error
    if len(data) > limits.report_size:
        raise ReportError(f"{len(data)} bytes are too many; at most {limits.report_size}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = _Reader(yaml.parse(data, Loader=loader)).report()
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise ReportError(f"no YAML: {words[:300]}") from error
    host, logs = found.get("host"), found.get("logs")
    if not isinstance(host, str) or not host or not isinstance(logs, list):
        raise ReportError("no report of Puppet: host or logs are missing")
    when = _seconds(found.get("time")) or 0.0
    return Report(
        host,
        when,
        str(found.get("status") or ""),
        str(found.get("configuration_version") or ""),
        tuple(_log(item, when) for item in logs if isinstance(item, dict)),
    )


class _Reader:
    """Takes what is wanted from the events of the parser."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, str] = {}

    def report(self) -> dict[str, Any]:
        """Return the wanted members of the mapping at the top."""
        for event in self._events:
            kind = type(event).__name__
            if kind == "MappingStartEvent":
                break
            if kind not in ("StreamStartEvent", "DocumentStartEvent"):
                raise ReportError("no report of Puppet: not a mapping")
        found: dict[str, Any] = {}
        # What stands behind the last wanted member, all states of all resources, is not even read.
        while len(found) < len(_WANTED):
            key = self._value(None, 1)
            if key is _END:
                break
            if isinstance(key, str) and key in _WANTED:
                found[key] = self._value(None, 3 if key == "logs" else 0)
            else:
                self._value(None, 0)
        return found

    def _value(self, event: Any, depth: int) -> Any:
        """Return the next value: a text, or as deep as ``depth`` lists and mappings; None for the rest."""
        event = next(self._events) if event is None else event
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._anchors.get(event.anchor)
        if kind == "ScalarEvent":
            text = _scalar(event)
            if event.anchor is not None and text is not None and len(self._anchors) < _ANCHORS:
                self._anchors[event.anchor] = text
            return text
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            return _END
        if kind not in ("MappingStartEvent", "SequenceStartEvent"):
            raise ReportError("it ends in the middle")
        if depth <= 0:
            self._skip()
            return None
        if kind == "SequenceStartEvent":
            items = []
            while (item := self._value(None, depth - 1)) is not _END:
                items.append(item)
            return items
        members = {}
        while (key := self._value(None, 0)) is not _END:
            value = self._value(None, depth - 1)
            if isinstance(key, str):
                members[key.removeprefix(":")] = value
        return members

    def _skip(self) -> None:
        """Pass over the rest of a list or mapping, whatever its depth; texts with an anchor are noted."""
        depth = 1
        while depth:
            event = next(self._events)
            kind = type(event).__name__
            if kind.endswith("StartEvent"):
                depth += 1
                if depth > _DEEPEST:
                    raise ReportError(f"deeper than {_DEEPEST} levels")
            elif kind.endswith("EndEvent"):
                depth -= 1
            elif kind == "ScalarEvent" and event.anchor is not None:
                self._value(event, 0)


_END: Final = object()


def _scalar(event: Any) -> str | None:
    if event.tag in ("tag:yaml.org,2002:binary", "!binary"):
        try:
            return base64.b64decode(event.value).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return None
    plain = event.style is None
    if plain and event.value in ("", "~", "null"):
        return None
    return str(event.value)


def _log(found: dict[str, Any], when: float) -> Log:
    level = _text(found.get("level")).removeprefix(":")
    line = _text(found.get("line"))
    tags = found.get("tags")
    return Log(
        level if level in LEVELS else "notice",
        _text(found.get("message")),
        _seconds(found.get("time")) or when,
        _text(found.get("source")),
        _text(found.get("file")),
        int(line) if line.isascii() and line.isdigit() and len(line) < 10 else None,
        tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def _text(value: Any) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _seconds(value: Any) -> float | None:
    """Return seconds since 1970 of a time as Ruby writes it."""
    if not isinstance(value, str):
        return None
    words = value.split()
    text = words[0] + ("T" + "".join(words[1:]) if len(words) > 1 else "")
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def report_event(
    registry: SchemaRegistry,
    report: Report,
    *,
    id: str = "",  # noqa: A002 - the word of the wire
    level: str = "debug",
    limits: Limits = DEFAULT_LIMITS,
) -> Event:
    """Return the event PuppetReport.

    Args:
        registry: The event types.
        report: What was read.
        id: The client whose run it is; the host that the report names if empty.
        level: The least level of lines that count.
        limits: How many of them, and how much text.

    Raises:
        InvalidEvent: The host has a name that XML cannot hold.
    """
    logs, omitted = _within([log for log in report.logs if _grave(log) >= LEVELS.index(level)], limits)
    if omitted:
        words = f"{omitted} lines of this report are left out: they were the least grave"
        logs.append(Log("warning", words, report.time, "Clacks"))
    if not logs:
        logs = [
            Log("notice", f"The run said nothing; its status is {report.status or 'unknown'}", report.time)
        ]
    return registry.from_dict(
        "PuppetReport",
        {"Id": id or report.host, "PuppetLog": [_members(log, report.version) for log in logs]},
    )


def _members(log: Log, version: str) -> dict[str, Any]:
    tags = [tag for tag in log.tags[:_TAGS] if illegal_character(tag) is None]
    return {
        "Timestamp": log.time,
        "Level": log.level,
        "Message": log.message,
        "Source": log.source or None,
        "File": log.file or None,
        "Line": log.line,
        "Version": version if version and illegal_character(version) is None else None,
        "Tag": {"value": tags} if tags else None,
    }


def _grave(log: Log) -> int:
    return LEVELS.index(log.level)


def _within(logs: list[Log], limits: Limits) -> tuple[list[Log], int]:
    """Return as many lines as there is room for, the gravest first, in their order; and how many are left."""
    kept: list[int] = []
    room = limits.report_text
    for place in sorted(range(len(logs)), key=lambda place: (-_grave(logs[place]), place)):
        log = logs[place]
        size = 500 + sum(map(len, (log.message, log.source, log.file, *log.tags)))
        if len(kept) >= limits.report_logs or size > room:
            break
        room -= size
        kept.append(place)
    return [logs[place] for place in sorted(kept)], len(logs) - len(kept)
