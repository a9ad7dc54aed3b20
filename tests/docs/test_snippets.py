from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from lxml import etree

from clacks.common.rights import parse_rights
from tests.docs.snippets import agrees, commands, snippets

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "generated"} & set(path.parts)
)
LANGUAGES = {"text", "console", "python", "xml", "toml", "javascript"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "tutorial"], ids=name)
def test_what_a_page_shows_works(page: Path, tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
    shared: dict[str, object] = {}
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for snippet in snippets(page):
            where = f"{name(page)}:{snippet.line}"
            if snippet.note.startswith("not run: "):
                continue
            if snippet.note.startswith("file: "):
                Path(snippet.note.removeprefix("file: ")).write_text(snippet.text, "utf-8")
            elif snippet.language == "console":
                for command, shown in commands(snippet.text):
                    done = subprocess.run(
                        ["bash", "-c", command],
                        env=environ,
                        capture_output=True,
                        text=True,
                        timeout=60,
                        check=False,
                    )
                    assert agrees(shown, done.stderr + done.stdout) or agrees(
                        shown, done.stdout + done.stderr
                    ), f"{where}: {command}\n{done.stdout}{done.stderr}"
            elif snippet.language == "python":
                exec(compile("\n" * (snippet.line - 1) + snippet.text, str(page), "exec"), shared)
    finally:
        os.chdir(before)


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
    assert {"tutorial", "users", "wire"} <= {page.stem for page in PAGES}


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("_build", "generated"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-b",
            "html",
            str(docs),
            str(tmp_path / "html"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "PhoneStatus" in (tmp_path / "html" / "reference" / "generated" / "events.html").read_text("utf-8")
