"""``clacks token``: make a token for the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clacks.cli import output
from clacks.cli.options import StateDir

__all__ = ["app", "token"]

app = typer.Typer(add_completion=False)


@app.command()
def token(
    user: Annotated[
        str | None,
        typer.Argument(
            metavar="[USER]",
            help="User of the rights file, who is also the origin of messages; a guest if not said.",
        ),
    ] = None,
    read: Annotated[
        list[str] | None,
        typer.Option(
            "--read", metavar="TOPIC", help="Topic or pattern that may be read; may be given again."
        ),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            "--write", metavar="TOPIC", help="Topic or pattern that may be written; may be given again."
        ),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            "--rate",
            metavar="TOPIC=N/SECONDS",
            help="At most N messages in so many seconds; may be given again.",
        ),
    ] = None,
    hours: Annotated[
        float, typer.Option("--hours", metavar="HOURS", min=0.0, help="How long it counts; 0 is for ever.")
    ] = 24.0,
    private_key: Annotated[
        Path | None,
        typer.Option("--private-key", metavar="FILE", help="Private key (PEM) for RS256 and ES256."),
    ] = None,
    state_dir: StateDir = None,
) -> None:
    """Make a token and print it. Whoever has it may do what it says until it expires.

    The gateway takes it as Authorization header or as the query parameter auth; never more is allowed than
    the rights file allows the user.
    """
    import time

    from clacks.cli.web import make_token_key
    from clacks.common.errors import SettingsError
    from clacks.common.settings import Settings
    from clacks.dialects.access import RateLimit
    from clacks.gateway.tokens import TokenKey, make_token

    settings = Settings.load().changed(state_dir=state_dir)
    if settings.web.token_algorithm == "HS256":  # noqa: S105 - a name
        key = make_token_key(settings)
    elif private_key is None:
        raise SettingsError("--private-key", f"{settings.web.token_algorithm} signs with a private key")
    else:
        try:
            key = TokenKey(settings.web.token_algorithm, private_key.read_bytes())
        except OSError as error:
            raise SettingsError(str(private_key), error.strerror or str(error)) from error
    limits = []
    for text in rate or ():
        topic, _, numbers = text.rpartition("=")
        most, _, seconds = numbers.partition("/")
        try:
            limits.append(RateLimit(topic, float(seconds), int(most)))
        except ValueError:
            raise SettingsError("--rate", f"TOPIC=N/SECONDS expected, not {text!r}") from None
    if limits and user is None:
        raise SettingsError("--rate", "a rate limit needs a user: it counts for all of its connections")
    made = make_token(
        key,
        user=user,
        now=time.time(),
        seconds=hours * 3600 or None,
        read=read,
        write=write,
        limits=limits,
    )
    output.line(made)
