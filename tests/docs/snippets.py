"""Read the code blocks of the documentation, so that tests can run them in their order.

A comment before a block changes what is done with it::

    <!-- file: NAME -->        the block is written to a file of that name
    <!-- not run: REASON -->   it is shown and not run
    <!-- background -->        its one command, or the Python program, goes on until the end of the page; the
                               lines shown below the command are waited for
    <!-- printed -->           the latest of those in the background prints this, sooner or later

``clacks up`` gets free ports, and URLs of the page that name localhost get them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>[a-z]+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One code block; ``line`` is where its text begins."""

    language: str
    text: str
    line: int
    note: str = ""


def snippets(page: Path) -> list[Snippet]:
    """Return the code blocks of a page in their order."""
    text = page.read_text("utf-8")
    return [
        Snippet(
            found["language"],
            found["text"],
            text.count("\n", 0, found.start("text")) + 1,
            found["note"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output that is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        lines = part.split("\n")
        command = lines.pop(0)
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0)
        yield command, "\n".join(lines).rstrip()


def agrees(shown: str, real: str) -> bool:
    """Tell whether real output is what is shown; ``...`` stands for anything in a line or for lines."""
    pattern = ".*?".join(re.escape(piece) for piece in shown.strip().split("..."))
    return re.fullmatch(pattern, real.strip(), re.S) is not None
