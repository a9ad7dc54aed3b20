from __future__ import annotations

import random
from itertools import islice

import pytest

from tests.filters.grid import disagreements, queries, table


@pytest.mark.slow
def test_index_and_engine_agree_on_operators_and_functions_with_operands_of_every_kind() -> None:
    some = random.Random(11).sample(list(table()), 500)
    assert list(disagreements([*some, *islice(queries(11), 150)])) == []


@pytest.mark.soak
def test_they_agree_on_all_of_them_and_on_twenty_thousand_that_are_drawn() -> None:
    assert list(disagreements([*table(), *islice(queries(12), 20_000)])) == []
