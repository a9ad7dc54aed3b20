"""Regular expressions of XPath (F&O 3.1, 5.6; XSD 1.1 part 2, appendix G), bounded in time.

Which engine, and why. Python's ``re`` backtracks: ``^(a+)+$`` on 27 characters holds the process for
seconds, and nothing can interrupt it. RE2 (package google-re2) matches in time linear in the text whatever
the expression, with bounded memory; that is the only sound answer for expressions that strangers write, and
it is what runs nearly always. Its worst case is characters of text times positions of the expression, and
the meter is charged for that before the match begins.

Three things RE2 cannot do, and those run on the package ``regex`` with its time-out (it looks at the clock
while it backtracks): back-references; counted repetitions above 1,000 or too large for RE2's memory; and
``^`` or ``$`` with flag ``m`` on a text that ends in a line break, where XPath differs from everybody else.
The time-out is what is left of the query's seconds.

Expressions are read by a parser of their own and written out again for the engine (``regex_syntax``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import re2
import regex

from clacks.xquery.budget import Meter, exceeded, small_cache
from clacks.xquery.errors import failure
from clacks.xquery.regex_syntax import META, Source, without_space

__all__ = ["Found", "Pattern", "compile_pattern", "expand_replacement"]

RE2_MEMORY = 2 * 1024 * 1024
POSITIONS_A_STEP = 10
"""Characters times positions that cost one step. RE2 takes 10 to 40 ns for one when it cannot keep its
table of states, so that the 100,000 steps of a broker are less than 50 ms in the worst case, a search that
cannot be interrupted."""


class Found:
    """One match: places in the text for the whole (0) and each group, (-1, -1) where a group took no part."""

    __slots__ = ("spans",)

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self.spans = spans


class Pattern:
    """A compiled expression.

    Attributes:
        groups: Number of capturing groups.
        linear: True if RE2 runs it.
    """

    def __init__(self, text: str, flags: str, tail_break: bool) -> None:
        if "q" in flags:
            text = "".join("\\" + c if c in META else c for c in text)
        elif "x" in flags:
            text = without_space(text)
        source = Source(text, flags, True, tail_break)
        self.positions = max(1, source.read())
        self.groups = source.groups
        self.linear = not source.needs_backtracking
        self.engine: Any = None
        if self.linear:
            options = re2.Options()
            options.max_mem = RE2_MEMORY
            options.log_errors = False
            written = "".join(source.out)
            try:
                self.engine = re2.compile((f"(?i:{written})" if "i" in flags else written).encode(), options)
            except re2.error:
                # RE2 has no memory for it; the expression itself was found to be correct above.
                self.linear = False
        if not self.linear:
            source = Source(text, flags, False, tail_break)
            source.read()
            written = "".join(source.out)
            self.engine = regex.compile(
                f"(?i:{written})" if "i" in flags else written, regex.VERSION1 | regex.UNICODE
            )

    def charge(self, text: str, meter: Meter) -> None:
        """Charge the meter for the worst that one search in ``text`` may take."""
        meter.step(1 + len(text) * self.positions // POSITIONS_A_STEP if self.linear else 1 + len(text) // 64)

    def search(self, text: str, meter: Meter) -> bool:
        """Tell whether the expression matches somewhere in ``text``."""
        self.charge(text, meter)
        if self.linear:
            return self.engine.search(text.encode("utf-8", "surrogatepass")) is not None
        return self.timed(text, 0, meter) is not None

    def timed(self, text: str, at: int, meter: Meter) -> Any:
        """Search with the backtracking engine, for no longer than the query may run.

        The engine counts the CPU time of the whole process: threads that work outside the interpreter at the
        same moment shorten the time, nothing lengthens it.
        """
        left = meter.seconds_left
        if left <= 0:
            meter.look()
        try:
            return self.engine.search(text, at, timeout=max(left, 0.001))
        except TimeoutError:
            raise exceeded(
                f"more than {meter.budget.seconds:g} s, the last in a regular expression"
            ) from None

    def find_all(self, text: str, meter: Meter) -> Iterator[Found]:
        """Iterate over the matches from left to right; none may be empty."""
        self.charge(text, meter)
        if not self.linear:
            at = 0
            while (match := self.timed(text, at, meter)) is not None and match.end() > match.start():
                meter.step()
                yield Found([match.span(number) for number in range(self.groups + 1)])
                at = match.end()
            return
        data = text.encode("utf-8", "surrogatepass")
        plain = len(data) == len(text)
        at_bytes = at_chars = 0
        engine = self.engine
        while (match := engine.search(data, at_bytes)) is not None:
            # One search is linear, but all of them together may be quadratic.
            meter.step(4)
            meter.look()
            spans = [match.span(number) for number in range(self.groups + 1)]
            start, end = spans[0]
            if end == start:
                return
            if not plain:
                base_bytes, base_chars = at_bytes, at_chars
                at_chars += len(data[at_bytes:end].decode("utf-8", "surrogatepass"))
                spans = [
                    (
                        (
                            base_chars + len(data[base_bytes:a].decode("utf-8", "surrogatepass")),
                            base_chars + len(data[base_bytes:b].decode("utf-8", "surrogatepass")),
                        )
                        if a >= 0
                        else (-1, -1)
                    )
                    for a, b in spans
                ]
            at_bytes = end
            yield Found(spans)


@small_cache
def compiled(text: str, flags: str, tail_break: bool) -> Pattern:
    return Pattern(text, flags, tail_break)


def compile_pattern(text: str, flags: str, meter: Meter, subject: str = "") -> Pattern:
    """Compile an expression, or find it among those compiled lately.

    Args:
        text: The expression.
        flags: Letters of s, m, i, x, q.
        meter: Charged for compiling.
        subject: The text to be searched: with flag m it matters whether it ends in a line break.

    Raises:
        QueryEvaluationError: FORX0001 for a wrong flag, FORX0002 for a wrong expression.
        QueryBudgetExceeded: If the expression is too large.
    """
    for flag in flags:
        if flag not in "smixq":
            raise failure("FORX0001", f"{flag!r} is no flag of regular expressions")
    meter.step(1 + len(text) // 16)
    return compiled(text, "".join(sorted(set(flags))), "m" in flags and subject.endswith("\n"))


def expand_replacement(replacement: str, groups: int) -> list[str | int]:
    """Take a replacement string (F&O 3.1, 5.6.4) apart into literal text and numbers of groups.

    Raises:
        QueryEvaluationError: FORX0004 for a stray backslash or dollar sign.
    """
    parts: list[str | int] = []
    literal: list[str] = []
    at, size = 0, len(replacement)
    while at < size:
        char = replacement[at]
        at += 1
        if char == "\\":
            following = replacement[at : at + 1]
            if following not in ("\\", "$"):
                raise failure("FORX0004", f"in the replacement {replacement[:80]!r} a backslash stands alone")
            literal.append(following)
            at += 1
        elif char == "$":
            digits = re.compile("[0-9]+").match(replacement, at)
            if digits is None:
                raise failure("FORX0004", f"in the replacement {replacement[:80]!r} no number follows $")
            taken = 1
            while taken < len(digits[0]) and int(digits[0][: taken + 1]) <= groups:
                taken += 1
            at += taken
            if literal:
                parts.append("".join(literal))
                literal = []
            number = int(digits[0][:taken])
            if number <= groups:
                parts.append(number)
        else:
            literal.append(char)
    if literal:
        parts.append("".join(literal))
    return parts
