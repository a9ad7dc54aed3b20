"""``clacks clients``: the clients of a domain."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clacks.cli.options import PasswordFile, Timeout, Url

__all__ = ["app", "clients"]

app = typer.Typer(add_completion=False)

_HEADINGS = ("client", "name", "login", "users", "methods", "since", "heard")
_PAGE = 1000


@app.command()
def clients(
    url: Url = None,
    password_file: PasswordFile = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Ask this agent, not any.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the table again and again.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Show what the agent answers, as JSON.")] = False,
    most: Annotated[
        int, typer.Option("--most", metavar="N", min=1, help="Show at most so many, by id.")
    ] = 10_000,
    timeout: Timeout = 10.0,
) -> None:
    """Show the clients: name, login, who is logged on, since when, when last heard of."""
    from clacks.cli import tables

    async def ask(bus: Any) -> Any:
        found: dict[str, Any] = {}
        while len(found) < most:
            after = next(reversed(found), "")
            wanted = min(_PAGE, most - len(found))
            page = await bus.call("getClients", after, wanted, node=node, timeout=timeout)
            found.update(page)
            if len(page) < wanted:
                break
        return found

    def rows(found: Any) -> list[list[str]]:
        return [
            [
                name,
                facts["name"],
                facts["user"] or "",
                "?" if facts["sessions"] is None else ", ".join(facts["sessions"]),
                str(facts["methods"]),
                facts["since"],
                facts["heard"],
            ]
            for name, facts in found.items()
        ]

    tables.show(url, password_file, ask, _HEADINGS, rows, watch=watch, json=json, kinds=tables.CLIENT_KINDS)
