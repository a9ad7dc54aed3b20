"""The dashboard in ``contrib/grafana`` asks for numbers that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clacks.common.metric_names import METRICS, MetricKind, shown_name

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "contrib" / "grafana" / "clacks.json").read_text("utf-8")
)
SHOWN = {shown_name(name): name for name in METRICS}


def queries() -> Iterator[tuple[str, str, str]]:
    """Yield panel, query and legend."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def known(name: str) -> str | None:
    """Return our own name of what a query names, or None if there is none."""
    if name in SHOWN:
        return SHOWN[name]
    base = SHOWN.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return base if base is not None and METRICS[base].kind is MetricKind.HISTOGRAM else None


@pytest.mark.parametrize(("title", "query", "legend"), list(queries()))
def test_a_query_names_what_is_measured_and_its_labels(title: str, query: str, legend: str) -> None:
    names = re.findall(r"\bclacks_\w+", query)
    assert names or "process_" in query, title
    labels = {"part", "job", "instance", "le"}
    for name in names:
        ours = known(name)
        assert ours is not None, f"{title}: {name}"
        labels |= set(METRICS[ours].labels)
        # Only of what grows there is a rate, and of what grows only the rate says something.
        grows = METRICS[ours].kind is not MetricKind.GAUGE
        assert (f"rate({name}" in query) == grows, f"{title}: {name}"
    used = {one.strip() for by in re.findall(r"by \(([^)]*)\)", query) for one in by.split(",")}
    used |= set(re.findall(r"[{,](\w+)(?:=~|!=|=)", query)) | set(re.findall(r"{{(\w+)}}", legend))
    assert used <= labels, title
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
