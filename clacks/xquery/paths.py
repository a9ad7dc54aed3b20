"""Path expressions: steps along axes, predicates, ``/``, ``//``, ``!``.

A ``step`` has an axis, a test and its predicates as items; ``/`` has its two operands. ``a//b`` is a path
through ``descendant-or-self::node()``, made one ``descendant`` step where no predicate can count positions.

Results are in document order and without doubles. Sorting is left out where the order is known: the steps
from one node, and child or attribute steps from nodes of which none is inside another (``peers``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery import hot
from clacks.xquery.axes import (
    AXES,
    BELOW,
    KEEP_PEERS,
    REVERSE,
    SIBLINGS,
    SORTING,
    in_document_order,
)
from clacks.xquery.conversion import atomize_one, describe
from clacks.xquery.errors import failure
from clacks.xquery.names import TOKENS_BY_ROLE, Name
from clacks.xquery.nodes import Node, expanded
from clacks.xquery.operators import EMPTY
from clacks.xquery.predicates import filtered, is_condition, may_count, picked
from clacks.xquery.sequence_types import EXACT, KindTest, NameTest
from clacks.xquery.tokens import TOKENS, Expression, keyword, token
from clacks.xquery.tree import TreeDocument, TreeElement, named_descendants
from clacks.xquery.types_parser import KIND_TESTS, parse_kind_test

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["Filter", "Path", "Root", "Step", "path_result"]


ANY_NAME = NameTest(None, None)
GROWN = (TreeDocument, TreeElement)


@token("step")
class Step(Expression):
    """One step: axis, test, and predicates as items.

    Attributes:
        axis: Name of the axis.
        test: What nodes must be (a ``KindTest``; a plain name is one with a kind and a name).
        simple_name: The expanded name if the test is a plain name, else None.
        peers: Whether it yields nodes of which none is inside another, given such nodes.
    """

    label = "step"
    axis = "child"
    test: KindTest
    simple_name: str | None = None
    peers = True
    backward = False
    pick: Callable[[Step, Any, Context], list[Any]]

    def begin(self, name: Name) -> Step:
        """Become a step on a name, an axis, or a kind test."""
        following_symbol = self.parser.next_token.symbol
        if following_symbol == "::" and not name.is_wildcard and name.uri is None:
            return self.along(name)
        return self.to("child", self.name_test(name, "element"))

    def along(self, name: Name) -> Step:
        """Parse ``axis::test``."""
        parser = self.parser
        axis = name.value
        if axis not in AXES:
            raise name.wrong("XPST0003", f"there is no axis {axis!r}")
        parser.advance("::")
        return self.to(axis, self.node_test("attribute" if axis == "attribute" else "element"))

    def node_test(self, kind: str) -> KindTest:
        """Parse a name test or a kind test; ``kind`` is what names stand for on this axis."""
        parser = self.parser
        found = parser.next_token
        if found.symbol == "*":
            parser.advance()
            return KindTest(kind, NameTest(None, None))
        if found.symbol != "(name)":
            raise parser.unexpected(found, "a name or a kind test")
        parser.advance()
        if parser.next_token.symbol == "(":
            if found.uri is not None or found.value not in KIND_TESTS:
                raise parser.unexpected(parser.next_token, "a kind test")
            return parse_kind_test(parser, found)
        return self.name_test(found, kind)

    def name_test(self, name: Name, kind: str) -> KindTest:
        """Make the test that a name stands for."""
        local: str | None = name.local
        namespace: str | None
        if name.uri is None and name.value.startswith("*:"):
            namespace = None
        else:
            namespace = name.find_namespace(self.parser.static.element_namespace if kind == "element" else "")
        if local == "*":
            local = None
        return KindTest(kind, NameTest(namespace, local))

    def to(self, axis: str, test: KindTest) -> Step:
        """Set axis and test."""
        self.axis = axis
        self.test = test
        name = test.name
        if (
            name is not None
            and name.local is not None
            and name.namespace is not None
            and test.annotation is None
            and test.content is None
        ):
            self.simple_name = expanded(name.namespace, name.local)
        self.peers = axis in KEEP_PEERS
        self.backward = axis in REVERSE
        if axis in BELOW:
            named = axis == "descendant" and self.simple_name is not None and test.kind == "element"
            self.pick = pick_named_below if named else pick_below
        elif axis == "child" and self.simple_name is not None:
            self.pick = pick_named_children
        else:
            self.pick = pick_along
        return self

    def nud(self) -> Any:
        """Refuse: steps are made by names."""
        raise self.unexpected_here()

    def run(self, ctx: Context) -> Sequence[Any]:
        """Go from the context item."""
        item = ctx.item
        if item is None:
            raise failure("XPDY0002", "there is no context item")
        if not isinstance(item, Node):
            raise failure("XPTY0020", f"the context item is no node but {describe(item)}")
        return self.from_node(item, ctx)

    def from_node(self, node: Any, ctx: Context) -> Sequence[Any]:
        """Go from a node; the result is in document order."""
        predicates = self._items
        if not predicates:
            found: Sequence[Any] = self.pick(self, node, ctx)
        else:
            near = nearest(self, node, ctx) if self.axis in SIBLINGS else None
            if near is not None:
                found, predicates = near, predicates[1:]
            else:
                found = self.pick(self, node, ctx)
            for predicate in predicates:
                found = filtered(found, predicate, ctx)
        return found[::-1] if self.backward else found

    @property
    def counts(self) -> bool:
        """Tell whether a predicate may look at positions."""
        return any(may_count(predicate) for predicate in self._items)


def nearest(step: Step, node: Any, ctx: Context) -> list[Any] | None:
    """Return the sibling at the place that the first predicate of a step says, without going further; None if
    the predicate is no integer that is the same for all siblings.
    """
    first = step._items[0]
    if not first.ignores_focus:
        return None
    try:
        value = first.run(ctx)
    except QueryBudgetExceeded:
        raise
    except QueryError:
        return None  # without any sibling it is no error
    if len(value) != 1 or not isinstance(value[0], int) or type(value[0]) is bool:
        return None
    left = value[0]
    matches, meter = step.test.matches, ctx.execution.meter
    for seen, sibling in enumerate(SIBLINGS[step.axis](node), 1):
        if matches(sibling):
            left -= 1
            if left == 0:
                meter.step(seen)
                return [sibling]
        if seen % 256 == 0:
            meter.step(256)
    return []


def pick_named_children(step: Step, node: Any, ctx: Context) -> list[Any]:
    """Return the children with the name of a step."""
    meter = ctx.execution.meter
    children = node.grown(meter.step)
    meter.left -= len(children) + 1
    if meter.left < meter.look_at:
        meter.check()
    name, kind = step.simple_name, step.test.kind
    return [n for n in children if n.name == name and n.kind == kind]


def pick_named_below(step: Step, node: Any, ctx: Context) -> list[Any]:
    """Return the elements below with the name of a step."""
    name = step.simple_name
    if type(node) in GROWN and name is not None:
        meter = ctx.execution.meter
        meter.step(1)
        found: list[Any] = named_descendants(node, name, meter.step)
        return found
    below = AXES[step.axis](node, ctx.execution.meter.step)
    return [n for n in below if n.name == name and n.kind == "element"]


def pick_below(step: Step, node: Any, ctx: Context) -> list[Any]:
    """Return the nodes below, or the node and those below, that a step's test takes."""
    matches = step.test.matches
    return [n for n in AXES[step.axis](node, ctx.execution.meter.step) if matches(n)]


