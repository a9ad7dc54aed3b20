from __future__ import annotations

import pytest

from clacks.common.event import Event
from clacks.common.presence import SPEAKERS, client_window, node_window, speaker_of
from clacks.common.schema import SchemaRegistry

REGISTRY = SchemaRegistry(plugins=False)


def leave(id_: str) -> Event:
    text = f"<Event xmlns='http://www.gonicus.de/Events'><NodeLeave><Id>{id_}</Id></NodeLeave></Event>"
    return REGISTRY.receive(text)


def test_windows_grow_with_those_who_answer() -> None:
    assert [node_window(n) for n in (0, 1, 100, 1000)] == [1.0, 1.0, 1.0, 10.0]
    assert [client_window(n) for n in (0, 10_000, 100_000)] == [10.0, 10.0, 100.0]


def test_every_event_of_a_node_or_client_names_its_speaker() -> None:
    assert set(REGISTRY.kinds) >= SPEAKERS
    for kind in SPEAKERS:
        assert "Id" in str(REGISTRY.documentation(kind)) or REGISTRY.annotations(kind).key == "Id"


@pytest.mark.parametrize("text", ["one", "", " one ", "a\nb"])
def test_the_speaker_is_named_as_the_document_has_it(text: str) -> None:
    assert speaker_of(leave(text)) == text


def test_the_name_cannot_be_hidden_by_a_comment_or_an_entity() -> None:
    assert speaker_of(leave("o<!-- x -->n&#101;<?y z?>")) == "one"


def test_other_events_with_an_id_have_no_speaker() -> None:
    assert speaker_of(REGISTRY.from_dict("SchedulerUpdate", {"Id": "one"})) is None
    assert speaker_of(REGISTRY.from_dict("ClientPoll", {})) is None
