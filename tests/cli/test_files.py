from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clacks.cli import files
from clacks.common import audit
from clacks.common.errors import SettingsError
from clacks.common.settings import Settings


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger(audit.AUDIT_LOGGER)
    level, handlers = found.level, list(found.handlers)
    yield found
    for handler in found.handlers[len(handlers) :]:
        found.removeHandler(handler)
        handler.close()
    found.setLevel(level)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_audit_log_is_for_its_owner_and_may_be_moved_away(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "log" / "audit.log"
    files.audit_to(path)
    audit.login("broker", "jane", "192.0.2.1", "accepted")
    path.rename(path.with_suffix(".1"))
    audit.login("broker", "joe", "192.0.2.1", "wrong")
    assert "user=jane" in path.with_suffix(".1").read_text()
    assert "user=joe" in path.read_text()
    assert "jane" not in path.read_text()
    assert mode(path) == mode(path.with_suffix(".1")) == 0o600


def test_an_audit_log_that_cannot_be_written_is_an_error_of_the_settings(
    tmp_path: Path, logger: logging.Logger
) -> None:
    with pytest.raises(SettingsError):
        files.audit_to(tmp_path)


def test_unknown_users_keep_their_salts_over_a_restart(tmp_path: Path) -> None:
    here = replace(Settings(), state_dir=tmp_path / "a")
    there = replace(Settings(), state_dir=tmp_path / "b")
    salt = files.salted_credentials(here).keys("ghost").salt
    assert files.salted_credentials(here).keys("ghost").salt == salt
    assert files.salted_credentials(there).keys("ghost").salt != salt
    assert mode(here.state_dir / "salts.key") == 0o600
