"""The table of features by broker: what it shows, and that the page in the docs is one that a run wrote."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.brokers.distributions import DISTRIBUTIONS
from tests.contract.table import BROKERS, FEATURES, Results, table

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "brokers" / "features.md"


def test_every_feature_is_shown_by_tests_that_exist() -> None:
    written = "".join(file.read_text("utf-8") for file in HERE.glob("test_*.py"))
    tests = set(re.findall(r"^(?:async )?def (test_\w+)", written, re.MULTILINE))
    assert {test for shown in FEATURES.values() for test in shown} <= tests


def test_a_feature_holds_only_if_all_its_tests_passed() -> None:
    tests = ("test_a", "test_b")
    results = Results()
    results.note("x.py::test_a[artemis]@artemis", "passed", [], "")
    assert results.cell(tests, "artemis") == "not run"
    results.note("x.py::test_b[artemis-more]", "passed", [("cell", "in its own way")], "")
    assert results.cell(tests, "artemis") == "in its own way"
    results.note("x.py::test_a[artemis]", "failed", [], "")
    results.note("x.py::test_a[artemis]", "passed", [], "")
    assert results.cell(tests, "artemis") == "no"
    assert results.cell(tests, "rabbitmq") == "not run"


def test_a_broker_that_was_left_out_is_named_with_the_reason() -> None:
    results = Results()
    results.note("x.py::test_a[activemq]", "skipped", [], "left out: Maven Central did not answer")
    assert "- activemq was not run: left out: Maven Central did not answer" in table(results)


def test_the_page_has_every_feature_and_the_versions_that_are_pinned() -> None:
    page = PAGE.read_text("utf-8")
    assert re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)[0:] == list(FEATURES)
    assert all(title in page for title in BROKERS.values())
    assert all(one.version in page for one in DISTRIBUTIONS.values())
    assert "not run" not in page
