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

XPath expressions are read here, by a parser of their own, and written out again for the engine: character
class subtraction, ``\\i``, ``\\c``, blocks, categories (Unicode data of elementpath where RE2 has no name
for them), and case-insensitive classes become explicit ranges. What the grammar does not allow is FORX0002,
so no construct of an engine's own ever gets through.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import re2
import regex
from elementpath.regex import RegexError, unicode_subset

from clacks.xquery.budget import Meter, exceeded, small_cache
from clacks.xquery.errors import failure

__all__ = ["Found", "Pattern", "compile_pattern", "expand_replacement"]

Range = tuple[int, int]
Ranges = list[Range]

HIGHEST = 0x10FFFF
RE2_MEMORY = 2 * 1024 * 1024
RE2_REPEAT = 1000
MOST_REPEATS = 100_000
MOST_POSITIONS = 1_000_000
POSITIONS_A_STEP = 10
"""Characters times positions that cost one step. RE2 takes 10 to 40 ns for one when it cannot keep its
table of states, so that the 100,000 steps of a broker are less than 50 ms in the worst case, a search that
cannot be interrupted."""

NAME_START: Ranges = [
    (0x3A, 0x3A), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2FF),
    (0x370, 0x37D), (0x37F, 0x1FFF), (0x200C, 0x200D), (0x2070, 0x218F), (0x2C00, 0x2FEF), (0x3001, 0xD7FF),
    (0xF900, 0xFDCF), (0xFDF0, 0xFFFD), (0x10000, 0xEFFFF),
]  # fmt: skip
NAME_MORE: Ranges = [(0x2D, 0x2E), (0x30, 0x39), (0xB7, 0xB7), (0x300, 0x36F), (0x203F, 0x2040)]

NATIVE = {
    "d": r"\p{Nd}", "D": r"\P{Nd}", "s": r" \t\n\r", "w": r"\p{L}\p{M}\p{N}\p{S}",
}  # fmt: skip
"""Escapes as the engines write them inside brackets. RE2's \\p{C} lacks unassigned characters, so no \\W."""

NATIVE_CATEGORIES = frozenset(
    re.findall(
        r"\w+",
        "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po Z Zs Zl Zp S Sm Sc Sk So Cc Cf Co",
    )
)
SINGLE_ESCAPES = {c: c for c in r"\|.?*+(){}-[]^$"} | {"n": "\n", "r": "\r", "t": "\t"}
META = frozenset(".?*+{}()[]|^$\\")
QUANTIFIER = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
SPACE = frozenset(" \t\r\n")


# Ranges: sorted, apart from each other.


def union(pieces: list[Range]) -> Ranges:
    """Sort ranges and join those that touch."""
    out: Ranges = []
    for low, high in sorted(pieces):
        if out and low <= out[-1][1] + 1:
            if high > out[-1][1]:
                out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return out


def complement(ranges: Ranges) -> Ranges:
    """Return all other characters."""
    out: Ranges = []
    at = 0
    for low, high in ranges:
        if low > at:
            out.append((at, low - 1))
        at = high + 1
    if at <= HIGHEST:
        out.append((at, HIGHEST))
    return out


def minus(a: Ranges, b: Ranges) -> Ranges:
    """Return the characters of ``a`` that are not in ``b``."""
    return complement(union(complement(a) + b))


@lru_cache(maxsize=512)
def named(name: str) -> tuple[Range, ...]:
    """Return the characters of a category or block."""
    try:
        points = unicode_subset(name).codepoints
    except RegexError:
        raise failure("FORX0002", f"no category or block is called {name!r}") from None
    return tuple(union([(p, p) if isinstance(p, int) else (p[0], p[1] - 1) for p in points]))


@lru_cache(maxsize=1)
def case_groups() -> dict[int, tuple[int, ...]]:
    """Return, for each character with case, the characters that are equal to it without case."""
    groups: dict[str, list[int]] = {}
    for code in range(0x41, 0x1E944):
        char = chr(code)
        low = char.lower()
        if low != char or char.upper() != char:
            groups.setdefault(char.upper().lower() if len(char.upper()) == 1 else low, []).append(code)
    return {code: tuple(group) for group in groups.values() if len(group) > 1 for code in group}


def cased_between(low: int, high: int) -> Iterable[int]:
    """Return the characters of a range, or only those with case if it is a large one."""
    if high - low < 1000:
        return range(low, high + 1)
    return (code for code in case_groups() if low <= code <= high)


