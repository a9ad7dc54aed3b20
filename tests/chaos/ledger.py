"""What became of the events of a case: sent, delivered, dropped, unaccounted, doubled.

``dropped`` is what the processes that dropped say in their metrics, never computed from the others: what is
left over is ``unaccounted``, and has to be explained by a fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clacks.bus import Gap

__all__ = ["WINDOW", "Ledger", "Sent", "dropped_of"]

WINDOW = 1000
"""Events that one broken link may take with it: the credit of a receiver (`Limits.credit`)."""

BEFORE = 1.0
"""Seconds before a fault from which on events may be missing: what was on its way."""

# With nobody subscribed an event is gone, as promised; the broker counts that, too.
_DROPS = ("events_dropped", "messages_dropped", "events_unheard")


@dataclass(frozen=True, slots=True)
class Sent:
    """One event that ``publish`` was called with: its name, and when, in seconds since 1970."""

    name: str
    at: float


def dropped_of(snapshot: Mapping[str, int]) -> dict[str, int]:
    """Return what one process says that it dropped, by reason; ``snapshot`` is name{labels} -> count."""
    return {name: count for name, count in snapshot.items() if name.startswith(_DROPS) and count}


@dataclass
class Ledger:
    """The account of one case.

    Attributes:
        sent: What was published; ``consumers`` should each get all of it.
        received: For each consumer, the names it got, doubles included.
        dropped: For each process, what its metrics say.
        faults: From when to when the fault lasted, up to the reconnect, in seconds since 1970.
        gaps: For each consumer, the gaps that it reported.
    """

    case: str
    sent: list[Sent]
    received: list[list[str]]
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: list[tuple[float, float]] = field(default_factory=list)
    gaps: list[tuple[Gap, ...]] = field(default_factory=list)
    note: str = ""

    @property
    def wanted(self) -> int:
        """How many deliveries there should be."""
        return len(self.sent) * len(self.received)

    @property
    def delivered(self) -> int:
        """How many there were, each counted once."""
        return sum(len(set(names)) for names in self.received)

    @property
    def drops(self) -> int:
        """What all processes say that they dropped."""
        return sum(sum(reasons.values()) for reasons in self.dropped.values())

    @property
    def unaccounted(self) -> int:
        """What nobody says anything about."""
        return self.wanted - self.delivered - self.drops

    @property
    def doubled(self) -> int:
        """Deliveries of what had been delivered."""
        return sum(count - 1 for names in self.received for count in Counter(names).values())

    @property
    def missing(self) -> list[Sent]:
        """What some consumer did not get, for whatever reason."""
        got = [set(names) for names in self.received]
        return [one for one in self.sent if not all(one.name in names for names in got)]

    def line(self) -> str:
        """Return the case as a row of the table."""
        cells = (self.wanted, self.delivered, self.drops, self.unaccounted, self.doubled)
        return f"| {self.case} | " + " | ".join(f"{cell:,}" for cell in cells) + f" | {self.note} |"

    # -- what holds

    def check_all_accounted(self) -> None:
        """Nothing was lost in silence, nothing came twice."""
        assert self.doubled == 0, f"{self.line()} doubled"
        assert self.unaccounted == 0, f"{self.line()} {self.dropped}"

    def check_window(self, links: int = 1) -> None:
        """What is unaccounted fell into the fault, is at most a window for each link that broke and fault,
        and every consumer said so."""
        assert self.doubled == 0, f"{self.line()} doubled"
        assert 0 <= self.unaccounted <= WINDOW * links * max(1, len(self.faults)), self.line()
        stray = [one for one in self.missing if not self._covered(one.at, self.faults, BEFORE)]
        assert not stray, f"{self.line()} missing outside of the fault: {stray[:5]} {self.faults}"
        for names, gaps in zip(map(set, self.received), self.gaps, strict=True):
            spans = [(gap.start.timestamp(), gap.end.timestamp()) for gap in gaps]
            assert spans, f"{self.line()}: a consumer did not report a gap"
            # What it reports is what it lacks: the gap begins when the broker was last heard.
            lacks = [one for one in self.sent if one.name not in names]
            untold = [one for one in lacks if not self._covered(one.at, spans, BEFORE)]
            assert not untold, f"{self.line()} missing and not reported: {untold[:5]} {spans}"

    @staticmethod
    def _covered(at: float, spans: Iterable[tuple[float, float]], before: float) -> bool:
        return any(start - before <= at <= end for start, end in spans)
