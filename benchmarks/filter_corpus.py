"""Filters and events as a busy site has them, for the benchmarks: the same ones at every run.

Every filter is an XPath 3.1 expression, so that elementpath can evaluate it too; `PROLOG` makes an XQuery
of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clacks.common.event_document import EVENTS_NS

__all__ = ["KINDS", "PROLOG", "Filter", "events", "filters", "large_event"]

PROLOG = f"declare namespace f='{EVENTS_NS}'; "

KINDS = (
    "AsteriskNotification",
    "ClientAnnounce",
    "CollectD",
    "JobStatus",
    "NodeStatus",
    "ObjectChanged",
    "PhoneStatus",
    "PuppetReport",
    "UserSession",
)
SHARES = {"type": 0.097, "equality": 0.50, "range": 0.20, "string": 0.15, "type only": 0.05}
"""What part of the filters is of which sort; the rest, 30 of 10,000, is not indexed at all."""

WORDS = ("disk", "full", "failed", "package", "service", "timeout", "certificate", "sync", "mount", "kernel")
LEVELS = ("debug", "info", "notice", "warning", "err", "crit")
STATES = ("WAITING", "RUNNING", "SUCCESS", "FAILED", "ABORTED")


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of the corpus.

    Attributes:
        sort: A key of `SHARES`, or ``not indexed``.
        expression: XPath 3.1 with the prefix ``f``.
    """

    sort: str
    expression: str

    @property
    def query(self) -> str:
        """The filter as XQuery."""
        return PROLOG + self.expression


# -- filters: functions from a source of chance to an expression

Make = Callable[[random.Random], str]


def _number(chance: random.Random) -> str:
    return f"+49{chance.randrange(10_000):07}"


def _host(chance: random.Random) -> str:
    return f"host{chance.randrange(3000)}.example.net"


def _word(chance: random.Random) -> str:
    return f"{chance.choice(WORDS)} {chance.randrange(100):02}"


