"""A short form of the fuzzing: the same few inputs at every run. ``make fuzz`` is the long one."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.mutation import LARGEST, mutate
from tests.fuzz.targets import TARGETS


@pytest.mark.slow
@pytest.mark.net
@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_does_no_harm(name: str) -> None:
    target = TARGETS[name]
    report = fuzz(name, count=target.short, seed=20)
    assert not report.finding, f"{report.finding}\n{report.data!r}"
    assert report.inputs == target.short


def test_the_same_number_gives_the_same_inputs() -> None:
    def inputs(seed: int) -> list[bytes]:
        chance = random.Random(seed)
        return [mutate([b"hello", b"world"], [b"word"], chance) for _ in range(200)]

    assert inputs(1) == inputs(1) != inputs(2)
    assert max(map(len, inputs(3))) <= LARGEST


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [("raise ValueError('found')", "ValueError: found"), ("os.abort()", "ended with -6")],
    ids=["an exception", "an abort"],
)
def test_what_goes_wrong_is_reported_with_its_input(
    monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    monkeypatch.setenv("CLACKS_FUZZ_FAULT", how)
    report = fuzz("fault", count=50, seed=1)
    assert words in report.finding
    assert b"fault" in report.data
    assert report.inputs < 50
