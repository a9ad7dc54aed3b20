"""``clacks users``: who may log in, and with which roles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clacks.cli import output
from clacks.cli.options import PasswordFile, StateDir
from clacks.common.settings import Settings

__all__ = ["add", "app", "key_add", "key_revoke", "list_users", "remove"]

app = typer.Typer(no_args_is_help=True, help="See, add and remove users and their API keys.")
key = typer.Typer(no_args_is_help=True, help="Add and revoke API keys.")
app.add_typer(key, name="key")

Name = Annotated[str, typer.Argument(metavar="NAME")]


def _settings(state_dir: Path | None) -> Settings:
    return Settings.load().changed(state_dir=state_dir)


@app.command("add")
def add(
    name: Name,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="A role, such as admin; may be given again.")
    ] = None,
    password_file: PasswordFile = None,
    state_dir: StateDir = None,
) -> None:
    """Add a user, or give one that is there a new password or other roles.

    The password is asked for, or comes from --password-file or CLACKS_PASSWORD. A running broker takes the
    change over by itself.
    """
    from clacks.cli import files
    from clacks.cli.connection import new_password
    from clacks.common.credentials import make_credentials
    from clacks.common.rights import add_user

    settings = _settings(state_dir)
    known = files.read_rights(settings)  # a wrong file is better found before the password is typed
    made = make_credentials(name, new_password(name, password_file=password_file))
    with files.changing(settings):
        rights = files.read_text(settings.rights_file)
        if role is not None or name not in known.users:
            rights = add_user(rights, name, role or [], str(settings.rights_file))
            files.write_private(settings.rights_file, rights)
        files.write_credentials(settings, files.read_credentials(settings).joined(made))
    roles = files.read_rights(settings).users[name]
    output.note(f"user {name}: {', '.join(roles) or 'no roles'}")
    if not roles:
        output.warning(
            f"{name} may log in and do nothing; give a role: clacks users add {name} --role reader"
        )


@app.command("remove")
def remove(name: Name, state_dir: StateDir = None) -> None:
    """Remove a user, its roles and its API keys."""
    from clacks.cli import files
    from clacks.common.errors import SettingsError
    from clacks.common.rights import remove_user

    settings = _settings(state_dir)
    with files.changing(settings):
        credentials = files.read_credentials(settings)
        rights = files.read_text(settings.rights_file)
        if name not in credentials.users and name not in files.read_rights(settings).users:
            raise SettingsError("users", f"there is no user {name!r}")
        rest = remove_user(rights, name, str(settings.rights_file))
        if rest != rights:
            files.write_private(settings.rights_file, rest)
        files.write_credentials(settings, credentials.without_user(name))
    output.note(f"removed user {name}")


@app.command("list")
def list_users(state_dir: StateDir = None) -> None:
    """Show users, their roles and the ids of their API keys."""
    from clacks.cli import files

    settings = _settings(state_dir)
    credentials, rights = files.read_credentials(settings), files.read_rights(settings)
    rows = []
    for name in sorted({*credentials.users, *rights.users}):
        keys = [
            f"{item.id} ({item.name})" if item.name else str(item.id)
            for item in sorted(credentials.api_keys.values(), key=lambda item: item.id)
            if item.user == name
        ]
        login = "password" if name in credentials.users else "certificate only"
        rows.append((name, login, ", ".join(rights.users.get(name, ())), ", ".join(keys)))
    output.table(("User", "Login", "Roles", "API keys"), rows)


@key.command("add")
def key_add(
    name: Name,
    label: Annotated[str, typer.Option("--label", help="What the key is for.")] = "",
    state_dir: StateDir = None,
) -> None:
    """Make an API key for a user and show it; it cannot be shown again."""
    from clacks.cli import files
    from clacks.common.credentials import make_api_key

    settings = _settings(state_dir)
    with files.changing(settings):
        credentials = files.read_credentials(settings)
        text, made = make_api_key(credentials, name, label)
        files.write_credentials(settings, credentials.with_api_key(made))
    output.note(f"API key {made.id} of {name}; keep it, it is shown this once:")
    output.line(text)


@key.command("revoke")
def key_revoke(
    id_: Annotated[int, typer.Argument(metavar="ID", help="The digits before the hyphen.")],
    state_dir: StateDir = None,
) -> None:
    """Revoke an API key."""
    from clacks.cli import files
    from clacks.common.errors import SettingsError

    settings = _settings(state_dir)
    with files.changing(settings):
        credentials = files.read_credentials(settings)
        if id_ not in credentials.api_keys:
            raise SettingsError("API key", f"there is no key {id_}")
        user = credentials.api_keys[id_].user
        files.write_credentials(settings, credentials.without_api_key(id_))
    output.note(f"revoked API key {id_} of {user}")