TYPES: tuple[Make, ...] = (
    lambda c: f"let $e := ./f:Event return $e/f:{c.choice(KINDS)}",
    lambda c: f"/f:Event/f:{c.choice(KINDS)}",
    lambda c: f"exists(//f:{c.choice(KINDS)})",
    lambda c: f"f:Event/f:{c.choice(KINDS)} | f:Event/f:{c.choice(KINDS)}",
)
EQUALITIES: tuple[Make, ...] = (
    lambda c: f"let $e := ./f:Event return $e/f:PhoneStatus[f:CallerId = '{_number(c)}']",
    lambda c: f"./f:Event/f:PhoneStatus[f:ReceiverId = '{_number(c)}' and f:Status = 'busy']",
    lambda c: f"/f:Event/f:AsteriskNotification[f:Queue/f:Member = 'SIP/{c.randrange(2000)}']",
    lambda c: f"/f:Event/f:AsteriskNotification/f:From = ('{_number(c)}', '{_number(c)}')",
    lambda c: f"some $e in /f:Event/f:NodeStatus satisfies $e/f:Id eq '{_host(c)}'",
    lambda c: f"/f:Event/f:CollectD[f:Host = '{_host(c)}'][f:Plugin = 'cpu']",
    lambda c: f"/f:Event/f:CollectD[f:Host = '{_host(c)}' and f:TypeInstance = ('idle', 'user')]",
    lambda c: f"let $j := /f:Event/f:JobStatus return $j[f:Id = {c.randrange(5000)}]",
    lambda c: f"/f:Event/f:JobStatus[f:Owner = 'user{c.randrange(3000)}']/f:State = 'FAILED'",
    lambda c: f"/f:Event/f:PuppetReport[f:Id = '{_host(c)}']/f:PuppetLog/f:Level = ('err', 'crit')",
    lambda c: f"//f:UserSession/f:User/f:Name = 'user{c.randrange(3000)}'",
    lambda c: f"/f:Event/f:ObjectChanged[f:DN = 'cn=user{c.randrange(3000)},ou=people,dc=example,dc=net']",
    lambda c: f"/f:Event/f:ClientAnnounce//f:NetworkDevice/f:MAC = '00:16:3e:00:{c.randrange(256):02x}:01'",
)
RANGES: tuple[Make, ...] = (
    lambda c: f"/f:Event/f:NodeStatus/f:Load > {c.uniform(0.5, 4):.4f}",
    lambda c: f"/f:Event/f:NodeStatus[f:Latency >= {c.uniform(0.05, 1):.4f}]",
    lambda c: f"/f:Event/f:NodeStatus[f:Id = '{_host(c)}' and f:Load > {c.uniform(0, 4):.2f}]",
    lambda c: f"let $n := /f:Event/f:NodeStatus return $n/f:Workers < {c.randrange(1, 4)}",
    lambda c: f"/f:Event/f:AsteriskNotification[f:Duration > {c.randrange(60, 7200)}]",
    lambda c: f"/f:Event/f:AsteriskNotification/f:Queue[f:Calls > {c.randrange(5, 500)}]",
    lambda c: (lambda low: f"/f:Event/f:JobStatus/f:Progress/f:Percent[. >= {low} and . < {low + 2}]")(
        c.randrange(0, 98)
    ),
    lambda c: (lambda low: f"/f:Event/f:NodeStatus[{low} < f:Load and f:Load < {low + 0.05:.3f}]")(
        round(c.uniform(0, 4), 3)
    ),
)
STRINGS: tuple[Make, ...] = (
    lambda c: f"/f:Event/f:PhoneStatus[starts-with(f:CallerId, '+49{c.randrange(100_000):05}')]",
    lambda c: f"/f:Event/f:ObjectChanged[ends-with(f:DN, 'ou=unit{c.randrange(1000)},dc=example,dc=net')]",
    lambda c: f"/f:Event/f:PuppetReport/f:PuppetLog[contains(f:Message, '{_word(c)}')]",
    lambda c: f"/f:Event/f:CollectD[starts-with(f:Host, 'host{c.randrange(3000)}.')]",
    lambda c: f"/f:Event/f:JobStatus[f:Error[contains(., '{_word(c)}')]]",
    lambda c: f"/f:Event/f:ObjectChanged[matches(f:DN, '^cn=user{c.randrange(3000)},')]",
)
TYPE_ONLY: tuple[Make, ...] = (
    lambda c: f"/f:Event/f:NodeStatus[f:Load * {c.uniform(1, 9):.3f} > f:Workers]",
    lambda c: f"/f:Event/f:PhoneStatus[not(f:Status = ('s{c.randrange(100)}', 'busy', 'free'))]",
    lambda c: f"/f:Event/f:PhoneStatus[string-length(f:CallerId) > {c.randrange(12, 40)}]",
    lambda c: f"/f:Event/f:PuppetReport[count(f:PuppetLog) > {c.randrange(5, 100)}]",
    lambda c: f"/f:Event/f:UserSession[not(f:User/f:Name = 'user{c.randrange(3000)}')]",
    lambda c: f"/f:Event/f:CollectD[tokenize(f:Values, ' ')[{c.randrange(2, 5)}] = '{c.randrange(9)}']",
    lambda c: f"/f:Event/f:ClientAnnounce[every $d in .//f:Name satisfies $d != 'e{c.randrange(99)}']",
    lambda c: f"/f:Event/f:JobStatus[substring-after(f:Method, '.') = 'm{c.randrange(100)}']",
    lambda c: f"/f:Event/f:ObjectChanged[translate(f:ChangeType, 'EU', 'eu') = 't{c.randrange(100)}']",
)
NOT_INDEXED: tuple[Make, ...] = (
    lambda c: f"not(//f:Id = '{_host(c)}') and not(//f:CallerId) and not(//f:Host)",
    lambda c: f"string-join(//f:Level, ' ') = 'err err {c.choice(LEVELS)}'",
    lambda c: f"sum(//f:Calls) > {c.randrange(100, 1000)}",
    lambda c: f"distinct-values(//f:Name)[3] = 'user{c.randrange(100)}'",
    lambda c: f"for-each(//f:Host, function($h) {{ $h }}) = '{_host(c)}'",
)
_SORTS = {
    "type": TYPES,
    "equality": EQUALITIES,
    "range": RANGES,
    "string": STRINGS,
    "type only": TYPE_ONLY,
    "not indexed": NOT_INDEXED,
}


def filters(count: int, seed: int = 4) -> list[Filter]:
    """Return so many filters of all sorts, mixed; only those that want a whole type come twice."""
    chance = random.Random(seed)
    wanted = {sort: int(count * share) for sort, share in SHARES.items()}
    wanted["not indexed"] = count - sum(wanted.values())
    found = []
    for sort, number in wanted.items():
        makes, seen = _SORTS[sort], set[str]()
        for turn in range(number):
            for _ in range(100):
                expression = makes[turn % len(makes)](chance)
                if sort == "type" or expression not in seen:
                    break
            seen.add(expression)
            found.append(Filter(sort, expression))
    chance.shuffle(found)
    return found


# -- events


def _elements(**texts: object) -> str:
    return "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())


