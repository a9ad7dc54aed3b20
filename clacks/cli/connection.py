"""Which bus a command connects to, and who logs in.

A URL comes from --url, else CLACKS_URL, else the settings file. A password comes from --password-file, else
CLACKS_PASSWORD, else the URL, else a prompt. On a command line other users of the machine can see it for a
moment: there it is taken, with a warning, only for a broker on this machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clacks.cli import output
from clacks.common.address import BusURL
from clacks.common.errors import SettingsError
from clacks.common.settings import Settings

if TYPE_CHECKING:
    from clacks.bus import Bus
    from clacks.common.schema import SchemaRegistry
    from clacks.common.tracing import Tracing

__all__ = ["ask_password", "bus_url", "new_password", "open_bus", "read_password_file"]

_MAX_FILE = 4096  # bytes; a password has at most 1,024 characters


def bus_url(
    option: str | None,
    settings: Settings,
    *,
    password_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> BusURL:
    """Return the bus to connect to, with user and password.

    Raises:
        SettingsError: If no bus is named, the URL cannot be read, or there is a user without a password.
    """
    url = BusURL.parse(option, default_domain=settings.domain) if option is not None else settings.url
    if url is None:
        raise SettingsError(
            "bus URL", "no bus is named; say --url amqps://USER@HOST/DOMAIN or set CLACKS_URL"
        )
    if option is not None and url.password is not None:
        _refuse_or_warn("a password in --url", url.loopback)
    if url.user is None:
        return url
    if password_file is not None:
        return replace(url, password=read_password_file(password_file))
    if environ.get("CLACKS_PASSWORD"):
        return replace(url, password=environ["CLACKS_PASSWORD"])
    if url.password is not None:
        return url
    return replace(url, password=ask_password(f"Password of {url.user} at {url.host}"))


def open_bus(
    url: BusURL,
    settings: Settings,
    registry: SchemaRegistry | None = None,
    *,
    tracing: Tracing | None = None,
) -> Bus:
    """Return the bus at ``url``, not yet connected, with what the settings say of connections."""
    from clacks.bus import Bus

    return Bus(
        url,
        registry=registry,
        ca=str(settings.ca_file) if settings.ca_file is not None else None,
        profile=settings.profile or None,
        limits=settings.limits,
        trust_users=settings.trust_users,
        tracing=tracing,
    )


def _refuse_or_warn(what: str, loopback: bool) -> None:
    if not loopback:
        raise SettingsError(
            "password",
            f"{what} can be seen by other users; use CLACKS_PASSWORD, --password-file or the prompt",
        )
    output.warning(f"{what} could be seen by other users of this machine")


def read_password_file(path: Path) -> str:
    """Return the first line of a file.

    Raises:
        SettingsError: If the file is empty or no text.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077 and path.is_file():
            output.warning(f"{path} can be read by others: chmod 600 {path}")
        data = file.readline(_MAX_FILE)
    try:
        password = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SettingsError(str(path), "not UTF-8 text") from error
    if not password:
        raise SettingsError(str(path), "its first line, the password, is empty")
    return password


def ask_password(question: str) -> str:
    """Ask at the terminal, without an echo.

    Raises:
        SettingsError: If there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise SettingsError("password", "none given; set CLACKS_PASSWORD or use --password-file")
    import getpass

    password = getpass.getpass(f"{question}: ")
    if not password:
        raise SettingsError("password", "empty")
    return password


def new_password(
    user: str,
    *,
    text: str | None = None,
    password_file: Path | None = None,
    loopback: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return the password that a new user shall have; at a prompt it is asked twice.

    ``text`` is one from the command line, taken with a warning where ``loopback`` says that the broker is
    for this machine alone.

    Raises:
        SettingsError: If there is none, or the two differ.
    """
    if text is not None:
        _refuse_or_warn(f"the password in --user {user}:***", loopback)
        return text
    if password_file is not None:
        return read_password_file(password_file)
    if environ.get("CLACKS_PASSWORD"):
        return environ["CLACKS_PASSWORD"]
    password = ask_password(f"New password of {user}")
    if ask_password("Again") != password:
        raise SettingsError("password", "the two differ")
    return password
