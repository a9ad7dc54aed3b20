"""The command ``clacks``: finds the module of a command, and turns what goes wrong into one line and a code.

A module of this folder is imported when its command is called and not before; what a command needs of the
rest of Clacks is imported inside it. So ``clacks --help`` does not wait for what it does not use.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from clacks.cli.title import hide_passwords

__all__ = ["COMMANDS", "Commands", "app", "main"]

COMMANDS: dict[str, str] = {
    "up": "Start broker, agent and gateway on this machine.",
    "broker": "Start the embedded broker alone.",
    "agent": "Start an agent that connects to a broker.",
    "gateway": "Start a gateway for browsers and the clients of others.",
    "client": "Start a managed client that serves its commands.",
    "source": "Start a source: collectd, puppet, asterisk, host, jobs.",
    "install-service": "Install systemd units for services of Clacks.",
    "listen": "Show events as they come.",
    "send": "Send one event.",
    "call": "Call a command of an agent.",
    "nodes": "Show the nodes of the domain.",
    "clients": "Show the clients of the domain.",
    "top": "Show what goes through the bus, live.",
    "log": "See, copy and prune the event log of a running agent.",
    "events": "See, check and make event types.",
    "users": "See, add and remove users and their API keys.",
    "token": "Make a token for the gateway.",
    "query": "Evaluate an XQuery on a file.",
    "doctor": "Check installation and connection, and say what to do.",
}
"""Every command; the module of the same name in this folder has it as ``app``."""


class Commands(TyperGroup):
    """The group of all commands, which imports a command when it is called."""

    _only_names = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; while help is written only its name and its line."""
        if cmd_name not in COMMANDS:
            return None
        if self._only_names:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        module = importlib.import_module(f"clacks.cli.{cmd_name.replace('-', '_')}")
        module.app.rich_markup_mode = self.rich_markup_mode
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write help without importing the commands."""
        self._only_names = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._only_names = False


app = typer.Typer(
    name="clacks",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"clacks {version('clacks')}")
        raise typer.Exit


@app.callback()
def clacks(
    ctx: typer.Context,
    settings: Annotated[
        str | None, typer.Option("--settings", metavar="FILE", help="Settings file instead of the usual one.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something goes wrong, and log more.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """An event bus for XML events: XSD defines them, AMQP 1.0 carries them, XQuery selects them."""
    if settings is not None:
        os.environ["CLACKS_SETTINGS"] = settings
    from clacks.cli.output import log_to_stderr

    log_to_stderr(bool((ctx.obj or {}).get("debug")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; the console script ``clacks``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    hide_passwords(given)
    # --debug is for whoever has just seen an error and presses "up": it counts at any place.
    options = given[: given.index("--")] if "--" in given else given
    debug = "--debug" in options
    rest = [text for text in options if text != "--debug"] + given[len(options) :]
    named = os.environ.get("CLACKS_SETTINGS")
    try:
        return _run(rest, debug)
    except KeyboardInterrupt:
        return 130
    finally:
        # --settings says it for the time of one command, whoever calls this function.
        if named is None:
            os.environ.pop("CLACKS_SETTINGS", None)
        else:
            os.environ["CLACKS_SETTINGS"] = named


def _run(arguments: list[str], debug: bool) -> int:
    app.rich_markup_mode = "rich" if sys.stdout.isatty() else None
    from typer._click.exceptions import NoArgsIsHelpError
    from typer.exceptions import Abort, TyperException

    from clacks.cli import output

    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="clacks", standalone_mode=False, obj={"debug": debug})
        return int(code or 0)
    except NoArgsIsHelpError as problem:
        output.note(problem.ctx.get_help() if problem.ctx else str(problem))
        return 2
    except TyperException as problem:
        context = getattr(problem, "ctx", None)
        hint = f" ({context.command_path} --help tells more)" if context is not None else ""
        output.error(problem.format_message() + hint)
        return 2
    except Abort:
        return 130
    except Exception as problem:
        if debug:
            raise
        return _explain(problem)


def _explain(problem: Exception) -> int:
    """Say in one line what went wrong and return the exit code for it."""
    from clacks.cli import output
    from clacks.cli.exits import Exit, exit_code
    from clacks.common.errors import ClacksError, QueryError

    if isinstance(problem, ClacksError):
        output.error(str(problem))
        if isinstance(problem, QueryError) and (excerpt := problem.excerpt()):
            output.note(excerpt)
        return exit_code(problem)
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{problem.filename}: " if problem.filename is not None else ""
        output.error(f"{where}{problem.strerror}")
        return Exit.USAGE
    output.error(f"a fault in Clacks: {type(problem).__name__}: {problem} (--debug shows where)")
    return Exit.FAULT


if __name__ == "__main__":
    sys.exit(main())
