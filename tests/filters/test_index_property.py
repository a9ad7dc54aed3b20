"""The index may only give the answer that evaluating each query by itself gives."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clacks.common.errors import QueryError
from clacks.common.xmltext import read_document
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query, wrap
from tests.filters.generation import events, properties, queries

# The ordinary run takes the same cases every time; a number given here goes looking for new ones.
CASES = os.environ.get("CLACKS_FILTER_CASES")


def alone(text: str, document: object, variables: dict[str, object]) -> bool:
    try:
        return compile_query(text).matches(document, variables)
    except QueryError:
        return False


@pytest.mark.slow
@settings(
    max_examples=int(CASES or 500),
    derandomize=CASES is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    texts=st.lists(queries(), min_size=1, max_size=12),
    documents=st.lists(st.tuples(events(), properties()), min_size=1, max_size=3),
    gone=st.sets(st.integers(0, 11)),
)
def test_index_answers_as_the_engine_does(
    texts: list[str], documents: list[tuple[bytes, dict[str, object]]], gone: set[int]
) -> None:
    index = FilterIndex()
    for key, text in enumerate(texts):
        index.add(key, text)
    for key in gone & set(range(len(texts))):
        index.remove(key)
    for data, variables in documents:
        root, _ = read_document(data)
        shared = wrap(root)
        expected = {
            key for key, text in enumerate(texts) if key not in gone and alone(text, shared, variables)
        }
        found = index.match(root, variables)
        wrong = {key: texts[key] for key in expected ^ found}
        assert not wrong, (data, variables, wrong, [index.explain(key) for key in wrong])
