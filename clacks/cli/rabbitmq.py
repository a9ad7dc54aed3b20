"""What ``clacks doctor`` reads out of a RabbitMQ node with its own tool, on the machine of the node.

AMQP shows neither policies nor permissions. `ask` runs ``rabbitmqctl``; what its answers mean is pure.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

__all__ = ["EXCHANGE", "ask", "eavesdroppers", "expires", "reads_own_answers"]

EXCHANGE: Final = "amq.topic"
"""The exchange behind ``/topic/...``: events and answers go through it."""

_SECONDS: Final = 30


def ask(*arguments: str) -> list[Mapping[str, Any]] | None:
    """Return the rows that a command of ``rabbitmqctl`` lists, or None if it cannot be asked here.

    Raises:
        ValueError: Its answer is no list of objects.
    """
    program = shutil.which("rabbitmqctl")
    if program is None:
        return None
    asked = subprocess.run(  # noqa: S603 - words of ours alone
        [program, "-q", *arguments, "--formatter", "json"], capture_output=True, timeout=_SECONDS, check=False
    )
    if asked.returncode:
        return None
    rows = json.loads(asked.stdout or b"[]")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("rabbitmqctl did not answer with a list of objects")
    return rows


def expires(policies: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether one of the policies lets the queues of subscribers that left expire."""
    return any(
        re.search(policy["pattern"], "amq.gen-x")
        and "expires" in str(policy["definition"])
        and policy.get("apply-to") in ("queues", "all")
        for policy in policies
    )


def _topic(user: str) -> str:
    # As `clacks.common.address.reply_address` writes it, with an id that nobody has.
    return f"reply.{quote(user, safe='').replace('.', '%2E').replace('~', '%7E')}.0"


def _may_read(topic: str, user: str, permissions: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a login may bind a queue of its own to a topic; without any permission it may all."""
    for row in permissions:
        if row.get("user") == user and row.get("exchange") == EXCHANGE:
            # The node searches, and puts the name of the login in first.
            pattern = str(row["read"]).replace("{username}", user)
            return re.search(pattern, topic) is not None
    return True


def reads_own_answers(user: str, permissions: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a login may read the answers to its own calls."""
    return _may_read(_topic(user), user, permissions)


def eavesdroppers(
    user: str, users: Iterable[Mapping[str, Any]], permissions: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Return the other logins that may read the answers to this one's calls, sorted."""
    rows = list(permissions)
    names = {str(row["user"]) for row in users} - {user}
    return sorted(name for name in names if _may_read(_topic(user), name, rows))
