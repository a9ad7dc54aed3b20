"""``clacks install-service``: systemd units for services of Clacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from clacks.cli import output
from clacks.cli.units import SERVICES, SYSUSERS, unit
from clacks.common.errors import SettingsError

__all__ = ["app", "install_service", "program"]

app = typer.Typer(add_completion=False)


def program() -> str:
    """Return the full path of the program ``clacks`` that belongs to this Python."""
    beside = Path(sys.executable).with_name("clacks")
    return str(beside) if beside.exists() else shutil.which("clacks") or str(beside)


@app.command("install-service")
def install_service(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help=f"Services: {', '.join(SERVICES)}.", show_default=False),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written and run, and do nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace units that are there and differ.")] = False,
    root: Annotated[
        Path, typer.Option("--root", metavar="FOLDER", help="Write below this folder, and run nothing.")
    ] = Path("/"),
) -> None:
    """Install systemd units with hardening options for services of Clacks.

    Nothing is started; the last lines say how. What a service of yours needs besides goes into a drop-in.
    """
    for name in names:
        if name not in SERVICES:
            raise SettingsError("install-service", f"no service {name!r}; there are {', '.join(SERVICES)}")
    files = {root / "etc/sysusers.d/clacks.conf": SYSUSERS}
    for name in dict.fromkeys(names):
        files[root / f"etc/systemd/system/clacks-{name}.service"] = unit(name, program())
    commands = [] if root != Path("/") else [["systemd-sysusers"], ["systemctl", "daemon-reload"]]
    if dry_run:
        for file, text in files.items():
            output.line(f"# would write {file}")
            output.line(text)
        for words in commands:
            output.line(f"# would run {' '.join(words)}")
        return
    for file, text in files.items():
        if file.exists() and file.read_text("utf-8") != text and not force:
            raise SettingsError(str(file), "is there and differs; --force replaces it, a drop-in is better")
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        file.chmod(0o644)
        output.line(str(file))
    for words in commands:
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if done.returncode:
            output.warning(f"{' '.join(words)} failed: {done.stderr.strip()[:200]}")
    output.note("write /etc/clacks/settings.toml and /etc/clacks/environment, then start with:")
    output.note(f"systemctl enable --now {' '.join(f'clacks-{name}' for name in dict.fromkeys(names))}")
