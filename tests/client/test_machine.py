from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from clacks.client.machine import Utmp, check_id, kept_id, logged_on
from clacks.common.errors import SettingsError


def record(kind: int, process: int, user: str, terminal: str = "tty1") -> str:
    """Return a record in the form that utmpdump writes and reads."""
    return (
        f"[{kind}] [{process:05d}] [{terminal[-4:]:<4}] [{user:<8}] [{terminal:<12}] [{'':<20}] "
        "[0.0.0.0        ] [2026-11-21T07:00:00,000000+00:00]\n"
    )


def write_utmp(file: Path, *records: str) -> None:
    """Write a utmp file by the tool of util-linux, so that its layout is this machine's own."""
    data = subprocess.run(
        ["utmpdump", "--reverse"], input="".join(records).encode(), capture_output=True, check=True
    ).stdout
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.replace(file)


def everybody(process: int) -> bool:
    return True


pytestmark = pytest.mark.skipif(
    shutil.which("utmpdump") is None, reason="utmpdump is part of util-linux; only Linux has utmp files"
)


def test_users_with_a_session_are_found_each_once(tmp_path: Path) -> None:
    file = tmp_path / "utmp"
    write_utmp(
        file,
        record(2, 0, "reboot", "~"),
        record(6, 400, "LOGIN", "tty6"),
        record(7, 500, "jane", "tty1"),
        record(7, 501, "jane", "pts/0"),
        record(7, 502, "bob", "pts/1"),
        record(8, 503, "gone", "pts/2"),
    )
    assert logged_on(file.read_bytes(), everybody) == ("bob", "jane")


def test_a_session_whose_process_is_dead_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "utmp"
    write_utmp(file, record(7, 500, "jane"), record(7, 501, "bob", "pts/1"))
    assert logged_on(file.read_bytes(), lambda process: process == 501) == ("bob",)


def test_who_says_the_same_of_a_real_file(tmp_path: Path) -> None:
    file = tmp_path / "utmp"
    write_utmp(file, record(7, os.getpid(), "jane"), record(8, os.getpid(), "bob", "pts/1"))
    said = subprocess.run(["who", str(file)], capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in said.splitlines()} == set(Utmp(file).users()) == {"jane"}


def test_a_file_cut_in_the_middle_gives_its_whole_records(tmp_path: Path) -> None:
    file = tmp_path / "utmp"
    write_utmp(file, record(7, 500, "jane"), record(7, 501, "bob", "pts/1"))
    data = file.read_bytes()
    assert logged_on(data[:-10], everybody) == ("jane",)
    assert logged_on(b"", everybody) == ()
    assert logged_on(os.urandom(5000), everybody) is not None


def test_a_change_of_the_file_is_seen_and_a_missing_file_means_nobody(tmp_path: Path) -> None:
    file = tmp_path / "utmp"
    utmp = Utmp(file, everybody)
    assert utmp.users() == ()
    write_utmp(file, record(7, 500, "jane"))
    assert utmp.users() == ("jane",)
    write_utmp(file, record(7, 500, "jane"), record(7, 501, "bob", "pts/1"))
    assert utmp.users() == ("bob", "jane")
    file.unlink()
    assert utmp.users() == ()


def test_a_session_that_dies_without_a_word_is_missed_though_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "utmp"
    with subprocess.Popen(["sleep", "60"]) as session:
        write_utmp(file, record(7, session.pid, "jane"))
        utmp = Utmp(file)
        assert utmp.users() == ("jane",)
        session.kill()
        session.wait()
    assert utmp.users() == ()


def test_the_id_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "clacks"
    first = kept_id(folder)
    assert kept_id(folder) == first == check_id(first)
    assert [file.name for file in folder.iterdir()] == ["client-id"]
    assert kept_id(tmp_path / "other") != first


def test_two_that_start_at_once_take_the_same_id(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(kept_id(tmp_path / "s"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("text", ["", ".", "a b", "x" * 129, "*", "a.", "#", "päng", "a\n"])
def test_what_cannot_be_an_id_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        check_id(text)
    (tmp_path / "client-id").write_text("a b")
    with pytest.raises(SettingsError, match="client-id"):
        kept_id(tmp_path)
