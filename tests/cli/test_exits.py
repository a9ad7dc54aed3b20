from __future__ import annotations

import pytest

from clacks.cli.exits import MEANINGS, Exit, exit_code
from clacks.common import errors


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MalformedEvent("x"), Exit.EVENT),
        (errors.InvalidEvent("K", "/", "x"), Exit.EVENT),
        (errors.SchemaError("f", "x"), Exit.EVENT),
        (errors.QuerySyntaxError("XPST0003", "x"), Exit.QUERY),
        (errors.ConnectionFailed("x"), Exit.CONNECTION),
        (errors.ProtocolError("x"), Exit.CONNECTION),
        (errors.LoginRefused("x"), Exit.REFUSED),
        (errors.LinkRefused("amqp:unauthorized-access"), Exit.REFUSED),
        (errors.CommandRefused(1, "x"), Exit.COMMAND),
        (errors.CommandTimeout(1, "x"), Exit.TIMEOUT),
        (errors.OutcomeUnknown(1, "x"), Exit.TIMEOUT),
        (errors.SettingsError("f", "x"), Exit.SETTINGS),
        (errors.ClacksError("x"), Exit.FAULT),
    ],
)
def test_errors_have_codes(error: errors.ClacksError, code: Exit) -> None:
    assert exit_code(error) is code


def test_every_error_of_the_second_level_has_a_code_of_its_own_kind() -> None:
    for kind in errors.ClacksError.__subclasses__():
        made = kind.__new__(kind)
        assert exit_code(made) is not Exit.FAULT, kind
