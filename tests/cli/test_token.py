"""``clacks token``."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from clacks.cli.main import main
from clacks.gateway.tokens import TokenKey, read_token


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLACKS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("CLACKS_SETTINGS", raising=False)
    return tmp_path / "state"


def test_a_token_is_made_with_a_key_that_only_its_owner_reads(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "ann", "--read", "a/#", "--write", "b", "--rate", "b=3/10", "--hours", "2"]) == 0
    text = capsys.readouterr().out.strip()
    key = state / "token.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    identity = read_token(text, TokenKey("HS256", key.read_bytes().strip()), now=time.time())
    assert (identity.user, identity.read, identity.write) == ("ann", ("a/#",), ("b",))
    assert identity.limits[0].most == 3
    assert identity.expires is not None
    assert 7000 < identity.expires - time.time() <= 7200
    assert main(["token"]) == 0
    assert (
        read_token(
            capsys.readouterr().out.strip(), TokenKey("HS256", key.read_bytes().strip()), now=time.time()
        ).user
        == "clacks:guest"
    )


@pytest.mark.parametrize(
    "arguments", [["--read", "a b"], ["ann", "--rate", "x"], ["ann", "--rate", "a=b/c"], ["--rate", "a=1/1"]]
)
def test_a_token_for_nonsense_is_refused(
    state: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", *arguments]) != 0
    assert capsys.readouterr().out == ""
