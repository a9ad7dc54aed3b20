"""What a command shows: results on standard output, everything else on standard error.

Colours and drawn tables are for terminals; a pipe gets plain lines, columns separated by tabs.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from clacks.cli.exits import Exit

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "drawn_table",
    "error",
    "json_line",
    "line",
    "log_as_service",
    "log_to_stderr",
    "note",
    "on_terminal",
    "table",
    "warning",
]


def on_terminal() -> bool:
    """Tell whether standard output is a terminal that wants colours."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def line(text: str = "") -> None:
    """Show one result; a reader at the other end of a pipe gets it at once.

    Raises:
        typer.Exit: If there is no reader any more.
    """
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; keep the interpreter from failing again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.PIPE) from None


def json_line(value: Any) -> None:
    """Show one result as a line of JSON."""
    line(json.dumps(value, ensure_ascii=False))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show rows: a drawn table on a terminal, else lines with tabs and without headings."""
    if not on_terminal():
        for row in rows:
            line("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich import console

    console.Console().print(drawn_table(headings, rows))


def drawn_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table as ``rich`` draws it; what cells hold is text, never markup."""
    from rich import box, table
    from rich.text import Text

    drawn = table.Table(*headings, box=box.SIMPLE_HEAD)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def note(text: str) -> None:
    """Tell the user something that is no result."""
    _stderr(text)


def warning(text: str) -> None:
    """Warn the user."""
    _stderr(f"clacks: warning: {text}")


def log_to_stderr(debug: bool) -> None:
    """Show what the library logs: warnings alone, or everything."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        if debug
        else "clacks: %(levelname)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )


def log_as_service(*, json: bool, goes_on: bool = True) -> None:
    """Log what happens, too, if the command goes on; as text or as one JSON object in each line."""
    root = logging.getLogger()
    if goes_on:
        root.setLevel(min(root.level, logging.INFO))
    if json:
        from clacks.cli.log_lines import JsonLines

        for handler in root.handlers:
            handler.setFormatter(JsonLines())


def error(text: str) -> None:
    """Tell the user in one line what went wrong."""
    _stderr(f"clacks: {' '.join(text.split())}")


def _stderr(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