def pick_along(step: Step, node: Any, ctx: Context) -> list[Any]:
    """Return the nodes along an axis that a step's test takes, in the order of the axis."""
    candidates = AXES[step.axis](node, ctx.execution.meter.step)
    ctx.execution.meter.step(len(candidates) + 1)
    name = step.simple_name
    if name is not None:
        kind = step.test.kind
        return [n for n in candidates if n.name == name and n.kind == kind]
    test = step.test
    if test.name == ANY_NAME and test.annotation is None and test.content is None:
        kind = test.kind
        return [n for n in candidates if n.kind == kind]
    matches = test.matches
    return [n for n in candidates if matches(n)]


@keyword("node", "(")
@keyword("text", "(")
@keyword("comment", "(")
@keyword("element", "(")
@keyword("attribute", "(")
@keyword("document-node", "(")
@keyword("processing-instruction", "(")
@keyword("namespace-node", "(")
@keyword("schema-element", "(")
@keyword("schema-attribute", "(")
class KindStep(Step):
    """A step that is a kind test without an axis."""

    symbol = "step"

    def nud(self) -> Any:
        """Parse the kind test; attribute tests go along the attribute axis."""
        test = parse_kind_test(self.parser, self)
        if test.kind == "namespace":
            raise self.wrong("XQST0134", "the namespace axis is not supported")
        return self.to("attribute" if test.kind == "attribute" else "child", test)


