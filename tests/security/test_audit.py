"""What ``make audit`` makes of answers, and of silence."""

from __future__ import annotations

import pytest
from packaging.version import Version

from scripts.audit import CONTROL, Ask, _NewestToo, audit, locked
from tests.security.test_dependencies import LOCK
from tests.security.test_dependencies import locked as pinned

PACKAGES = {"one": Version("1.0"), "two": Version("2.0")}


def asking(**known: list[str] | None) -> Ask:
    """Return an index that knows the control, and these."""
    answers = {CONTROL[0]: ["CVE-2013-7459"], "one": [], "two": [], **known}
    return lambda name, version: answers[name]


@pytest.mark.parametrize(
    ("known", "code", "words"),
    [
        ({}, 0, "2 of 2 packages looked up, 0 with vulnerabilities"),
        ({"two": ["CVE-1 bad"]}, 1, "two 2.0: CVE-1 bad"),
        ({"two": None}, 2, "two 2.0: nobody answers for this version"),
        ({"one": None, "two": ["CVE-1 bad"]}, 1, "1 of 2 packages looked up, 1 with vulnerabilities"),
        ({CONTROL[0]: []}, 2, "no database of vulnerabilities: the index knows nothing of pycrypto 2.6.1"),
        ({CONTROL[0]: None}, 2, "no database of vulnerabilities"),
    ],
    ids=["nothing known", "one vulnerable", "one unknown", "both", "no database", "no such page"],
)
def test_only_an_answer_for_every_package_is_a_clean_bill(
    known: dict[str, list[str] | None], code: int, words: str
) -> None:
    said: list[str] = []
    assert audit(PACKAGES, asking(**known), said.append) == code
    assert any(line.startswith(words) for line in said), said


def test_without_an_index_it_fails_with_a_word_about_it() -> None:
    def nobody(name: str, version: Version) -> list[str] | None:
        raise OSError("no route to host")

    said: list[str] = []
    assert audit(PACKAGES, nobody, said.append) == 2
    assert said == ["no database of vulnerabilities can be reached: no route to host"]


class Page:
    """An answer of the index."""

    def __init__(self, version: str | None) -> None:
        self.ok = version is not None
        self.status_code = 200 if self.ok else 404
        self._version = version

    def json(self) -> dict[str, dict[str, str | None]]:
        return {"info": {"version": self._version}}


class Mirror:
    """An index with a page for the newest version alone."""

    def get(self, *, url: str, timeout: float) -> Page:
        return Page("2.0") if url == "https://index/pypi/two/json" else Page(None)


@pytest.mark.parametrize(("version", "found"), [("2.0", True), ("1.9", False)])
def test_what_is_known_of_the_newest_version_is_believed_for_that_one_alone(
    version: str, found: bool
) -> None:
    answer = _NewestToo(Mirror()).get(url=f"https://index/pypi/two/{version}/json", timeout=1.0)
    assert answer.ok is found


def test_every_package_of_the_lock_is_asked_about() -> None:
    assert {name.lower() for name in locked(LOCK.read_text("utf-8"))} == set(pinned())
