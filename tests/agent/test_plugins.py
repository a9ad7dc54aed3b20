from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import pytest

from clacks.bus import Bus
from tests.cli.processes import clacks, running

GOOD = '''
from clacks.agent.command import Command, CommandType


@Command
def double(number: int) -> int:
    """Return twice the number."""
    return 2 * number


class Lamp:
    def __init__(self, context):
        self.context = context

    @Command(name="lamp.where", needs_user=True, type=CommandType.FIRSTRESULT)
    def where(self, user: str) -> str:
        """Tell where the lamp is."""
        return f"{user}@{self.context.node}"


class Plain:
    @Command
    def plain(self) -> str:
        return "plain"
'''

ENTRY_POINTS = """
[clacks.commands]
lamp = clacks_lamp:Lamp
double = clacks_lamp:double
broken = clacks_broken
missing = clacks_lamp:nothing
"""


def wheel(folder: Path) -> Path:
    """Write a package as a wheel: what a build leaves, without a build tool that may not be there."""
    info = "clacks_lamp-1.0.dist-info"
    files = {
        "clacks_lamp.py": GOOD,
        "clacks_broken.py": "raise RuntimeError('out of order')",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: clacks-lamp\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": ENTRY_POINTS,
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / "clacks_lamp-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.slow
@pytest.mark.net
def test_an_installed_package_adds_commands_and_a_broken_one_does_not_stop_the_agent(tmp_path: Path) -> None:
    target, home = tmp_path / "target", tmp_path / "home"
    home.mkdir()
    # What pip does with a wheel of Python alone, to the byte; pip itself takes two seconds to start.
    with zipfile.ZipFile(wheel(tmp_path)) as archive:
        archive.extractall(target)
    (home / "extra.py").write_text(GOOD.replace("double", "triple").replace("lamp.where", "double"))
    more = {"PYTHONPATH": f"{target}:{home}", "CLACKS_PLUGINS": "extra"}
    ports = ("--port", "0", "--tls-port", "0")
    with running("up", *ports, "--user", "jane:secret", "--node", "one", home=home, **more) as service:

        async def call() -> None:
            async with Bus(service.url("amqp", "jane:secret")) as bus:
                assert await bus.call("double", 21) == 42
                assert await bus.call("lamp.where") == "jane@one"

        asyncio.run(call())
    (home / "settings.toml").write_text('[client]\ncommands = ["extra", "no_such_module"]')
    doctor = clacks("doctor", home=home, CLACKS_SETTINGS=str(home / "settings.toml"), **more)
    assert doctor.returncode == 10
    for line in (
        "plug-in broken (clacks_broken) cannot be used: RuntimeError: out of order",
        "plug-in missing (clacks_lamp:nothing) cannot be used",
        "plug-in extra cannot be used: ValueError: there is already a command 'double'",
        "2 plug-ins: double (clacks_lamp:double), lamp (clacks_lamp:Lamp)",
        "plug-in no_such_module of clients cannot be used: ModuleNotFoundError",
        "1 plug-ins of clients: extra",
    ):
        assert line in doctor.stdout
    assert "out of order" in "\n".join(service.err)
