"""Filters as users write them: recognized, and answered as their authors expect."""

from __future__ import annotations

import pytest

from clacks.common.errors import QueryError
from clacks.common.schema import SchemaRegistry
from clacks.common.xmltext import read_document
from clacks.filters.index import FilterIndex
from clacks.xquery import compile_query, wrap
from tests.filters.corpus import CorpusEvent, events, explained, filters, share, table


@pytest.fixture(scope="module")
def index() -> FilterIndex:
    index = FilterIndex()
    for entry in filters():
        index.add(entry.id, entry.query)
    return index


def test_corpus_has_filters_for_every_event_type() -> None:
    assert len(filters()) >= 300
    registry = SchemaRegistry()
    assert {entry.kind for entry in filters()} == set(registry.kinds)
    assert len({entry.id for entry in filters()}) == len(filters())


def test_example_events_are_valid() -> None:
    registry = SchemaRegistry()
    for event in events():
        assert registry.receive(event.data).kind == event.kind


def test_nine_of_ten_filters_are_exact() -> None:
    assert share() >= 0.9, table()


@pytest.mark.slow
@pytest.mark.parametrize("event", events(), ids=lambda event: event.id)
def test_every_filter_answers_as_its_author_expects(event: CorpusEvent, index: FilterIndex) -> None:
    expected = {entry.id for entry in filters() if event.id in entry.matches}
    found = index.match(event.data, dict(event.properties))
    assert found - expected == set()
    assert expected - found == set()


@pytest.mark.slow
def test_engine_answers_as_the_authors_expect() -> None:
    documents = [(event.id, wrap(read_document(event.data)[0]), dict(event.properties)) for event in events()]
    for entry in filters():
        query = compile_query(entry.query)
        found = set()
        for name, document, variables in documents:
            try:
                if query.matches(document, variables):
                    found.add(name)
            except QueryError:
                pass
        assert found == entry.matches, entry.id


def test_event_types_of_a_filter_are_those_it_can_match() -> None:
    for entry, told in explained().items():
        if told.kinds is not None:
            assert {event.split(".")[0] for event in entry.matches} <= told.kinds, entry.id
