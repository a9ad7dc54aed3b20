from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clacks.cli import checks
from clacks.cli.checks import Level
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings


def worst(findings: object) -> list[str]:
    return [finding.what for finding in findings if finding.level is not Level.GOOD]  # type: ignore[attr-defined]


def test_a_good_installation_has_nothing_to_mend(run: Callable) -> None:
    ended = run("doctor")
    assert ended.code == 0
    assert "fault" not in ended.out
    assert "no bus is named" in ended.out
    assert "\x1b" not in ended.out


def test_every_finding_that_is_not_good_says_what_to_do(run: Callable, home: Path) -> None:
    (home / "events").mkdir()
    (home / "events" / "Bad.xsd").write_text("<schema")
    ended = run("doctor", "--events", "events", "--events", "nowhere")
    assert ended.code == 10
    lines = ended.out.splitlines()
    bad = [index for index, line in enumerate(lines) if line.startswith(("fault", "warning"))]
    assert len(bad) >= 3
    assert all(lines[index + 1].strip().startswith("-> ") for index in bad)
    assert any("Bad.xsd" in line for line in lines)
    assert any("nowhere" in line for line in lines)


def test_wrong_settings_are_a_fault(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLACKS_PORT", "many")
    ended = run("doctor")
    assert ended.code == 10
    assert "CLACKS_PORT" in ended.out


def test_files_that_others_can_read_are_a_fault(
    run: Callable, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLACKS_PASSWORD", "geheim")
    run("users", "add", "jane")
    settings = Settings.load()
    settings.credentials_file.chmod(0o644)
    found = worst(checks.state(settings))
    assert any("can be read by others" in what for what in found)
    assert any("jane has no role" in what for what in found)


def test_a_certificate_that_ends_soon_is_told(home: Path) -> None:
    from clacks.net.certificates import ensure_local_certificates

    settings = Settings.load()
    ensure_local_certificates(settings.state_dir, datetime.now(UTC) - timedelta(days=4000))
    assert any("has ended" in what for what in worst(checks.state(settings)))
    ensure_local_certificates(settings.state_dir)
    assert not worst(checks.state(settings))
    missing = Settings.parse(
        f'certificate = "{home}/none.pem"', environ={"XDG_STATE_HOME": str(home / "state")}
    )
    assert any("is not there" in what for what in worst(checks.state(missing)))


def test_a_package_of_the_wrong_version_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["lxml~=99.0", "surely-not-there>=1; python_version>'3'", "extra-thing; extra == 'dev'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: wanted)
    found = worst(checks.installation())
    assert any("lxml" in what for what in found)
    assert any("surely-not-there" in what for what in found)
    assert not any("extra-thing" in what for what in found)


def test_schemas_that_are_in_order_are_counted() -> None:
    (finding,) = checks.schemas(SchemaRegistry(plugins=False))
    assert finding.level is Level.GOOD
    assert finding.what.startswith("24 event types")
