from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.brokers.rabbitmq import RabbitMQ
from tests.cli.processes import clacks

pytestmark = pytest.mark.broker


def doctor(node: RabbitMQ, home: Path, *, tool: bool) -> str:
    """Run the doctor as the administrator of the node would, with or without its tool on the PATH."""
    environ = node._environment() | {"CLACKS_URL": node.url}
    path = "/usr/lib/rabbitmq/bin" if tool else "/nonexistent"
    # The cookie of the node, with which its tool logs in, is in its home.
    ended = clacks("doctor", home=home, **{**environ, "PATH": f"{path}{os.pathsep}/usr/bin{os.pathsep}/bin"})
    return ended.stdout + ended.stderr


def test_a_node_that_is_configured_well_has_nothing_to_mend(tmp_path: Path) -> None:
    with RabbitMQ() as node:
        out = doctor(node, tmp_path, tool=True)
        assert "broker profile rabbitmq-3: the receiver filters" in out
        assert "nobody comes in without a login" in out
        assert "a policy lets the queues" in out
        assert "fault" not in out
        assert "no agent answers commands" in out
        # A node without topic permissions, as it is installed.
        assert "others may read the answers to calls of admin: ann" in out
        for user in ("admin", "ann"):
            own = rf"^(org\.clacks\.event\..*|reply\.{user}\..*)$"
            node.control("set_topic_permissions", "-p", "/", user, "amq.topic", ".*", own)
        assert "nobody but admin may read" in doctor(node, tmp_path, tool=True)
        node.control("set_topic_permissions", "-p", "/", "admin", "amq.topic", ".*", "event")
        assert "may not read the answers to its own calls" in doctor(node, tmp_path, tool=True)


def test_a_node_that_is_not_is_warned_of(tmp_path: Path) -> None:
    with RabbitMQ(policy=False, anonymous=True) as node:
        out = doctor(node, tmp_path, tool=True)
        assert "lets in whoever has no login" in out
        assert "amqp1_0.default_user = none" in out
        assert "fault   no policy" in out
        assert "set_policy clacks-subscribers" in out
        assert "cannot be seen" in doctor(node, tmp_path, tool=False)
