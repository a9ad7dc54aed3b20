"""Each row of the threat model names tests, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    # The table at the end counts what fuzzing did.
    for line in PAGE.partition("\n## Fuzzing\n")[0].splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| What somebody"))
]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_there_is_a_table() -> None:
    assert len(ROWS) > 50
    assert all(len(row) == 3 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_row_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row[2])
    assert named
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == row[2]
    for file, name in named:
        assert (ROOT / file).is_file(), file
        assert name in names_in(file), f"{file} has no {name}"
