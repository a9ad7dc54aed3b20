"""Calls and queues: what Asterisk's events mean. Pure: events and times in, facts out."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from clacks.common.event import Event
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry

__all__ = ["AskQueue", "CallWatch", "Fact", "Notification", "PhoneState", "Plan", "fact_event"]

_DIGITS: Final = re.compile(r"[0-9]{3,15}", re.ASCII)  # E.164: at most 15
_LONGEST: Final = 200
_PROXY: Final = "Local/"
"""Channels of this kind are no phones: they join parts of the dial plan, as groups and queues do."""

# Device states of Asterisk, as QueueMemberStatus numbers them.
_MEMBER: Final = {
    "0": "unknown",
    "1": "not in use",
    "2": "in use",
    "3": "busy",
    "4": "invalid",
    "5": "unavailable",
    "6": "ringing",
    "7": "ringing in use",
    "8": "on hold",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How numbers are dialled here: makes international ones of them.

    Args:
        country: Country code, such as ``49``.
        area: Area code without trunk prefix.
        trunk: What is dialled before a national number, and twice before an international one.
    """

    country: str = ""
    area: str = ""
    trunk: str = "0"

    def number(self, text: str) -> str | None:
        """Return a number in international form, or None if that cannot be known.

        Example:
            >>> plan = Plan("49", "2932")
            >>> [plan.number(text) for text in ("0030 1234", "030/1234", "9160", "anonymous")]
            ['+301234', '+49301234', '+4929329160', None]
        """
        dialled = re.sub(r"[\s()/.-]", "", text)
        if not dialled:
            return None
        international = dialled.removeprefix("+")
        if international == dialled:
            twice = self.trunk * 2
            if twice and dialled.startswith(twice):
                international = dialled[len(twice) :]
            elif not self.country:
                return None
            elif self.trunk and dialled.startswith(self.trunk):
                international = self.country + dialled[len(self.trunk) :]
            elif self.area:
                international = self.country + self.area + dialled
            else:
                return None
        return f"+{international}" if _DIGITS.fullmatch(international) else None


@dataclass(frozen=True, slots=True)
class Notification:
    """What becomes AsteriskNotification; times are seconds (since 1970)."""

    type: str
    identity: str
    time: float
    caller: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    duration: float | None = None
    cause: str = ""
    queue: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PhoneState:
    """What becomes PhoneStatus: ringing, talking or ended."""

    caller: str
    receiver: str
    status: str


@dataclass(frozen=True, slots=True)
class AskQueue:
    """Asterisk should be asked how a queue stands."""

    name: str


Fact: TypeAlias = Notification | PhoneState | AskQueue


@dataclass(slots=True)
class _Call:
    caller: str
    name: str
    began: float
    called: list[str] = field(default_factory=list)
    answered: float | None = None
    receiver: str = ""


