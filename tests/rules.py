"""Rules that hold for each file of a kind, checked folder by folder, and what they read of the files."""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ROOT", "holds_for_each", "nodes", "tree"]

ROOT = Path(__file__).parent.parent


@functools.cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text("utf-8"), str(file))


@functools.cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of it."""
    return tuple(ast.walk(tree(file)))


def holds_for_each(files: Iterable[Path]) -> Callable[[Callable[[Path], None]], Any]:
    """Make a test of each folder out of a check of one file; a failure tells of all that break the rule."""

    def folder(file: Path) -> str:
        return "/".join(file.relative_to(ROOT).parts[:2])

    groups = {name: list(found) for name, found in itertools.groupby(sorted(files, key=folder), key=folder)}

    def of_check(check: Callable[[Path], None]) -> Any:
        def test(place: str) -> None:
            wrong = []
            for file in groups[place]:
                try:
                    check(file)
                except AssertionError as error:
                    wrong.append(f"{file.relative_to(ROOT)}: {error}")
            assert not wrong, "\n".join(wrong)

        test.__name__ = check.__name__
        test.__doc__ = check.__doc__
        return pytest.mark.parametrize("place", groups)(test)

    return of_check
