"""What a query asks of a document, in a form that an index can read.

`clacks.xquery.analysis` reads a compiled query into this small language; whoever wants to know what a query
can match (a filter index, ``--explain``) reads it from here and never sees a token of the parser. It is a
subset of XQuery with the same meaning, the same order of evaluation and the same errors, restricted to what
filters say: paths, comparisons, boolean logic, quantifiers, a few dozen functions. Everything else is
`Opaque`, and an expression that holds an `Opaque` can only be evaluated by the engine.

All values are immutable and hashable: two queries that ask the same have equal conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Final
from weakref import WeakValueDictionary

__all__ = [
    "ANY",
    "And",
    "Arithmetic",
    "Call",
    "Compare",
    "Condition",
    "Filter",
    "For",
    "Head",
    "If",
    "Literal",
    "NameTest",
    "Opaque",
    "Or",
    "Path",
    "Property",
    "Quantified",
    "Sequence",
    "Step",
    "is_exact",
    "parts",
]

ANY = "*"
"""Stands for every namespace or every local name in a `NameTest`."""


def _common(one: str, other: str) -> str | None:
    if one in (ANY, other):
        return other
    return one if other == ANY else None


@dataclass(frozen=True, slots=True)
class NameTest:
    """Which elements or attributes a step takes; `ANY` for a wildcard.

    Attributes:
        tag: The name as lxml writes it: ``{uri}local``, ``local``, ``{uri}*``, ``{*}local``, ``*``.
    """

    namespace: str
    local: str
    tag: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tag = self.local
        if (self.namespace, self.local) != (ANY, ANY) and (self.namespace or self.local == ANY):
            tag = f"{{{self.namespace}}}{self.local}"
        object.__setattr__(self, "tag", tag)

    @property
    def exact(self) -> bool:
        """Whether it takes one name only."""
        return self.namespace != ANY and self.local != ANY

    def both(self, other: NameTest) -> NameTest | None:
        """Return the test that takes what this and ``other`` take, None if that is nothing."""
        namespace = _common(self.namespace, other.namespace)
        local = _common(self.local, other.local)
        return None if namespace is None or local is None else NameTest(namespace, local)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path.

    Attributes:
        axis: ``child``, ``descendant``, ``descendant-or-self``, ``self``, ``attribute``, ``parent``,
            ``ancestor``, ``ancestor-or-self``, ``following-sibling`` or ``preceding-sibling``.
        test: A `NameTest`, or ``text()``, ``node()``. On ``descendant-or-self``, ``node()`` stands for the
            document and all elements: such a step only comes before one to children or attributes.
        predicates: Conditions that a node must fulfil, in order; an int is a position, -1 is ``last()``. One
            that may be a number, or speaks of positions, is wrapped in a `Call` named ``at``.
    """

    axis: str
    test: NameTest | str
    predicates: tuple[Condition | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: str, int, Decimal, float or bool stand for string, integer, decimal, double and boolean.

    ``kind`` keeps equal Python values of different types apart (1, 1.0 and True are equal to Python).
    """

    value: str | int | Decimal | float | bool
    kind: str

    @staticmethod
    def of(value: str | int | Decimal | float | bool) -> Literal:
        """Return the literal for a Python value."""
        return Literal(value, type(value).__name__)


@dataclass(frozen=True, slots=True)
class Property:
    """An external variable: a property of the message.

    Attributes:
        name: The local name, or ``{uri}local``.
        default: The value if the message lacks the property; None: that is an error.
    """

    name: str
    default: Condition | None = None


class Head:
    """The steps before the first predicate of paths that begin at the document node."""

    __slots__ = ("__weakref__", "flat", "steps")

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.flat = all(step.axis in ("child", "attribute", "self") for step in steps)
        """Whether they find no node inside another."""

    @staticmethod
    def of(steps: tuple[Step, ...]) -> Head:
        """Return the one head of these steps, as long as a path has it."""
        return _HEADS.get(steps) or _HEADS.setdefault(steps, Head(steps))


_HEADS: Final[WeakValueDictionary[tuple[Step, ...], Head]] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Path:
    """A path of steps; the nodes in document order without doubles.

    Attributes:
        origin: ``/`` for the document node, ``.`` for the context item, or the name of a variable that a
            `For` or `Quantified` around it binds (made unique by a number: ``x#1``).
        steps: The steps; none means the origin itself.
        head: Stands for the steps before the first predicate, the same object for the same steps: what they
            find is found once for an event, and looked up without comparing steps. None if there are none or
            they do not begin at the document node.
        rest: The steps behind the head.
    """

    origin: str
    steps: tuple[Step, ...]
    head: Head | None = field(init=False, repr=False, compare=False)
    rest: tuple[Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = 0
        if self.origin == "/":
            count = next((n for n, step in enumerate(self.steps) if step.predicates), len(self.steps))
        object.__setattr__(self, "head", Head.of(self.steps[:count]) if count else None)
        object.__setattr__(self, "rest", self.steps[count:])


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison: general (``=`` ``!=`` ``<`` ``<=`` ...) or of values (``eq`` ``ne`` ``lt`` ...)."""

    operator: str
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``+`` ``-`` ``*`` ``div`` ``idiv`` ``mod``, or the sign ``neg`` (right is then the empty sequence)."""

    operator: str
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All parts in turn, by their effective boolean value; the first false one ends it."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any part, in turn; the first true one ends it."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the library by its usual name (``contains``, ``xs:double``), context made explicit.

    Operators that are functions in all but their spelling are calls as well: ``to``, ``union``, ``except``,
    ``intersect``, ``castable`` and ``cast`` (value, name of the type), ``instance``, ``treat`` and
    ``convert`` (value, sequence type), ``?`` (container, key), ``?*`` (container), ``apply`` (function,
    argument), ``same`` (operands of a switch). ``ordered`` gives nodes in document order without doubles,
    ``evaluate`` is true if its argument is no error, ``at`` is a predicate that may be a position.
    """

    name: str
    arguments: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """``source[predicate]`` on a sequence as a whole: ``(//a)[1]``, ``tokenize(.)[. = 'x']``."""

    source: Condition
    predicate: Condition | int


@dataclass(frozen=True, slots=True)
class Quantified:
    """``some`` (or ``every``, if ``universal``) ``$variable in source satisfies condition``."""

    universal: bool
    variable: str
    source: Condition
    condition: Condition


@dataclass(frozen=True, slots=True)
class For:
    """``for $variable in source return body``."""

    variable: str
    source: Condition
    body: Condition


@dataclass(frozen=True, slots=True)
class If:
    """``if (test) then then_part else else_part``; a ``where`` is one with an empty else."""

    test: Condition
    then_part: Condition
    else_part: Condition


@dataclass(frozen=True, slots=True)
class Sequence:
    """The items of all parts, one behind the other; no parts: the empty sequence."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """An expression that is not understood here.

    Attributes:
        reason: What it is, for people.
    """

    reason: str


Condition = (
    Literal
    | Property
    | Path
    | Compare
    | Arithmetic
    | And
    | Or
    | Call
    | Filter
    | Quantified
    | For
    | If
    | Sequence
    | Opaque
)


def parts(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions directly inside this one, those in the predicates of a path included."""
    if isinstance(condition, Path):
        for step in condition.steps:
            for predicate in step.predicates:
                if not isinstance(predicate, int):
                    yield predicate
        return
    for each in fields(condition):
        value = getattr(condition, each.name)
        if isinstance(value, tuple):
            yield from value
        elif value is not None and not isinstance(value, str | int | float | Decimal | bool):
            yield value


def is_exact(condition: Condition) -> bool:
    """Tell whether nothing in it is left to the engine."""
    return not isinstance(condition, Opaque) and all(is_exact(part) for part in parts(condition))