def folded(ranges: Ranges) -> Ranges:
    """Add all case variants."""
    groups = case_groups()
    more = [
        (other, other)
        for low, high in ranges
        for code in cased_between(low, high)
        for other in groups.get(code, ())
    ]
    return union(ranges + more)


def multi_ranges(letter: str) -> Ranges:
    """Return the characters of a multi-character escape."""
    low = letter.lower()
    if low == "i":
        ranges = NAME_START
    elif low == "c":
        ranges = union(NAME_START + NAME_MORE)
    elif low == "s":
        ranges = [(9, 10), (13, 13), (32, 32)]
    elif low == "d":
        ranges = list(named("Nd"))
    else:
        ranges = complement(union([r for name in ("P", "Z", "C") for r in named(name)]))
    return ranges if letter == low else complement(ranges)


class Writer:
    """Writes characters for one engine."""

    def __init__(self, linear: bool) -> None:
        self.linear = linear

    def char(self, code: int) -> str:
        """Write a character so that it stands for itself, inside brackets and outside."""
        char = chr(code)
        if char.isascii() and char.isalnum():
            return char
        if self.linear:
            return f"\\x{{{code:X}}}"
        return f"\\U{code:08X}"

    def ranges(self, ranges: Ranges) -> str:
        """Write ranges for the inside of brackets."""
        return "".join(self.char(a) if a == b else f"{self.char(a)}-{self.char(b)}" for a, b in ranges)

    def klass(self, ranges: Ranges) -> str:
        """Write a class of its own; one that is empty matches nothing."""
        if not ranges:
            return r"[^\x00-\x{10FFFF}]" if self.linear else r"[^\U00000000-\U0010FFFF]"
        return f"[{self.ranges(ranges)}]"


