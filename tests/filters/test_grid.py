from __future__ import annotations

import pytest

from tests.filters.grid import disagreements


@pytest.mark.slow
def test_index_and_engine_agree_on_operators_and_functions_with_operands_of_every_kind() -> None:
    assert list(disagreements(seed=11, total=300)) == []


@pytest.mark.soak
def test_they_agree_on_twenty_thousand_of_them() -> None:
    assert list(disagreements(seed=12, total=20_000)) == []
