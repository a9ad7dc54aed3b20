from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clacks.agent.plugins import PluginContext, load_plugins
from clacks.common.schema import SchemaRegistry
from tests.cli.processes import clacks, environment, running

CONTEXT = PluginContext("one", SchemaRegistry(plugins=False), lambda event: None)

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


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return name


def test_a_module_brings_its_functions_and_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, monkeypatch, "good_plugin", GOOD)
    [plugin], refused = load_plugins([name], CONTEXT, entry_points=False)
    assert refused == []
    assert [getattr(source, "__name__", type(source).__name__) for source in plugin.sources] == [
        "double",
        "Lamp",
        "Plain",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1", "TypeError: it has no command; mark functions with @Command"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def f(:", "SyntaxError: "),
        ("from clacks.agent.command import Command", "TypeError: it has no command"),
        (
            "from clacks.agent.command import Command\nclass A:\n def __init__(self):\n  1/0\n"
            " @Command\n def f(self): ...",
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_one_that_cannot_be_loaded_is_told_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    bad = module(tmp_path, monkeypatch, f"bad_{abs(hash(text))}", text)
    good = module(tmp_path, monkeypatch, f"good_{abs(hash(text))}", GOOD)
    found, [refused] = load_plugins([bad, good, "no.such.module"][:2], CONTEXT, entry_points=False)
    assert [plugin.name for plugin in found] == [good]
    assert refused.name == bad
    assert refused.reason.startswith(reason)


@pytest.mark.slow
@pytest.mark.net
def test_an_installed_package_adds_commands_and_a_broken_one_does_not_stop_the_agent(tmp_path: Path) -> None:
    target, home = tmp_path / "target", tmp_path / "home"
    home.mkdir()
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel(tmp_path))], check=True, env=environment(home))
    (home / "extra.py").write_text(GOOD.replace("double", "triple").replace("lamp.where", "double"))
    more = {"PYTHONPATH": f"{target}:{home}", "CLACKS_PLUGINS": "extra"}
    ports = ("--port", "0", "--tls-port", "0")
    with running("up", *ports, "--user", "jane:secret", "--node", "one", home=home, **more) as service:
        url = service.url("amqp", "jane:secret")
        asked = clacks("call", "double", "21", "--url", url, home=home)
        assert (asked.returncode, asked.stdout.strip()) == (0, "42")
        assert clacks("call", "lamp.where", "--url", url, home=home).stdout.strip() == '"jane@one"'
        doctor = clacks("doctor", "--url", url, home=home, **more)
        assert doctor.returncode == 10
        assert "plug-in broken (clacks_broken) cannot be used: RuntimeError: out of order" in doctor.stdout
        assert "plug-in missing (clacks_lamp:nothing) cannot be used" in doctor.stdout
        assert (
            "plug-in extra cannot be used: ValueError: there is already a command 'double'" in doctor.stdout
        )
        assert "2 plug-ins" in doctor.stdout
    assert "out of order" in "\n".join(service.err)
