"""Paths in one form: steps that only name or filter the nodes before them are taken into those steps.

Queries that ask the same in other words get equal conditions this way, and facts are read from one form only.
"""

from __future__ import annotations

from dataclasses import replace

from clacks.xquery.conditions import ANY, Call, Compare, Condition, Literal, NameTest, Opaque, Path, Step

__all__ = ["is_inner", "may_count", "merged", "normal", "union"]


def is_inner(start: Condition) -> bool:
    """Tell whether a path ends in the step that ``//`` stands for, and so has to go on."""
    if isinstance(start, Call) and start.name == "union":
        return any(map(is_inner, start.arguments))
    return (
        isinstance(start, Path)
        and bool(start.steps)
        and start.steps[-1] == Step("descendant-or-self", "node()")
    )


def may_count(predicate: Condition | int) -> bool:
    """Tell whether a predicate may look at positions."""
    return isinstance(predicate, int) or (isinstance(predicate, Call) and predicate.name == "at")


def union(found: list[Condition]) -> Condition:
    """Return the union of some conditions that give nodes, unions among them taken apart."""
    for part in found:
        if isinstance(part, Opaque):
            return part
    flat: list[Condition] = []
    for part in found:
        flat.extend(part.arguments if isinstance(part, Call) and part.name == "union" else (part,))
    return Call("union", tuple(flat))


def merged(step: Step) -> Step:
    """Return the step with leading predicates that only name the node taken into its test.

    ``*[self::f:A]`` is ``f:A``, and ``*[local-name() = 'A']`` is ``*:A``.
    """
    while isinstance(step.test, NameTest) and step.predicates:
        named = _named(step.predicates[0]) if step.axis != "attribute" else None
        if named is None:
            break
        both = step.test.both(named)
        if both is None:
            break
        step = Step(step.axis, both, step.predicates[1:])
    return step


def _named(predicate: Condition | int) -> NameTest | None:
    if isinstance(predicate, Path) and predicate.origin == "." and len(predicate.steps) == 1:
        (step,) = predicate.steps
        if step.axis == "self" and isinstance(step.test, NameTest) and not step.predicates:
            return step.test
    if (
        isinstance(predicate, Compare)
        and predicate.operator in ("=", "eq")
        and predicate.left == Call("local-name", (Path(".", ()),))
        and isinstance(predicate.right, Literal)
        and isinstance(predicate.right.value, str)
        and predicate.right.value not in ("", ANY)
    ):
        return NameTest(ANY, predicate.right.value)
    return None


def normal(path: Path) -> Path:
    """Return the path with steps to ``self::node()`` taken into the steps before them.

    Their predicates do not count, so ``a/self::node()[p]``, which is what ``$a[p]`` says, is ``a[p]``.
    """
    steps: list[Step] = []
    for step in path.steps:
        if step.axis != "self" or step.test != "node()" or any(map(may_count, step.predicates)):
            steps.append(step)
        elif step.predicates:
            if steps and steps[-1] != Step("descendant-or-self", "node()"):
                last = steps.pop()
                steps.append(merged(replace(last, predicates=(*last.predicates, *step.predicates))))
            else:
                steps.append(step)
    return replace(path, steps=tuple(steps))
