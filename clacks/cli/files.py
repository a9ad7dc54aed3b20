"""Reading and changing the files of a service: credentials and rights.

A file is replaced as a whole, under a lock: who reads it sees the old or the new one, and two commands at the
same time do not undo each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging.handlers
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path

from clacks.common.audit import AUDIT_LOGGER
from clacks.common.credentials import Credentials, format_credentials, parse_credentials
from clacks.common.errors import SettingsError
from clacks.common.rights import Rights, parse_rights
from clacks.common.settings import Settings

__all__ = [
    "audit_to",
    "changing",
    "read_credentials",
    "read_rights",
    "read_text",
    "salted_credentials",
    "write_credentials",
    "write_private",
]


class _PrivateLog(logging.handlers.WatchedFileHandler):
    """A file for its owner alone; made again if somebody moved it away."""

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return open(handle, "a", encoding="utf-8")


def audit_to(path: Path) -> None:
    """Write the audit log to a file, too.

    Raises:
        SettingsError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = _PrivateLog(path)
    except OSError as error:
        raise SettingsError("audit_log", f"{path}: {error.strerror or error}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger(AUDIT_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)


@contextlib.contextmanager
def changing(settings: Settings) -> Iterator[None]:
    """Hold the lock of the state folder; makes the folder, for its owner only, if it is not there."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # For its owner alone: whoever can open it can also hold the lock.
    opened = os.open(settings.state_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(opened, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_text(path: Path) -> str:
    """Return the text of a file; empty if there is none.

    Raises:
        SettingsError: If it is no text.
    """
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise SettingsError(str(path), "not UTF-8 text") from error


def write_private(path: Path, text: str) -> None:
    """Put a file in place of the old one at once, readable for its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_credentials(settings: Settings) -> Credentials:
    """Return the credentials on disk; none if there is no file.

    Raises:
        SettingsError: If the file cannot be understood.
    """
    return parse_credentials(read_text(settings.credentials_file), str(settings.credentials_file))


def salted_credentials(settings: Settings) -> Credentials:
    """Return the credentials on disk for a service that lets users in.

    Makes the secret for the salts of users who do not exist, if it is not there: see `Credentials.salts`.

    Raises:
        SettingsError: If a file cannot be understood.
    """
    path = settings.state_dir / "salts.key"
    secret = read_text(path).strip()
    if not secret:
        with changing(settings):
            secret = read_text(path).strip()  # another service may have made it just now
            if not secret:
                secret = secrets.token_hex(32)
                write_private(path, secret + "\n")
    return replace(read_credentials(settings), salts=secret.encode())


def write_credentials(settings: Settings, credentials: Credentials) -> None:
    """Put these credentials on disk."""
    write_private(settings.credentials_file, format_credentials(credentials))


def read_rights(settings: Settings) -> Rights:
    """Return the rights on disk; those of nobody if there is no file.

    Raises:
        SettingsError: If the file cannot be understood.
    """
    return parse_rights(read_text(settings.rights_file), str(settings.rights_file))
