"""What a query may cost, and the meter that counts it.

A meter is made for one run and asked from inside the run: by loops (``step``), by constructors (``nodes``),
by whatever makes strings (``text``), by function calls (``depth``) and by integer arithmetic
(``integer``). There is no thread, no signal and no clock of the process: the counters are plain integers,
and the clock is read once in a few hundred steps. So a bound on time holds only if no single step is long;
a function whose work grows with its input says so in steps (``work``) before it does it.

Time is the CPU time of the running thread. Wall time would fail innocent queries on a loaded machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

from clacks.common.errors import QueryBudgetExceeded

__all__ = [
    "BROKER_BUDGET",
    "BUDGET_CODE",
    "DEFAULT",
    "UNBOUNDED",
    "Meter",
    "QueryBudget",
    "exceeded",
    "small_cache",
]

BUDGET_CODE = "CLBG0001"
"""Code of ``QueryBudgetExceeded``: the W3C has none for it. try/catch never sees it."""

P = ParamSpec("P")
R = TypeVar("R")

LOOK = 256
"""Steps between two looks at the clock. A step takes 0.5 to 5 us."""

USUAL_LEVELS = 40
"""Function levels, some ten frames of Python each, for which every thread has room; deeper queries run in a
thread of their own (``depth.py``)."""

CHARACTERS_A_STEP = 256
"""Characters of a string that cost as much as one step: copying them takes about as long."""


@dataclass(frozen=True, slots=True)
class QueryBudget:
    """What one compilation or one run of a query may use.

    Attributes:
        steps: Evaluations of expressions and items passed on. 10^6 are about a second.
        nodes: Nodes constructed.
        string_bytes: Characters in all strings made during the run, counted as bytes of ASCII. The sum, not
            the longest: a sequence of strings fills memory as well as one.
        depth: Levels of function calls.
        integer_bits: Bits of one integer; beyond it arithmetic would spend seconds inside one operation.
        seconds: CPU time of the running thread.
    """

    steps: int = 1_000_000
    nodes: int = 100_000
    string_bytes: int = 4 * 1024 * 1024
    depth: int = 1000
    integer_bits: int = 4096
    seconds: float = 1.0


DEFAULT = QueryBudget()
"""What a query has of which nobody said anything."""

BROKER_BUDGET = QueryBudget(steps=100_000, seconds=0.02)
"""For queries of others inside a broker or gateway, where everybody waits for the answer."""

UNBOUNDED = QueryBudget(2**60, 2**60, 2**60, 1000, 2**20, 1e9)
"""For queries of one's own that may take as long as they need. Depth stays, the interpreter's stack ends."""


class Meter:
    """Counts down one run's budget; ``QueryBudgetExceeded`` when something is used up.

    The innermost loops take their steps themselves, as a call costs more than the step::

        meter.left -= 1
        if meter.left < meter.look_at:
            meter.check()

    Attributes:
        left: Steps that are left.
        look_at: Below so many it is time to look at the clock.
        depth: Level of function calls.
        deepest: The level that this thread has room for.
    """

    __slots__ = ("_clock", "_deadline", "_nodes", "_text", "budget", "deepest", "depth", "left", "look_at")

    def __init__(self, budget: QueryBudget = DEFAULT, clock: Callable[[], float] = time.thread_time) -> None:
        self.budget = budget
        self.depth = 0
        self._clock = clock
        self._deadline = clock() + budget.seconds
        self.left = budget.steps
        self.look_at = max(0, budget.steps - LOOK)
        self._nodes = budget.nodes
        self.deepest = min(budget.depth, USUAL_LEVELS)
        self._text = budget.string_bytes

    @property
    def steps(self) -> int:
        """Return the steps taken so far."""
        return self.budget.steps - self.left

    def step(self, n: int = 1) -> None:
        """Take ``n`` steps."""
        self.left -= n
        if self.left < self.look_at:
            self.check()

    def work(self, characters: int) -> None:
        """Take the steps that going once through so many characters costs."""
        self.left -= 1 + characters // CHARACTERS_A_STEP
        if self.left < self.look_at:
            self.check()

    def check(self) -> None:
        """Look whether steps or time are used up."""
        if self.left < 0:
            raise exceeded(f"more than {self.budget.steps} steps")
        if self._clock() > self._deadline:
            raise exceeded(f"more than {self.budget.seconds:g} s")
        self.look_at = max(0, self.left - LOOK)

    def look(self) -> None:
        """Look at the clock now: after something that may have taken long."""
        if self._clock() > self._deadline:
            raise exceeded(f"more than {self.budget.seconds:g} s")

    @property
    def seconds_left(self) -> float:
        """How long the run may still take. Another thread, whose clock is another, sets it anew."""
        return self._deadline - self._clock()

    @seconds_left.setter
    def seconds_left(self, seconds: float) -> None:
        self._deadline = self._clock() + seconds

    def nodes(self, n: int = 1) -> None:
        """Construct ``n`` nodes."""
        self._nodes -= n
        if self._nodes < 0:
            raise exceeded(f"more than {self.budget.nodes} nodes constructed")
        self.step(n)

    def text(self, n: int) -> None:
        """Make a string of ``n`` characters; call it before the string is made where its length is known."""
        self._text -= n
        if self._text < 0:
            raise exceeded(f"more than {self.budget.string_bytes} bytes of strings made")
        if n > CHARACTERS_A_STEP:
            self.work(n)

    def too_deep(self) -> QueryBudgetExceeded:
        """Make the error for more levels of function calls than the budget has."""
        return exceeded(f"more than {self.budget.depth} function calls inside one another")

    def go_deep(self) -> None:
        """Allow all the function levels of the budget: this thread has a stack for them."""
        self.deepest = self.budget.depth

    def integer(self, bits: int) -> None:
        """Make an integer of at most ``bits`` bits; call it before a product or power is computed."""
        if bits > self.budget.integer_bits:
            raise exceeded(f"an integer of more than {self.budget.integer_bits} bits")


def small_cache(call: Callable[P, R]) -> Callable[P, R]:
    """Remember the results of a function of texts, but not for long texts: a cache keeps no megabytes."""
    cached = lru_cache(maxsize=256)(call)

    @wraps(call)
    def choose(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0]
        if isinstance(first, str) and len(first) > 1000:
            return call(*args, **kwargs)
        return cached(*args, **kwargs)  # type: ignore[arg-type]

    return choose


def exceeded(what: str) -> QueryBudgetExceeded:
    """Make the error for a budget that is used up."""
    return QueryBudgetExceeded(BUDGET_CODE, f"the query wants {what}")
