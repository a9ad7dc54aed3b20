from __future__ import annotations

import logging

import pytest

from clacks.common import audit


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == audit.AUDIT_LOGGER]


def test_the_lines_have_a_fixed_form(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.AUDIT_LOGGER)
    audit.login("broker", "jane", "192.0.2.1", "accepted", "SCRAM-SHA-256")
    audit.login("gateway", "", "2001:db8::1", "wrong")
    audit.refused("broker", "jane", "192.0.2.1", "no right to publish", 3)
    audit.command("desk-1", "clacks:gateway", "jane", "sendEvent", "accepted")
    assert lines(caplog) == [
        "audit login user=jane address=192.0.2.1 result=accepted method=SCRAM-SHA-256 service=broker",
        "audit login user='' address=2001:db8::1 result=wrong method=none service=gateway",
        "audit refused user=jane address=192.0.2.1 reason='no right to publish' service=broker"
        " unlogged_before=3",
        "audit command user=clacks:gateway for=jane method=sendEvent result=accepted node=desk-1",
    ]


@pytest.mark.parametrize(
    "name", ["a b", "x\naudit login user=root", "a=b", "'", "\x1b[2J", "\u202e", "é", "x" * 9999]
)
def test_nobody_writes_a_line_of_his_own(caplog: pytest.LogCaptureFixture, name: str) -> None:
    caplog.set_level(logging.INFO, audit.AUDIT_LOGGER)
    audit.login("broker", name, "192.0.2.1", "wrong")
    (line,) = lines(caplog)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 700
    assert line.startswith(("audit login user='", 'audit login user="'))
