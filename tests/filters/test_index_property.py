"""The index may only give the answer that evaluating each query by itself gives; SaxonC gives it, too."""

from __future__ import annotations

import pytest

from tests.filters import proof


@pytest.mark.slow
def test_index_answers_as_the_engine_and_saxon_do() -> None:
    """The ordinary run takes the same cases every time; CI and soak take others."""
    counts = proof.run(0, 500)
    assert counts["cases"] >= 500
    # Cases that are all false or all errors would prove little.
    assert counts["engine says true"] > counts["cases"] // 4
    assert counts["engine says false"] > counts["cases"] // 4
    assert counts["exact"] > 10 * (counts["partly indexed"] + counts["not indexed"])


@pytest.mark.soak
def test_index_answers_as_the_engine_and_saxon_do_for_many_cases() -> None:
    counts = proof.prove(200_000, first=100_000)
    assert counts["cases"] >= 200_000
