"""Collations: how strings are compared, sorted and searched, without the process's locale.

Three families (F&O 3.1, 5.3): the Unicode codepoint collation; the HTML ASCII case-insensitive one; and the
Unicode Collation Algorithm with the parameters of 5.3.4. The last works on the Default Unicode Collation
Element Table of Unicode 10 (the data file of pyuca; its code keeps only what ``strength=quaternary`` needs
and forgets which elements are variable, so the algorithm is here). No tailoring for languages is known:
``lang`` is honoured for languages whose order is the root's, for others the root stands in, or FOCH0002
with ``fallback=no``.

Nothing here sets, reads or locks the locale: a C library that lacks one must not stop a server. The table is
read once, on the first use of a UCA collation, in about 20 ms (``warm`` does it ahead).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urljoin, urlsplit

from clacks.xquery.errors import failure

__all__ = ["CODEPOINT", "HTML_ASCII", "UCA", "Collation", "find_collation", "warm"]

CODEPOINT = "http://www.w3.org/2005/xpath-functions/collation/codepoint"
HTML_ASCII = "http://www.w3.org/2005/xpath-functions/collation/html-ascii-case-insensitive"
UCA = "http://www.w3.org/2013/collation/UCA"

ASCII_FOLD = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

Element = tuple[int, int, int]

STRENGTHS = {
    "primary": 1, "1": 1, "secondary": 2, "2": 2, "tertiary": 3, "3": 3,
    "quaternary": 4, "4": 4, "identical": 5, "5": 5,
}  # fmt: skip
YES_NO = ("yes", "no")
PARAMETERS: dict[str, Sequence[str]] = {
    "fallback": YES_NO,
    "lang": (),
    "version": (),
    "strength": tuple(STRENGTHS),
    "maxVariable": ("space", "punct", "symbol", "currency"),
    "alternate": ("non-ignorable", "shifted", "blanked"),
    "backwards": YES_NO,
    "normalization": YES_NO,
    "caseLevel": YES_NO,
    "caseFirst": ("upper", "lower"),
    "numeric": YES_NO,
    "reorder": (),
}
"""Parameters of a UCA collation and their values; an empty tuple stands for free text."""

ROOT_LANGUAGES = frozenset({"en", "de", "fr", "it", "nl", "pt", "id", "ms", "ga", "sw", "zu", "lb", "root"})
"""Languages whose standard order is that of the root table."""

UPPER_TERTIARY = frozenset({0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0E, 0x11, 0x12, 0x1D})
"""Third weights of capital letters (UTS #10, table 5)."""


class Collation:
    """The codepoint collation, and what the others share.

    Attributes:
        uri: The URI that names it.
    """

    def __init__(self, uri: str = CODEPOINT) -> None:
        self.uri = uri

    def key(self, text: str) -> Any:
        """Return a value that is equal for equal strings and sorts as they do."""
        return text

    def compare(self, a: str, b: str) -> int:
        """Return -1, 0 or 1."""
        x, y = self.key(a), self.key(b)
        return 0 if x == y else -1 if x < y else 1

    def contains(self, text: str, part: str) -> bool:
        """Tell whether ``part`` occurs in ``text``."""
        return self.find(text, part) is not None

    def starts_with(self, text: str, part: str) -> bool:
        """Tell whether ``text`` begins with ``part``."""
        return text.startswith(part)

    def ends_with(self, text: str, part: str) -> bool:
        """Tell whether ``text`` ends with ``part``."""
        return text.endswith(part)

    def find(self, text: str, part: str) -> tuple[int, int] | None:
        """Return where ``part`` first occurs in ``text``, as start and end, or None."""
        start = text.find(part)
        return None if start < 0 else (start, start + len(part))


class HtmlAscii(Collation):
    """A to Z are equal to a to z, all else by code points."""

    def key(self, text: str) -> str:
        """Return the string in lower case, as far as ASCII goes."""
        return text.translate(ASCII_FOLD)

    def starts_with(self, text: str, part: str) -> bool:
        """Tell whether ``text`` begins with ``part``."""
        return self.key(text).startswith(self.key(part))

    def ends_with(self, text: str, part: str) -> bool:
        """Tell whether ``text`` ends with ``part``."""
        return self.key(text).endswith(self.key(part))

    def find(self, text: str, part: str) -> tuple[int, int] | None:
        """Return where ``part`` first occurs in ``text``."""
        return super().find(self.key(text), self.key(part))


class Unicode(Collation):
    """The Unicode Collation Algorithm."""

    def __init__(self, uri: str, options: dict[str, str]) -> None:
        super().__init__(uri)
        self.strength = STRENGTHS[options.get("strength", "tertiary")]
        self.alternate = options.get("alternate", "non-ignorable")
        self.limit = PARAMETERS["maxVariable"].index(options.get("maxVariable", "punct"))
        self.backwards = options.get("backwards") == "yes"
        self.numeric = options.get("numeric") == "yes"
        self.case_level = options.get("caseLevel") == "yes"
        self.case_first = options.get("caseFirst")
        self.table = table()

    def key(self, text: str) -> Any:
        """Return the sort key: one tuple of weights for each level."""
        elements = [element for element, _, _ in self.elements(text)]
        levels: list[Any] = [tuple(e[0] for e in elements if e[0])]
        if self.strength >= 2:
            second = [e[1] for e in elements if e[1]]
            levels.append(tuple(reversed(second) if self.backwards else second))
        if self.case_level:
            levels.append(tuple(self.case(e) for e in elements if e[0]))
        if self.strength >= 3:
            levels.append(tuple(self.third(e) for e in elements if e[2]))
        if self.strength >= 4 and self.alternate == "shifted":
            levels.append(tuple(self.fourth(text)))
        if self.strength >= 5:
            levels.append(unicodedata.normalize("NFD", text))
        return tuple(levels)

    def case(self, element: Element) -> int:
        """Return the weight of upper or lower case."""
        upper = element[2] in UPPER_TERTIARY
        return int(not upper) if self.case_first == "upper" else int(upper)

    def third(self, element: Element) -> int:
        """Return the third weight; with caseFirst, case comes before all else in it."""
        if self.case_first is None:
            return element[2]
        return self.case(element) * 0x100 + element[2]

    def fourth(self, text: str) -> list[int]:
        """Return the weights of the fourth level: variable elements by their first weight, others highest."""
        weights = []
        for (first, second, third), variable in self.raw(text):
            if variable:
                weights.append(first)
            elif first or second or third:
                weights.append(0xFFFF)
        return weights

    def raw(self, text: str) -> list[tuple[Element, bool]]:
        """Return all collation elements, each with a mark if it is variable."""
        return [(e, v) for e, v, _, _ in self.scan(text)]

    def elements(self, text: str) -> list[tuple[Element, int, int]]:
        """Return the elements that count, each with the part of the text it stands for."""
        found: list[tuple[Element, int, int]] = []
        after_variable = False
        ignore = self.alternate != "non-ignorable"
        for element, variable, start, end in self.scan(text):
            if ignore:
                # UTS #10, 3.6: what is variable does not count, nor do accents that follow it.
                if variable:
                    after_variable = True
                    continue
                if element[0]:
                    after_variable = False
                elif after_variable:
                    continue
            found.append((element, start, end))
        return found

    def scan(self, text: str) -> list[tuple[Element, bool, int, int]]:
        """Return the collation elements of a text with their places in it."""
        letters, places = decompose(text)
        lookup, longest = self.table.lookup, self.table.longest
        found: list[tuple[Element, bool, int, int]] = []
        index, count = 0, len(letters)
        while index < count:
            if self.numeric and letters[index].isdecimal():
                end = index + 1
                while end < count and letters[end].isdecimal():
                    end += 1
                start = places[index]
                stop = places[end - 1] + 1
                for element in self.table.number(letters[index:end]):
                    found.append((element, False, start, stop))
                index = end
                continue
            size = min(longest.get(letters[index], 1), count - index)
            while size > 1 and letters[index : index + size] not in lookup:
                size -= 1
            piece = letters[index : index + size]
            start, stop = places[index], places[index + size - 1] + 1
            variable = self.variable(piece)
            for element in self.table.weights(piece):
                # maxVariable may reach beyond what the table marks: all such characters sort before digits.
                found.append((element, variable and 0 < element[0] < self.table.first_digit, start, stop))
            index += size
        return found

    def variable(self, piece: str) -> bool:
        """Tell whether maxVariable reaches the kind of character that ``piece`` begins with."""
        category = unicodedata.category(piece[0])
        if category[0] in "ZC":
            return True
        if category[0] == "P":
            return self.limit >= 1
        return self.limit >= 2 if category != "Sc" else self.limit >= 3

    def units(self, text: str) -> list[tuple[Any, int, int]]:
        """Return what two strings are searched by: elements cut to the strength, those left empty dropped."""
        units = []
        for element, start, end in self.elements(text):
            unit = tuple(element[: min(self.strength, 3)])
            if any(unit):
                units.append((unit, start, end))
        return units

    def starts_with(self, text: str, part: str) -> bool:
        """Tell whether the text's elements begin with the part's."""
        wanted = [unit for unit, _, _ in self.units(part)]
        return [unit for unit, _, _ in self.units(text)[: len(wanted)]] == wanted

    def ends_with(self, text: str, part: str) -> bool:
        """Tell whether the text's elements end with the part's."""
        wanted = [unit for unit, _, _ in self.units(part)]
        if not wanted:
            return True
        return [unit for unit, _, _ in self.units(text)[-len(wanted) :]] == wanted

    def find(self, text: str, part: str) -> tuple[int, int] | None:
        """Return the first and shortest part of the text whose elements are the part's (F&O 3.1, 5.5)."""
        wanted = [unit for unit, _, _ in self.units(part)]
        if not wanted:
            return (0, 0)
        units = self.units(text)
        have = [unit for unit, _, _ in units]
        for start in range(find_all(have, wanted), len(have) - len(wanted) + 1):
            if have[start : start + len(wanted)] == wanted:
                return units[start][1], units[start + len(wanted) - 1][2]
        return None


def find_all(have: list[Any], wanted: list[Any]) -> int:
    """Return where ``wanted`` may begin first: the place of its first unit, or past the end."""
    try:
        return have.index(wanted[0])
    except ValueError:
        return len(have)


def decompose(text: str) -> tuple[str, list[int]]:
    """Return NFD and, for each of its characters, the place in ``text`` it came from."""
    if text.isascii():
        return text, list(range(len(text)))
    pieces: list[str] = []
    places: list[int] = []
    index, count = 0, len(text)
    while index < count:
        end = index + 1
        while end < count and unicodedata.combining(text[end]):
            end += 1
        piece = unicodedata.normalize("NFD", text[index:end])
        pieces.append(piece)
        places.extend(min(index + offset, end - 1) for offset in range(len(piece)))
        if len(piece) > end - index:
            # A composed character: its accents belong to the same place.
            places[-len(piece) :] = [index] * (len(piece) - (end - index - 1)) + list(range(index + 1, end))
        index = end
    return "".join(pieces), places


class Table:
    """The collation element table, its elements read when they are first wanted."""

    LINE = re.compile(r"^([0-9A-F ]+?) *; (\[[^#\n]*)", re.M)
    ELEMENT = re.compile(r"\[[.*]([0-9A-F]{4})\.([0-9A-F]{4})\.([0-9A-F]{4})")

    def __init__(self, text: str) -> None:
        self.lookup: dict[str, str] = {}
        self.longest: dict[str, int] = {}
        for codes, elements in self.LINE.findall(text):
            if len(codes) < 6 or " " not in codes:
                self.lookup[chr(int(codes, 16))] = elements
            else:
                letters = "".join(chr(int(code, 16)) for code in codes.split())
                self.lookup[letters] = elements
                first = letters[0]
                self.longest[first] = max(self.longest.get(first, 1), len(letters))
        self.known: dict[str, tuple[Element, ...]] = {}
        self.first_digit = self.weights("0")[0][0]

    def weights(self, letters: str) -> tuple[Element, ...]:
        """Return the elements of an entry."""
        known = self.known.get(letters)
        if known is None:
            entry = self.lookup.get(letters)
            if entry is None:
                known = implicit(ord(letters[0]))
            else:
                known = tuple((int(a, 16), int(b, 16), int(c, 16)) for a, b, c in self.ELEMENT.findall(entry))
            self.known[sys.intern(letters)] = known
        return known

    def number(self, digits: str) -> list[Element]:
        """Return elements that sort a run of digits by its value: how long it is, then the digits."""
        plain = "".join(str(unicodedata.decimal(d)) for d in digits).lstrip("0") or "0"
        return [self.weights("0")[0], (len(plain), 0, 0), *((int(d) + 1, 0, 0) for d in plain)]


def implicit(code: int) -> tuple[Element, Element]:
    """Return the weights of a character that the table does not list (UTS #10, 10.1.3)."""
    if 0x4E00 <= code <= 0x9FFF or 0xFA0E <= code <= 0xFA29:
        base = 0xFB40
    elif 0x3400 <= code <= 0x4DBF or 0x20000 <= code <= 0x323AF:
        base = 0xFB80
    else:
        base = 0xFBC0
    return (base + (code >> 15), 0x20, 2), ((code & 0x7FFF) | 0x8000, 0, 0)


@lru_cache(maxsize=1)
def table() -> Table:
    """Read the collation element table."""
    return Table((files("pyuca") / "allkeys-10.0.0.txt").read_text("utf-8"))


def warm() -> None:
    """Read the table of the Unicode Collation Algorithm now instead of at its first use."""
    table()


def uca_options(uri: str) -> dict[str, str]:
    """Read the parameters of a UCA collation URI; FOCH0002 if ``fallback=no`` and one is not supported."""
    pairs = [p.partition("=") for p in urlsplit(uri).query.split(";") if p]
    strict = any(name == "fallback" and value == "no" for name, _, value in pairs)
    options: dict[str, str] = {}
    for name, _, value in pairs:
        allowed = PARAMETERS.get(name)
        fits = allowed is not None and (not allowed or value in allowed)
        if name == "lang":
            fits = value.replace("_", "-").split("-")[0].lower() in ROOT_LANGUAGES and value != "fr-CA"
        elif name == "version":
            fits = re.fullmatch(r"[0-9]+(\.[0-9]+)*", value) is not None and int(value.split(".")[0]) <= 10
        elif name == "reorder":
            fits = False
        if fits:
            options[name] = value
        elif strict:
            raise failure("FOCH0002", f"collation {uri!r}: {name}={value} is not supported")
    return options


@lru_cache(maxsize=256)
def known(uri: str) -> Collation:
    """Return the collation of an absolute URI."""
    if uri == CODEPOINT:
        return Collation()
    if uri == HTML_ASCII:
        return HtmlAscii(uri)
    if uri == UCA or uri.startswith(UCA + "?"):
        return Unicode(uri, uca_options(uri))
    raise failure("FOCH0002", f"collation {uri!r} is not supported")


def find_collation(uri: str, base: str | None = None) -> Collation:
    """Return the collation that a URI names; a relative one is taken against ``base``.

    Raises:
        QueryEvaluationError: FOCH0002 if it is not supported.
    """
    if uri == CODEPOINT:
        return CODEPOINT_COLLATION
    if base and not urlsplit(uri).scheme:
        uri = urljoin(base, uri)
    return known(uri)


CODEPOINT_COLLATION = Collation()
