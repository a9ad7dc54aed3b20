"""Reads regular expressions of XPath and writes them out again for an engine.

What the grammar (F&O 3.1, 5.6.1; XSD 1.1 part 2, appendix G) does not allow is FORX0002, so no construct of
an engine's own ever gets through. Character class subtraction, ``\\i``, ``\\c``, blocks, and
case-insensitive classes become explicit ranges.
"""

from __future__ import annotations

import re

from clacks.xquery.budget import exceeded
from clacks.xquery.character_classes import (
    NATIVE,
    NATIVE_CATEGORIES,
    Range,
    Ranges,
    complement,
    folded,
    minus,
    multi_ranges,
    named,
    native_ranges,
    union,
)
from clacks.xquery.errors import failure

__all__ = ["META", "Source", "without_space"]

RE2_REPEAT = 1000
MOST_REPEATS = 100_000
MOST_POSITIONS = 1_000_000
SINGLE_ESCAPES = {c: c for c in r"\|.?*+(){}-[]^$"} | {"n": "\n", "r": "\r", "t": "\t"}
META = frozenset(".?*+{}()[]|^$\\")
QUANTIFIER = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
SPACE = frozenset(" \t\r\n")


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
        """Make the error at the character that was reached."""
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
