from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import psutil
import pytest
from lxml import etree

from clacks.common.rights import parse_rights
from tests.docs.snippets import Snippet, agrees, commands, snippets

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "generated"} & set(path.parts)),
]
LANGUAGES = {"text", "console", "python", "xml", "toml", "javascript", "mermaid"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def settled(pid: int, quiet: float = 0.5, limit: float = 20.0) -> None:
    """Wait until a program has done what it does at its start: it sleeps, and has used no time for a while.

    A reader looks whether something happens, too; the program does not say that it is ready.
    """
    end = time.monotonic() + limit
    before, since = 0.0, time.monotonic()
    with contextlib.suppress(psutil.NoSuchProcess):
        program = psutil.Process(pid)
        while time.monotonic() < min(end, since + quiet):
            used = sum(program.cpu_times()[:2])
            if used != before or used < 0.1 or program.status() != psutil.STATUS_SLEEPING:
                before, since = used, time.monotonic()
            time.sleep(0.02)


class Reader:
    """Somebody who reads a page and tries everything on it, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLACKS_", "XDG_"))}
        self.environ = kept | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        self.home = home
        self.ports: dict[str, str] = {}
        self.background: list[subprocess.Popen[str]] = []
        self.printed: list[list[str]] = []

    def here(self, text: str) -> str:
        """Put the ports of our bus into the URLs of a text."""
        found = r"(amqps?)://((?:[^@/\s]*@)?localhost)(?=[/\s\"'])"
        return re.sub(found, lambda url: f"{url[1]}://{url[2]}:{self.ports.get(url[1], '1')}", text)

    def run(self, snippet: Snippet) -> None:
        if snippet.note.startswith("not run: "):
            return
        if snippet.note.startswith("file: "):
            (self.home / snippet.note.removeprefix("file: ")).write_text(self.here(snippet.text), "utf-8")
        elif snippet.note == "printed":
            self.wait_for(snippet.text)
        elif snippet.note == "background":
            self.start(snippet)
        elif snippet.language == "console":
            for command, shown in commands(snippet.text):
                self.command(command, shown)
        elif snippet.language == "python":
            done = self.finish(sys.executable, "-c", self.here(snippet.text))
            assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def finish(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environ, cwd=self.home, capture_output=True, text=True, timeout=60, check=False
        )

    def command(self, command: str, shown: str) -> None:
        if command.startswith("export "):
            variable, _, value = command.removeprefix("export ").partition("=")
            self.environ[variable] = self.here("".join(shlex.split(value)))
            return
        done = self.finish("bash", "-c", self.here(command))
        assert any(agrees(shown, text) for text in (done.stderr + done.stdout, done.stdout + done.stderr)), (
            f"{command}\n{done.stdout}{done.stderr}"
        )

    def start(self, snippet: Snippet) -> None:
        if snippet.language == "python":
            line, shown = [sys.executable, "-c", self.here(snippet.text)], ""
        else:
            ((command, shown),) = commands(snippet.text)
            line = shlex.split(self.here(command))
            line += ["--port", "0", "--tls-port", "0"] if line[:2] == ["clacks", "up"] else []
        process = subprocess.Popen(
            line,
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: list[str] = []
        self.background.append(process)
        self.printed.append(lines)
        threading.Thread(target=self._read, args=(process, lines), daemon=True).start()
        for last in shown.splitlines()[-1:]:
            self.wait_for(last)
        if snippet.language == "python":
            settled(process.pid)

    def _read(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if found := re.fullmatch(r"(amqps?)://localhost:(\d+)/.*", lines[-1]):
                self.ports[found[1]] = found[2]

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text == "ready" and text not in self.printed[-1]:
            # A line of its own: a line of the log may have the word in it, before the ports are told.
            assert time.monotonic() < deadline, f"{text!r} is not in {self.printed[-1]}"
            time.sleep(0.05)
        wanted = "".join(text.split())
        while wanted not in "".join("".join(self.printed[-1]).split()):
            assert time.monotonic() < deadline, f"{text!r} is not in {self.printed[-1]}"
            time.sleep(0.05)

    def close(self) -> None:
        for process in reversed(self.background):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


@pytest.mark.slow
@pytest.mark.net
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_shows_works(page: Path, tmp_path: Path) -> None:
    with contextlib.closing(Reader(tmp_path)) as reader:
        for snippet in snippets(page):
            try:
                reader.run(snippet)
            except AssertionError as error:
                raise AssertionError(f"{name(page)}:{snippet.line}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_known_language_and_can_be_read(page: Path) -> None:
    for snippet in snippets(page):
        where = f"{name(page)}:{snippet.line}"
        assert snippet.language in LANGUAGES, where
        if snippet.language == "python":
            compile(snippet.text, where, "exec")
        elif snippet.language == "xml":
            etree.fromstring(snippet.text.encode())
        elif snippet.language == "toml":
            body = tomllib.loads(snippet.text)
            if {"users", "roles"} & set(body):
                parse_rights(snippet.text)


def test_shown_output_is_compared() -> None:
    assert agrees("a ... c", "a b\nb c\n")
    assert not agrees("a", "a b")
    assert list(commands("$ one \\\n  two\nout\n$ three\n")) == [("one   two", "out"), ("three", "")]


def test_the_pages_are_found() -> None:
    assert {"README", "tutorial", "users", "wire"} <= {page.stem for page in PAGES}