@token("@")
class AttributeStep(Step):
    """``@name``."""

    symbol = "step"

    def nud(self) -> Any:
        """Parse the test."""
        return self.to("attribute", self.node_test("attribute"))


@token("..")
class ParentStep(Step):
    """``..``."""

    symbol = "step"

    def nud(self) -> Any:
        """Become ``parent::node()``."""
        return self.to("parent", KindTest())


@token(".")
class ContextItem(Expression):
    """The context item."""

    peers = True

    def nud(self) -> Any:
        """Take nothing."""
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the context item; XPDY0002 if it is absent."""
        if ctx.item is None:
            raise failure("XPDY0002", "there is no context item")
        return [ctx.item]


@token("root")
class Root(Expression):
    """The lone ``/``: the root of the context item's tree, which must be a document."""

    peers = True

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the document node."""
        item = ctx.item
        if item is None:
            raise failure("XPDY0002", "there is no context item")
        if not isinstance(item, Node):
            raise failure("XPTY0020", f"the context item is no node but {describe(item)}")
        root = item.root_node
        if root.kind != "document":
            raise failure("XPDY0050", "the tree of the context item has no document node")
        return [root]


STEP_START = frozenset(
    [
        "(name)",
        "*",
        "@",
        "..",
        ".",
        "(",
        "$",
        "(string)",
        "(integer)",
        "(decimal)",
        "(double)",
        "<",
        "[",
        "?",
        "%",
        "``[",
        "(#",
    ]
)


@token("/", "//", lbp=75)
class Path(Expression):
    """``left/right``: right is evaluated with each node of left as the context item."""

    peers = False

    def nud(self) -> Any:
        """Parse a path from the root."""
        parser = self.parser
        if parser.min_bp > 75:
            raise self.unexpected_here()
        root = Root.at(self)
        if self.symbol == "/" and parser.next_token.symbol not in STEP_START:
            return root
        return self.joined(root)

    def led(self, left: Any) -> Any:
        """Parse the step after a slash."""
        return self.joined(left)

    def joined(self, left: Any) -> Any:
        """Parse the right operand and make the path."""
        parser = self.parser
        if parser.next_token.symbol not in STEP_START:
            raise parser.unexpected(parser.next_token, "a step")
        double = self.symbol == "//"
        right = parser.expression(75)
        if double:
            if isinstance(right, Step) and right.axis == "child" and not right.counts:
                right.to("descendant", right.test)
            else:
                between = Step.at(self).to("descendant-or-self", KindTest())
                left = SLASH.at(self).over(left, between)
        return SLASH.at(self).over(left, right)

    def over(self, left: Any, right: Any) -> Any:
        """Take the operands."""
        self._items = [left, right]
        self.peers = getattr(left, "peers", False) and isinstance(right, Step) and right.peers
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate."""
        left, right = self._items
        nodes = left.run(ctx)
        if isinstance(right, Step):
            if len(nodes) == 1:
                node = nodes[0]
                if not isinstance(node, Node):
                    raise failure("XPTY0019", f"a path goes from nodes, found {describe(node)}")
                return right.from_node(node, ctx)
            found: list[Any] = []
            for node in nodes:
                if not isinstance(node, Node):
                    raise failure("XPTY0019", f"a path goes from nodes, found {describe(node)}")
                found.extend(right.from_node(node, ctx))
            if right.axis in KEEP_PEERS and getattr(left, "peers", False):
                return found
            ctx.execution.meter.step(SORTING * len(found))
            return in_document_order(found)
        return self.general(nodes, right, ctx)

    def general(self, nodes: Sequence[Any], right: Expression, ctx: Context) -> Sequence[Any]:
        """Evaluate a right operand that is not a step."""
        inner = ctx.focus(None, 0, len(nodes))
        found: list[Any] = []
        step = ctx.execution.meter.step
        run: Callable[[Any], Sequence[Any]] = right.run
        for place, node in enumerate(nodes, 1):
            if not isinstance(node, Node):
                raise failure("XPTY0019", f"a path goes from nodes, found {describe(node)}")
            inner.item = node
            inner.position = place
            if place == hot.OFTEN + 1:
                run = hot.hot_run(right, ctx.execution.meter)
            value = run(inner)
            step(1 + len(value))
            found.extend(value)
        return path_result(found)


