from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from clacks.cli import files
from clacks.common.credentials import make_keys
from clacks.common.settings import Settings


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLACKS_PASSWORD", "geheim")


def test_a_user_is_added_listed_and_removed(run: Callable, home: Path) -> None:
    ended = run("users", "add", "jane", "--role", "admin", "--role", "reader")
    assert (ended.code, ended.err) == (0, "user jane: admin, reader\n")
    assert run("users", "list").out == "jane\tpassword\tadmin, reader\t\n"
    settings = Settings.load()
    assert files.read_credentials(settings).verify_password("jane", "geheim")
    assert files.read_rights(settings).may_publish("jane", "X")
    assert run("users", "remove", "jane").code == 0
    assert run("users", "list").out == ""


def test_no_password_is_on_disk_and_the_files_are_for_their_owner_only(run: Callable, home: Path) -> None:
    run("users", "add", "jane", "--role", "reader")
    folder = home / "state" / "clacks"
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("credentials.toml", "rights.toml"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert "geheim" not in (folder / name).read_text()
    assert not [path for path in folder.iterdir() if path.name.startswith((".credentials", ".rights"))]


def test_a_user_without_a_role_is_warned_of(run: Callable) -> None:
    assert "do nothing" in run("users", "add", "joe").err


def test_a_new_password_leaves_the_roles(run: Callable) -> None:
    run("users", "add", "jane", "--role", "reader")
    assert run("users", "add", "jane").err == "user jane: reader\n"
    assert run("users", "add", "jane", "--role", "admin").err == "user jane: admin\n"


def test_a_role_that_does_not_exist_changes_nothing(run: Callable) -> None:
    ended = run("users", "add", "jane", "--role", "amdin")
    assert ended.code == 3
    assert "amdin" in ended.err
    assert run("users", "list").out == ""


@pytest.mark.parametrize("name", ["a b", "a:b", "a/b", ""])
def test_a_bad_name_is_refused(run: Callable, name: str) -> None:
    assert run("users", "add", "--role", "reader", "--", name).code == 3


def test_a_stranger_cannot_be_removed(run: Callable) -> None:
    ended = run("users", "remove", "nobody")
    assert ended.code == 3
    assert "no user 'nobody'" in ended.err


@pytest.mark.slow
def test_an_api_key_is_shown_once_and_can_be_revoked(run: Callable) -> None:
    run("users", "add", "jane", "--role", "reader")
    ended = run("users", "key", "add", "jane", "--label", "ci job")
    text = ended.out.strip()
    assert text.startswith("1-")
    assert files.read_credentials(Settings.load()).verify_api_key(text) == "jane"
    assert run("users", "list").out == "jane\tpassword\treader\t1 (ci job)\n"
    assert text not in (Settings.load().credentials_file).read_text()
    assert run("users", "key", "revoke", "1").code == 0
    assert files.read_credentials(Settings.load()).verify_api_key(text) is None
    assert run("users", "key", "revoke", "1").code == 3
    assert run("users", "key", "add", "nobody").code == 3


def test_a_broken_rights_file_is_named(run: Callable, home: Path) -> None:
    run("users", "add", "jane", "--role", "reader")
    file = home / "state" / "clacks" / "rights.toml"
    file.write_text("[users.jane")
    ended = run("users", "list")
    assert ended.code == 3
    assert str(file) in ended.err


def test_two_changes_at_the_same_time_do_not_undo_each_other(home: Path) -> None:
    settings = Settings.load()
    keys = make_keys("x", iterations=4096)

    def add(number: int) -> None:
        with files.changing(settings):
            files.write_credentials(settings, files.read_credentials(settings).with_user(f"u{number}", keys))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files.read_credentials(settings).users) == 8


def test_a_failed_write_leaves_the_old_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "f"
    files.write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_private(path, "\ud800")
    assert path.read_text() == "old"
    assert [entry.name for entry in home.iterdir() if entry.name.startswith(".f")] == []
