"""Figures on the pages that can be counted again in a moment; what is measured has its command beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clacks.common.limits import DEFAULT_LIMITS
from tests.filters.corpus import filters, share

ROOT = Path(__file__).parents[2]
UNITS = {"KiB": 1024, "MiB": 1024**2}


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def number(text: str) -> float:
    """Return the number at the beginning of a text, in bytes if it says KiB or MiB."""
    found = re.match(r"([\d,.]+)(?: (KiB|MiB))?", text)
    assert found, text
    return float(found[1].replace(",", "")) * UNITS.get(found[2], 1)


def test_the_pages_count_the_w3c_tests_as_the_list_of_failing_ones_does() -> None:
    failing = [
        line
        for line in page("tests/conformance/failing.txt").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert all(len(line.split(maxsplit=1)) == 2 for line in failing), "each has its reason"
    (front,) = re.findall(r"\| ([\d,]+) of ([\d,]+) \|", page("README.md"))
    (reference,) = re.findall(r"([\d,]+) of ([\d,]+) pass, with", page("docs/reference/xquery.md"))
    assert front == reference
    assert number(front[1]) - number(front[0]) == len(failing)


@pytest.mark.slow
def test_the_guide_counts_the_filters_of_the_corpus_as_they_are() -> None:
    ((count, exact),) = re.findall(
        r"Of the (\d+) filters .*? ([\d.]+) % are exact", page("docs/howto/filtering.md")
    )
    assert int(count) == len(filters())
    assert float(exact) == round(100 * share(), 1)


def test_the_page_on_the_embedded_broker_has_the_limits_that_hold() -> None:
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", page("docs/brokers/embedded.md"), re.MULTILINE)
    shown = {
        name: number(value)
        for names, values in rows
        for name, value in zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True)
    }
    assert len(shown) >= 10
    assert shown == {name: getattr(DEFAULT_LIMITS, name) for name in shown}
