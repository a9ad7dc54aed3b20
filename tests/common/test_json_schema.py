from __future__ import annotations

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clacks.common.errors import InvalidEvent
from clacks.common.json_schema import json_schema
from clacks.common.schema import SchemaRegistry
from tests.common.instances import events

REGISTRY = SchemaRegistry()
SCHEMAS = {kind: json_schema(REGISTRY.model(kind)) for kind in sorted(REGISTRY.kinds)}


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_every_schema_is_a_json_schema(kind: str) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMAS[kind])
    assert SCHEMAS[kind]["title"] == kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SCHEMAS))
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_every_valid_event_is_valid_in_its_json_form(kind: str, data: st.DataObject) -> None:
    try:
        event = REGISTRY.event(data.draw(events(REGISTRY, kind)))
    except InvalidEvent:
        return
    jsonschema.Draft7Validator(SCHEMAS[kind]).validate(event.to_json())


@pytest.mark.parametrize(
    "content",
    [
        {"Id": "n", "Load": 0.1, "Latency": 0.1},
        {"Id": "n", "Load": "high", "Latency": 0.1, "Workers": 1},
        {"Id": "n", "Load": 0.1, "Latency": 0.1, "Workers": 1, "Extra": 1},
        {"Id": 7, "Load": 0.1, "Latency": 0.1, "Workers": 1},
    ],
)
def test_what_is_no_event_is_refused(content: dict[str, object]) -> None:
    jsonschema.Draft7Validator(SCHEMAS["NodeStatus"]).validate(
        {"Id": "n", "Load": 0.1, "Latency": "INF", "Workers": 1}
    )
    assert not jsonschema.Draft7Validator(SCHEMAS["NodeStatus"]).is_valid(content)
