from __future__ import annotations

from pathlib import Path

import pytest

from clacks.agent.service import RightsFile
from clacks.common.errors import SettingsError

ONE = '[users.jane]\nroles = ["reader"]\n'


def test_a_missing_file_gives_nobody_rights(tmp_path: Path) -> None:
    assert RightsFile(tmp_path / "rights.toml").read().users == {}


def test_users_known_besides_have_their_roles(tmp_path: Path) -> None:
    path = tmp_path / "rights.toml"
    path.write_text(ONE)
    rights = RightsFile(path, {"admin": ["admin"]}).read()
    assert rights.may_call("admin", "reload")
    assert rights.may_read("jane", "PhoneStatus")


def test_a_change_is_seen_until_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rights.toml"
    file = RightsFile(path)
    file.read()
    assert not file.changed()
    path.write_text(ONE)
    assert file.changed()
    assert file.read().may_read("jane", "PhoneStatus")
    assert not file.changed()
    path.unlink()
    assert file.changed()
    assert not file.read().may_read("jane", "PhoneStatus")


def test_a_broken_file_is_named_with_its_reason_and_not_tried_again_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "rights.toml"
    path.write_text("[users")
    file = RightsFile(path)
    with pytest.raises(SettingsError, match=r"rights\.toml"):
        file.read()
    assert not file.changed()
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="UTF-8"):
        file.read()
