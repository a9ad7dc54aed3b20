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
    """What many filters ask: the steps with which paths begin, or a call that depends on such paths alone.

    It is one object for all that ask the same, so that its result can be kept during an event and is looked
    up without comparing steps.

    Attributes:
        steps: The steps of a path, without predicates; none for a call.
        flat: Whether the steps find no node inside another.
        absolute: Whether it begins at the document node; else the result depends on the context item.
    """

    __slots__ = ("__weakref__", "absolute", "flat", "steps")

    def __init__(self, absolute: bool, steps: tuple[Step, ...] = ()) -> None:
        self.absolute = absolute
        self.steps = steps
        self.flat = all(step.axis in ("child", "attribute", "self") for step in steps)

    @staticmethod
    def of(key: tuple[str, tuple[object, ...]], absolute: bool, steps: tuple[Step, ...] = ()) -> Head:
        """Return the one head of this key, as long as a condition has it."""
        return _HEADS.get(key) or _HEADS.setdefault(key, Head(absolute, steps))


_HEADS: Final[WeakValueDictionary[tuple[str, tuple[object, ...]], Head]] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Path:
    """A path of steps; the nodes in document order without doubles.

    Attributes:
        origin: ``/`` for the document node, ``.`` for the context item, or the name of a variable that a
            `For` or `Quantified` around it binds (made unique by a number: ``x#1``).
        steps: The steps; none means the origin itself.
        head: Stands for the steps up to the first that has predicates, which are left out. None if there are
            none, or they begin at a variable.
        tests: The predicates of the last step of the head, if none speaks of positions.
        rest: The steps behind the head.
    """

    origin: str
    steps: tuple[Step, ...]
    head: Head | None = field(init=False, repr=False, compare=False)
    tests: tuple[Condition, ...] = field(init=False, repr=False, compare=False)
    rest: tuple[Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps, count = self.steps, 0
        tests: tuple[Condition | int, ...] = ()
        if self.origin in ("/", "."):
            count = next((n for n, step in enumerate(steps) if step.predicates), len(steps))
        first = steps[:count]
        if (
            count < len(steps)
            and self.origin in ("/", ".")
            and not any(map(_counts, steps[count].predicates))
        ):
            tests = steps[count].predicates
            first = (*first, Step(steps[count].axis, steps[count].test))
            count += 1
        head = Head.of((self.origin, first), self.origin == "/", first) if first else None
        object.__setattr__(self, "head", head)
        object.__setattr__(self, "tests", tests)
        object.__setattr__(self, "rest", steps[count:])


def _counts(predicate: Condition | int) -> bool:
    return isinstance(predicate, int) or (isinstance(predicate, Call) and predicate.name == "at")


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

    Attributes:
        head: Stands for the call if its result depends on paths from the document node or the context item
            alone and filters often share it; else None.
    """

    name: str
    arguments: tuple[Condition, ...]
    head: Head | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        origins = _origins(self.arguments) if self.name in _SHARED else None
        head = Head.of((self.name, self.arguments), "." not in origins) if origins else None
        object.__setattr__(self, "head", head)


_SHARED: Final = frozenset(
    [
        *("count", "string", "number", "string-length", "normalize-space", "upper-case", "lower-case"),
        *("substring", "substring-before", "substring-after", "tokenize", "translate", "replace"),
        *("string-join", "distinct-values", "sum", "avg", "min", "max", "round", "floor", "ceiling", "abs"),
    ]
)
"""Functions that give something to compare; those that are true or false differ from filter to filter."""


def _origins(arguments: tuple[Condition, ...]) -> set[str] | None:
    """Return where paths of arguments begin; None if there is more than paths, literals and such calls."""
    found: set[str] = set()
    for argument in arguments:
        if isinstance(argument, Literal):
            continue
        if isinstance(argument, Path) and argument.head and not (argument.tests or argument.rest):
            found.add(argument.origin)
        elif isinstance(argument, Path) and argument.origin == "." and not argument.steps:
            found.add(".")
        elif isinstance(argument, Call) and argument.head:
            found.add("/" if argument.head.absolute else ".")
        else:
            return None
    return found


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
        if not each.init:
            continue
        value = getattr(condition, each.name)
        if isinstance(value, tuple):
            yield from value
        elif value is not None and not isinstance(value, str | int | float | Decimal | bool):
            yield value


def is_exact(condition: Condition) -> bool:
    """Tell whether nothing in it is left to the engine."""
    return not isinstance(condition, Opaque) and all(is_exact(part) for part in parts(condition))
