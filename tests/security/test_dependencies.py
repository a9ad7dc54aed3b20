"""What a service installation is made of: pinned, with hashes, and what pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "contrib" / "requirements.txt"
EXTRAS = ("redis", "client", "sources", "fast", "otel")


def locked() -> dict[str, tuple[Version, int]]:
    """Return version and number of hashes of each package."""
    found = {}
    for entry in re.split(r"\n(?=\S)", LOCK.read_text("utf-8")):
        if entry.startswith("#") or not entry.strip():
            continue
        name, _, version = entry.split()[0].partition("==")
        found[canonicalize_name(name)] = (
            Version(version),
            len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)),
        )
    return found


def test_every_package_is_pinned_with_hashes() -> None:
    packages = locked()
    assert len(packages) > 30
    assert [name for name, (_, hashes) in packages.items() if hashes == 0] == []
    assert "http://" not in LOCK.read_text("utf-8")


def test_the_pins_are_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(item for name in EXTRAS for item in project["optional-dependencies"][name]),
    ]
    packages = locked()
    for text in wanted:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in packages, f"{name} is not locked: make lock"
        assert packages[name][0] in requirement.specifier, f"{text}: {packages[name][0]} is locked: make lock"


def test_the_lock_is_for_all_extras_that_a_service_may_have() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    others = {"test", "dev", "docs", "fuzz"}
    assert set(project["optional-dependencies"]) - others == set(EXTRAS)
    script = (ROOT / "scripts" / "lock.sh").read_text("utf-8")
    assert set(re.findall(r"--extra (\w+)", script)) == set(EXTRAS)
