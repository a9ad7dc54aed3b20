"""``clacks nodes``: the nodes of a domain."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clacks.cli.options import PasswordFile, Timeout, Url

__all__ = ["app", "nodes"]

app = typer.Typer(add_completion=False)

_HEADINGS = ("node", "load", "latency", "workers", "methods", "since", "heard", "")


@app.command()
def nodes(
    url: Url = None,
    password_file: PasswordFile = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Ask this agent, not any.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the table again and again.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Show what the agent answers, as JSON.")] = False,
    timeout: Timeout = 10.0,
) -> None:
    """Show the nodes: load by processor, latency of the bus, idle workers, since when, when last heard of."""
    from clacks.cli import tables

    async def ask(bus: Any) -> Any:
        return await bus.call("getNodes", node=node, timeout=timeout)

    def rows(found: Any) -> list[list[str]]:
        return [
            [
                name,
                tables.number(facts.get("load"), "{:.2f}"),
                tables.number(facts.get("latency"), "{:.1f} ms", 1000),
                tables.number(facts.get("workers"), "{}"),
                tables.number(facts.get("methods"), "{}"),
                facts.get("since") or "",
                facts.get("heard") or "",
                "another agent has the same id" if facts.get("contested") else "",
            ]
            for name, facts in found.items()
        ]

    tables.show(url, password_file, ask, _HEADINGS, rows, watch=watch, json=json, kinds=tables.NODE_KINDS)