class CallWatch:
    """What goes on, as the events of one connection tell it (Asterisk 13 and later).

    A call is what begins with one channel, all that is linked to it included. It is missed if nobody answered
    when that channel hangs up: of five phones that ring, four do not answer, and nothing was missed.

    Args:
        plan: Makes international numbers.
        limits: How many calls are kept in mind.
    """

    def __init__(self, plan: Plan, limits: Limits = DEFAULT_LIMITS) -> None:
        self._plan = plan
        self._most = limits.ami_channels
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._queues: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def take(self, name: str, fields: Mapping[str, str], now: float) -> list[Fact]:
        """Take one event and return what follows from it.

        Args:
            name: Of the event.
            fields: Its fields.
            now: Seconds since 1970.
        """
        found = {key: value[:_LONGEST] for key, value in fields.items()}
        match name:
            case "DialBegin":
                return self._dial(found, now)
            case "DialEnd":
                return self._dialled(found, now)
            case "Hangup":
                return self._hangup(found, now)
            case "QueueMemberStatus":
                return [self._member(found, now)] if found.get("Queue") else []
            case "QueueCallerJoin" | "QueueCallerLeave" | "QueueCallerAbandon":
                return [AskQueue(found["Queue"])] if found.get("Queue") else []
            case "QueueSummary":
                return self._summary(found, now)
            case _:
                return []

    def _dial(self, found: Mapping[str, str], now: float) -> list[Fact]:
        id_ = _call_id(found)
        if not id_:
            return []
        call = self._calls.get(id_)
        if call is None:
            caller = _known(found.get("CallerIDNum", "") or found.get("DestConnectedLineNum", ""))
            call = self._calls[id_] = _Call(caller, _known(found.get("CallerIDName", "")), now)
            while len(self._calls) > self._most:
                self._calls.popitem(last=False)
        if found.get("DestChannel", "").startswith(_PROXY):
            return []
        receiver = _known(found.get("DestCallerIDNum", "")) or _extension(found.get("DialString", ""))
        if receiver in call.called:
            return []
        call.called.append(receiver)
        incoming = Notification(
            "IncomingCall",
            call.name or call.caller,
            now,
            self._numbers([call.caller]),
            self._numbers([receiver]),
        )
        return [incoming, PhoneState(call.caller, receiver, "ringing")]

    def _dialled(self, found: Mapping[str, str], now: float) -> list[Fact]:
        call = self._calls.get(_call_id(found))
        if call is None or call.answered is not None or found.get("DialStatus") != "ANSWER":
            return []
        if found.get("DestChannel", "").startswith(_PROXY):
            return []
        call.answered = now
        call.receiver = _known(found.get("DestCallerIDNum", "")) or (call.called[-1] if call.called else "")
        return [PhoneState(call.caller, call.receiver, "talking")]

    def _hangup(self, found: Mapping[str, str], now: float) -> list[Fact]:
        call = self._calls.pop(found.get("Uniqueid", ""), None)
        if call is None:
            return []
        answered = call.answered is not None
        receivers = [call.receiver] if answered else call.called
        over = Notification(
            "CallEnded" if answered else "CallMissed",
            call.name or call.caller,
            now,
            self._numbers([call.caller]),
            self._numbers(receivers),
            round(max(0.0, now - call.answered), 3) if call.answered is not None else None,
            found.get("Cause-txt", ""),
        )
        return [over, *(PhoneState(call.caller, receiver, "ended") for receiver in receivers)]

    def _member(self, found: Mapping[str, str], now: float) -> Notification:
        member = found.get("MemberName") or found.get("Interface", "")
        status = _MEMBER.get(found.get("Status", ""), "unknown")
        if found.get("Paused") == "1":
            status += ", paused"
        return Notification(
            "QueueMemberStatus",
            member,
            now,
            queue={"Name": found["Queue"], "Member": member, "Status": status},
        )

    def _summary(self, found: Mapping[str, str], now: float) -> list[Fact]:
        queue, callers, hold = found.get("Queue"), found.get("Callers", ""), found.get("HoldTime", "")
        if not queue or not _count(callers):
            return []
        if self._queues.get(queue) == (callers, hold):
            return []
        self._queues[queue] = (callers, hold)
        while len(self._queues) > self._most:
            self._queues.popitem(last=False)
        told: dict[str, Any] = {"Name": queue, "Calls": int(callers)}
        if _count(hold):
            told["HoldTime"] = int(hold)
        return [Notification("QueueSummary", queue, now, queue=told)]

    def _numbers(self, texts: list[str]) -> tuple[str, ...]:
        found = (self._plan.number(text) for text in texts)
        return tuple(number for number in found if number is not None)


def _call_id(found: Mapping[str, str]) -> str:
    """Return what the channels of one call share: the id of the first of them.

    A call that a script originates dials without a caller's channel; then the called one stands for it.
    """
    for key in ("Linkedid", "Uniqueid", "DestLinkedid", "DestUniqueid"):
        if found.get(key):
            return found[key]
    return ""


def _count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _known(text: str) -> str:
    """Return a number or name; Asterisk writes ``<unknown>`` for what it does not know."""
    return "" if text in ("<unknown>", "unknown") else text


def _extension(dialled: str) -> str:
    """Return what a dial string calls.

    ``PJSIP/201@trunk``, ``201@context`` and ``201/sip:201@192.0.2.1:5060``, as PJSIP writes it, mean 201.
    """
    who = dialled.rpartition("/")[2].partition("@")[0]
    return who.partition(":")[2] if who.startswith(("sip:", "sips:", "tel:")) else who


def fact_event(registry: SchemaRegistry, fact: Notification | PhoneState) -> Event:
    """Return the event of a fact.

    Raises:
        InvalidEvent: It holds text that the event cannot.
    """
    if isinstance(fact, PhoneState):
        return registry.from_dict(
            "PhoneStatus",
            {"CallerId": fact.caller, "ReceiverId": fact.receiver, "Status": fact.status},
        )
    return registry.from_dict(
        "AsteriskNotification",
        {
            "Type": fact.type,
            "Identity": fact.identity,
            "From": list(fact.caller),
            "To": list(fact.called),
            "Timestamp": round(fact.time, 3),
            "Duration": fact.duration,
            "Cause": fact.cause or None,
            "Queue": fact.queue,
        },
    )
