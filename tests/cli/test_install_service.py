from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clacks.cli.main import main
from clacks.cli.units import SERVICES, SYSUSERS, unit

CONTRIB = Path(__file__).parents[2] / "contrib" / "systemd"
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.parametrize("name", SERVICES)
def test_contrib_holds_the_units_as_they_usually_are(name: str) -> None:
    assert (CONTRIB / f"clacks-{name}.service").read_text() == unit(name, "/usr/bin/clacks")
    assert (CONTRIB / "sysusers-clacks.conf").read_text() == SYSUSERS


def test_every_unit_starts_a_command_that_there_is() -> None:
    from clacks.cli.main import COMMANDS

    assert {what.command.split()[0] for what in SERVICES.values()} <= set(COMMANDS)


def test_units_of_different_users_do_not_share_a_folder() -> None:
    users: dict[str, set[str]] = {}
    for name in SERVICES:
        found = dict(re.findall(r"^(User|StateDirectory)=(.*)$", unit(name, "/bin/clacks"), re.M))
        users.setdefault(found["StateDirectory"], set()).add(found["User"])
    assert all(len(owners) == 1 for owners in users.values())


def test_a_dry_run_shows_everything_and_does_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["install-service", "--dry-run", "agent", "host", "--root", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert f"# would write {tmp_path}/etc/systemd/system/clacks-agent.service" in shown
    assert "source host" in shown
    assert list(tmp_path.iterdir()) == []
    assert main(["install-service", "--dry-run", "agent"]) == 0
    assert "# would run systemctl daemon-reload" in capsys.readouterr().out


def test_units_are_written_and_one_that_was_changed_is_not_replaced_without_force(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["install-service", "client", "--root", str(tmp_path)]
    assert main(arguments) == 0
    file = tmp_path / "etc/systemd/system/clacks-client.service"
    assert "clacks client\n" in file.read_text()
    assert main(arguments) == 0
    file.write_text("mine")
    assert main(arguments) != 0
    assert "--force replaces it" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert file.read_text() != "mine"


def test_a_service_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install-service", "dog", "--dry-run"]) != 0
    assert "no service 'dog'; there are up, broker" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.tool
@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is part of systemd; not every Linux has it")
def test_systemd_understands_the_units_and_finds_them_hard(tmp_path: Path) -> None:
    assert ANALYZE is not None
    files = []
    for name in SERVICES:
        file = tmp_path / f"clacks-{name}.service"
        file.write_text(unit(name, "/bin/true"))
        files.append(str(file))
    done = subprocess.run([ANALYZE, "verify", *files], capture_output=True, text=True, timeout=60)
    assert "clacks-" not in done.stdout + done.stderr
    # Exposure from 0 to 10, in tenths: 30 is what systemd itself calls OK.
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=30", *files],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-2000:]