def _event(kind: str, chance: random.Random) -> str:
    if kind == "PhoneStatus":
        status = chance.choice(("busy", "free", "ringing"))
        return _elements(CallerId=_number(chance), ReceiverId=_number(chance), Status=status)
    if kind == "AsteriskNotification":
        queue = _elements(Name="hotline", Member=f"SIP/{chance.randrange(2000)}", Calls=chance.randrange(80))
        return _elements(
            Type="CallEnded",
            Identity="Jane Roe",
            From=_number(chance),
            To=_number(chance),
            Timestamp=1_700_000_000 + chance.randrange(10_000_000),
            Duration=chance.randrange(1200),
            Queue=queue,
        )
    if kind == "CollectD":
        values = " ".join(str(chance.randrange(100)) for _ in range(3))
        return _elements(
            Host=_host(chance),
            Plugin="cpu",
            Type="percent",
            TypeInstance=chance.choice(("idle", "user", "system")),
            Time=1_700_000_000 + chance.randrange(10_000_000),
            Interval=10,
            Values=values,
        )
    if kind == "NodeStatus":
        load = round(chance.expovariate(1.5), 3)
        latency = round(chance.expovariate(10), 4)
        return _elements(Id=_host(chance), Load=load, Latency=latency, Workers=chance.randrange(1, 33))
    if kind == "JobStatus":
        state = chance.choice(STATES)
        error = _elements(Error=f"{_word(chance)} and {_word(chance)}") if state == "FAILED" else ""
        head = _elements(
            Id=chance.randrange(5000),
            Method=f"pool.m{chance.randrange(200)}",
            Arguments="[]",
            State=state,
            Progress=_elements(Percent=round(chance.uniform(0, 100), 1)),
        )
        owner = f"user{chance.randrange(3000)}"
        return head + error + _elements(MessageIds="[]", Abortable="true", Transient="false", Owner=owner)
    if kind == "PuppetReport":
        logs = "".join(
            _elements(
                PuppetLog=_elements(
                    Timestamp=1_700_000_000 + chance.randrange(10_000_000),
                    Level=chance.choice(LEVELS),
                    Message=f"{_word(chance)}: {_word(chance)} on {_host(chance)}",
                )
            )
            for _ in range(chance.randrange(1, 8))
        )
        return _elements(Id=_host(chance)) + logs
    if kind == "UserSession":
        names = "".join(
            _elements(Name=f"user{chance.randrange(3000)}") for _ in range(chance.randrange(1, 4))
        )
        return _elements(Id=_host(chance), User=names)
    if kind == "ClientAnnounce":
        device = _elements(
            Name="eth0",
            IPAddress="192.0.2.7",
            IPv6Address="2001:db8::7",
            MAC=f"00:16:3e:00:{chance.randrange(256):02x}:01",
            Netmask="255.255.255.0",
            Broadcast="192.0.2.255",
        )
        inside = _elements(NetworkDevice=device)
        return _elements(NetworkInformation=inside, Id=_host(chance), Name=f"pc{chance.randrange(3000)}")
    unit = chance.randrange(1000)
    place = chance.choice(("ou=people", f"ou=unit{unit}"))
    return _elements(
        UUID=f"{chance.getrandbits(64):016x}",
        DN=f"cn=user{chance.randrange(3000)},{place},dc=example,dc=net",
        ModificationTime="20240101120000Z",
        ChangeType=chance.choice(("create", "update", "remove")),
    )


def events(count: int, seed: int = 5) -> Iterator[bytes]:
    """Yield so many events, every kind of `KINDS` as often as the others."""
    chance = random.Random(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield f"<Event xmlns='{EVENTS_NS}'>{_elements(**{kind: _event(kind, chance)})}</Event>".encode()


def large_event(size: int = 20_000, seed: int = 6) -> bytes:
    """Return a PuppetReport of about ``size`` bytes."""
    chance = random.Random(seed)
    logs, length = [], 0
    while length < size - 200:
        log = _elements(
            PuppetLog=_elements(
                Timestamp=1_700_000_000 + chance.randrange(10_000_000),
                Level=chance.choice(LEVELS[:3]),
                Message=f"{_word(chance)}: {_word(chance)} on {_host(chance)}: content changed "
                f"'{{md5}}{chance.getrandbits(128):032x}' to '{{md5}}{chance.getrandbits(128):032x}'",
                Source=f"/Stage[main]/Class{chance.randrange(100)}/File[/etc/{_word(chance)}]/content",
                File=f"/etc/puppetlabs/code/environments/production/modules/m{chance.randrange(30)}/init.pp",
                Line=chance.randrange(500),
            )
        )
        logs.append(log)
        length += len(log)
    report = _elements(Id=_host(chance)) + "".join(logs)
    return f"<Event xmlns='{EVENTS_NS}'><PuppetReport>{report}</PuppetReport></Event>".encode()
