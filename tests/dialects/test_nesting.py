from __future__ import annotations

import json

import pytest

from clacks.dialects.nesting import too_deep


@pytest.mark.parametrize("bracket", ["[]", "{}"])
@pytest.mark.parametrize(("levels", "expected"), [(1, False), (20, False), (21, True), (900, True)])
def test_containers_are_counted_and_what_is_in_them_is_not(bracket: str, levels: int, expected: bool) -> None:
    inner = '"a":' if bracket == "{}" else ""
    text = (bracket[0] + inner) * levels + "1" + bracket[1] * levels
    assert too_deep(json.loads(text), 20) is expected


def test_the_deepest_of_many_counts() -> None:
    value: object = [1, {"a": [2, {"b": []}]}, "x"]
    assert too_deep(value, 4)
    assert not too_deep(value, 5)