class Source:
    """An expression being read and written out again. Without recursion: expressions may be deep."""

    def __init__(self, text: str, flags: str, linear: bool, tail_break: bool) -> None:
        self.text = text
        self.flags = flags
        self.fold = "i" in flags
        self.write = Writer(linear)
        self.linear = linear
        self.tail_break = tail_break
        self.at = 0
        self.groups = 0
        self.closed: set[int] = set()
        self.needs_backtracking = False
        self.out: list[str] = []

    def fail(self, reason: str) -> Exception:
        return failure(
            "FORX0002", f"regular expression {self.text[:80]!r}, character {self.at + 1}: {reason}"
        )

    def read(self) -> int:
        """Write the engine's form into ``out``; return the number of positions of the expression."""
        text, size = self.text, len(self.text)
        positions: list[int] = [0]
        starts: list[tuple[int, int]] = []  # of open groups: where in out, number of the group or 0
        out = self.out
        atom_start = -1  # where in out the last atom begins, -1 if there is none to repeat
        atom_size = 0
        while self.at < size:
            char = text[self.at]
            if char == "(":
                number = 0
                if text.startswith("(?:", self.at):
                    self.at += 3
                    starts.append((len(out), 0))
                    out.append("(?:")
                elif text.startswith("(?", self.at):
                    raise self.fail("(? is only allowed in (?:")
                else:
                    self.at += 1
                    self.groups += 1
                    number = self.groups
                    starts.append((len(out), number))
                    out.append("(")
                positions.append(0)
                atom_start = -1
            elif char == ")":
                if not starts:
                    raise self.fail("no parenthesis is open here")
                self.at += 1
                atom_start, number = starts.pop()
                self.closed.add(number)
                atom_size = positions.pop()
                positions[-1] += atom_size
                out.append(")")
            elif char == "|":
                self.at += 1
                out.append("|")
                atom_start = -1
            elif char in "?*+{":
                if atom_start < 0:
                    raise self.fail("nothing to repeat")
                most = self.quantifier(atom_start)
                positions[-1] += atom_size * (most - 1)
                if positions[-1] > MOST_POSITIONS:
                    raise exceeded("a regular expression of more than a million positions")
                atom_start = -1
            else:
                atom_start = len(out)
                atom_size = 1
                positions[-1] += 1
                self.atom(char)
        if starts:
            raise self.fail("a parenthesis is not closed")
        return positions[0]

    def quantifier(self, atom_start: int) -> int:
        """Read a quantifier; return how often it repeats at most, 2 standing for no limit."""
        char = self.text[self.at]
        most = 2
        if char == "{":
            match = QUANTIFIER.match(self.text, self.at)
            if match is None:
                raise self.fail("not a quantifier")
            self.at = match.end()
            if max(len(match[1]), len(match[3] or "")) > 7:
                raise exceeded(f"a regular expression with a repetition above {MOST_REPEATS}")
            low, high = int(match[1]), int(match[3]) if match[3] else None
            if high is not None and low > high:
                raise self.fail("the bounds of the quantifier are exchanged")
            most = max(low + 1 if match[2] and high is None else low, high or 0, 1)
            if most > MOST_REPEATS:
                raise exceeded(f"a regular expression with a repetition above {MOST_REPEATS}")
            if most > RE2_REPEAT:
                self.needs_backtracking = True
            written = match[0]
        else:
            self.at += 1
            written = char
            most = 1 if char == "?" else 2
        # The engines would take "^*" or a second quantifier in their own ways.
        self.out.insert(atom_start, "(?:")
        self.out.append(")" + written)
        if self.text[self.at : self.at + 1] == "?":
            self.at += 1
            self.out.append("?")
        return most

    def atom(self, char: str) -> None:
        """Read one atom that is no group."""
        out, write = self.out, self.write
        if char == "[":
            self.at += 1
            out.append(self.class_expression())
        elif char == "\\":
            self.escape()
        elif char == ".":
            self.at += 1
            out.append("(?s:.)" if "s" in self.flags else r"[^\n\r]")
        elif char in "^$":
            self.at += 1
            out.append(self.anchor(char))
        elif char in META:
            raise self.fail(f"{char!r} must be escaped")
        else:
            self.at += 1
            out.append(write.char(ord(char)))

    def anchor(self, char: str) -> str:
        """Write ``^`` or ``$``."""
        if "m" not in self.flags:
            return (r"\A" if char == "^" else r"\z") if self.linear else (r"\A" if char == "^" else r"\Z")
        if not self.tail_break:
            return f"(?m:{char})"
        # 5.6.2: with a line break at the very end, there is no line after it.
        self.needs_backtracking = True
        return r"(?:\A|(?<=\n)(?!\Z))" if char == "^" else r"(?=\n)"

    def escape(self) -> None:
        """Read an escape outside brackets."""
        self.at += 1
        if self.at >= len(self.text):
            raise self.fail("a backslash at the end")
        char = self.text[self.at]
        if char.isascii() and char.isdigit():
            self.reference()
            return
        if char in SINGLE_ESCAPES:
            self.at += 1
            self.out.append(self.write.char(ord(SINGLE_ESCAPES[char])))
            return
        native, ranges = self.multi_escape(char)
        written = f"[{native}]" if native is not None else self.write.klass(ranges)
        # 5.6.2: flag i does not change what a category or a multi-character escape matches.
        self.out.append(f"(?-i:{written})" if self.fold else written)

    def multi_escape(self, char: str) -> tuple[str | None, Ranges]:
        """Read a category, block or multi-character escape: its name for engines, or its characters."""
        if char in "pP":
            match = re.compile(r"\{([A-Za-z0-9-]+)\}").match(self.text, self.at + 1)
            if match is None:
                raise self.fail("a name in braces must follow \\p")
            self.at = match.end()
            name = match[1]
            if name in NATIVE_CATEGORIES:
                return f"\\{char}{{{name}}}", []
            ranges = list(named(name))
            return None, ranges if char == "p" else complement(ranges)
        if char not in "sSdDiIcCwW":
            raise self.fail(f"\\{char} is no escape")
        self.at += 1
        if char in NATIVE:
            return NATIVE[char], []
        return None, multi_ranges(char)

    def reference(self) -> None:
        """Read a back-reference."""
        digits = re.compile(r"[0-9]+").match(self.text, self.at)[0]  # type: ignore[index]
        taken = 1
        while taken < len(digits) and int(digits[: taken + 1]) <= self.groups:
            taken += 1
        number = int(digits[:taken])
        if number == 0 or number not in self.closed:
            raise self.fail(f"\\{digits} refers to no group that is complete here")
        self.at += taken
        self.needs_backtracking = True
        self.out.append(f"(?({number})\\{number}|)" if not self.linear else "")

    def class_expression(self) -> str:
        """Read a bracket expression, ``at`` being behind the bracket, and write it."""
        levels: list[tuple[bool, list[str], list[Range], list[Range]]] = []
        while True:
            negative = self.text.startswith("^", self.at)
            self.at += negative
            native, plain, unfolded, subtract = self.class_items()
            levels.append((negative, native, plain, unfolded))
            if not subtract:
                break
        for _ in levels[1:]:
            if not self.text.startswith("]", self.at):
                raise self.fail("a subtraction must come last in brackets")
            self.at += 1
        if len(levels) == 1 and not (self.fold and (native or unfolded)):
            inside = "".join(native) + self.write.ranges(union(plain + unfolded))
            return f"[{'^' if negative else ''}{inside}]"
        result: Ranges | None = None
        for negative, native, plain, unfolded in reversed(levels):
            items = folded(union(plain)) if self.fold else plain
            ranges = union(items + unfolded + [r for name in native for r in native_ranges(name)])
            if negative:
                ranges = complement(ranges)
            result = ranges if result is None else minus(ranges, result)
        assert result is not None
        written = self.write.klass(result)
        return f"(?-i:{written})" if self.fold else written

    def class_items(self) -> tuple[list[str], list[Range], list[Range], bool]:
        """Read what is inside brackets.

        Returns:
            Names for engines; characters and ranges; characters that flag i does not touch; whether a
            subtraction follows, ``at`` then being behind its bracket.
        """
        text, size = self.text, len(self.text)
        native: list[str] = []
        plain: list[Range] = []
        unfolded: list[Range] = []
        first = True
        while True:
            if self.at >= size:
                raise self.fail("the bracket is not closed")
            char = text[self.at]
            if char == "]":
                if first:
                    raise self.fail("nothing in brackets")
                self.at += 1
                return native, plain, unfolded, False
            if text.startswith("-[", self.at) and not first:
                self.at += 2
                return native, plain, unfolded, True
            if char == "[":
                raise self.fail("'[' must be escaped in brackets")
            before = text[self.at - 1]
            low = self.class_char(native, unfolded)
            if low is None:
                pass  # a hyphen after it is one: XSD 1.1 has no range from a class
            elif low == 0x2D and char == "-":
                if before == "-" and not first:
                    raise self.fail("'-' must be escaped here")
                plain.append((low, low))
            elif text.startswith("-", self.at) and text[self.at + 1 : self.at + 2] not in ("]", "["):
                self.at += 1
                mark = text[self.at : self.at + 1]
                high = None if mark == "" else self.class_char([], [])
                if high is None:
                    raise self.fail("a range needs a character on each side")
                if mark == "-" and text[self.at : self.at + 1] != "]":
                    raise self.fail("'-' must be escaped here")
                if high < low:
                    raise self.fail("the ends of the range are exchanged")
                plain.append((low, high))
            else:
                plain.append((low, low))
            first = False

    def class_char(self, native: list[str], unfolded: list[Range]) -> int | None:
        """Read one character or escape in brackets; None if it stands for several characters."""
        char = self.text[self.at]
        if char != "\\":
            self.at += 1
            return ord(char)
        self.at += 1
        if self.at >= len(self.text):
            raise self.fail("a backslash at the end")
        char = self.text[self.at]
        if char in SINGLE_ESCAPES:
            self.at += 1
            return ord(SINGLE_ESCAPES[char])
        if char.isdigit():
            raise self.fail("no back-reference in brackets")
        name, ranges = self.multi_escape(char)
        if name is not None:
            native.append(name)
        else:
            unfolded.extend(ranges)
        return None


def native_ranges(name: str) -> Ranges:
    """Return the characters of a name that engines know."""
    for letter, written in NATIVE.items():
        if name == written:
            return multi_ranges(letter)
    ranges = list(named(name[3:-1]))
    return ranges if name[1] == "p" else complement(ranges)


def without_space(text: str) -> str:
    """Drop whitespace outside brackets (flag x)."""
    out: list[str] = []
    depth = 0
    escaped = False
    for char in text:
        if char in SPACE and depth == 0:
            continue
        out.append(char)
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "[":
            depth += 1
        elif char == "]" and depth:
            depth -= 1
    return "".join(out)


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
        began = time.perf_counter()
        try:
            return self.engine.search(text, at, timeout=max(left, 0.001))
        except TimeoutError:
            raise exceeded(
                f"more than {time.perf_counter() - began:.3f} s for one regular expression"
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
