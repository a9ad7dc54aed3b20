"""Classes of characters as sorted ranges of code points: categories, blocks, the escapes of XSD, and cases.

The Unicode data are elementpath's; what RE2 and ``regex`` know by name is written by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from elementpath.regex import RegexError, unicode_subset

from clacks.xquery.errors import failure

__all__ = [
    "HIGHEST",
    "NATIVE",
    "NATIVE_CATEGORIES",
    "Range",
    "Ranges",
    "complement",
    "folded",
    "minus",
    "multi_ranges",
    "named",
    "native_ranges",
    "union",
]

Range = tuple[int, int]
Ranges = list[Range]

HIGHEST = 0x10FFFF
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


def native_ranges(name: str) -> Ranges:
    """Return the characters of a name that engines know."""
    for letter, written in NATIVE.items():
        if name == written:
            return multi_ranges(letter)
    ranges = list(named(name[3:-1]))
    return ranges if name[1] == "p" else complement(ranges)