def path_result(found: list[Any]) -> list[Any]:
    """Return what a path yields whose last step is any expression: nodes in order, or values as they are."""
    count = sum(1 for item in found if isinstance(item, Node))
    if count == 0:
        return found
    if count < len(found):
        raise failure("XPTY0018", "a path yields both nodes and other items")
    return in_document_order(found)


SLASH: Any = TOKENS["/"]


@token("!", lbp=72)
class SimpleMap(Expression):
    """``left ! right``: right for each item of left, in order."""

    def led(self, left: Any) -> Any:
        """Parse the right operand."""
        self._items = [left, self.parser.expression(72)]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate."""
        out: list[Any] = []
        for value in self.pieces(ctx):
            out.extend(value)
        return out

    def pieces(self, ctx: Context) -> Iterator[Sequence[Any]]:
        """Iterate over what right yields for each item of left."""
        left, right = self._items
        items = left.run(ctx)
        inner = ctx.focus(None, 0, len(items))
        meter = ctx.execution.meter
        code: hot.Rounds | None = None
        for place, item in enumerate(items, 1):
            if place == hot.OFTEN + 1:
                code = hot.hot_loop(self, [right], meter)
                if code is not None:
                    break
            inner.item = item
            inner.position = place
            value = right.run(inner)
            meter.left -= 1 + len(value)
            if meter.left < meter.look_at:
                meter.check()
            yield value
        if code is not None:
            for before, piece in hot.slices(items, hot.OFTEN):
                inner.position = before
                yield code(inner, piece, before)


@token("[", lbp=80)
class Filter(Expression):
    """``primary[predicate]``; items: primary and predicate. A step takes its predicates itself.

    Attributes:
        steady: Whether the predicate is the same for all items.
        comes_first: Whether it is a condition besides, and so looked at before the items.
    """

    peers = False

    def nud(self) -> Any:
        """Parse an array constructor."""
        return TOKENS_BY_ROLE["array"].at(self).begin()

    def led(self, left: Any) -> Any:
        """Parse the predicate."""
        predicate = self.parser.expression()
        self.parser.advance("]")
        if isinstance(left, Step):
            left._items.append(predicate)
            return left
        self._items = [left, predicate]
        self.peers = getattr(left, "peers", False)
        self.steady = predicate.ignores_focus
        self.comes_first = self.steady and is_condition(predicate)
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate."""
        left, predicate = self._items
        if self.comes_first:
            # Where it does not hold, nobody needs the items (2.3.4); if it fails, they decide.
            try:
                if not predicate.truth(ctx):
                    return EMPTY
            except QueryBudgetExceeded:
                raise
            except QueryError:
                if left.run(ctx):
                    raise
                return EMPTY
            found: Sequence[Any] = left.run(ctx)
            return found
        value = left.run(ctx)
        if self.steady and value:
            return picked(value, predicate.run(ctx))
        return filtered(value, predicate, ctx)

    def atom(self, ctx: Context) -> Any:
        """Return the one atomic value."""
        if self.steady:
            left, predicate = self._items
            value = left.run(ctx)
            if not value:
                return None
            wanted = predicate.run(ctx)
            if len(wanted) == 1 and type(wanted[0]) is int:
                place = wanted[0]
                if not 1 <= place <= len(value):
                    return None
                item = value[place - 1]
                return item if type(item) in EXACT else atomize_one([item])
            return atomize_one(picked(value, wanted))
        return atomize_one(self.run(ctx))


TOKENS_BY_ROLE["step"] = Step
