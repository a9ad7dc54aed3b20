"""Options that several commands share, with their words of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = [
    "Domain",
    "Events",
    "Listeners",
    "LogFormat",
    "MetricsAt",
    "NoAuth",
    "PasswordFile",
    "StateDir",
    "Timeout",
    "Url",
]

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The bus: amqp[s]://user@host[:port]/domain; else CLACKS_URL, else the settings file.",
    ),
]
PasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read the password from the first line of this file; else CLACKS_PASSWORD, else a prompt.",
    ),
]
Events: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--events",
        metavar="FOLDER",
        help="A folder with schemas of your own event types; may be given again. Else CLACKS_EVENTS.",
    ),
]
StateDir: TypeAlias = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="FOLDER", help="Where certificates, users and rights are kept."),
]
Domain: TypeAlias = Annotated[
    str | None,
    typer.Option("--domain", metavar="DOMAIN", help="First part of all addresses, such as org.clacks."),
]
Timeout: TypeAlias = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="How long to wait for the answer.")
]
Listeners: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        metavar="KIND=HOST:PORT",
        help="Where to listen; may be given again. Kinds: http, https, eventhub, truenas (also unix:PATH), "
        "sysadm, sysadm-bridge, amqp, amqps.",
    ),
]
MetricsAt: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="HOST:PORT",
        help="Show numbers for Prometheus and clacks top at /metrics there; PORT alone: for this machine.",
    ),
]
LogFormat: TypeAlias = Annotated[
    str | None,
    typer.Option("--log-format", metavar="text|json", help="How the log is written to standard error."),
]
NoAuth: TypeAlias = Annotated[
    bool,
    typer.Option("--no-auth", help="Whoever comes over the web is a guest; on loopback only."),
]
