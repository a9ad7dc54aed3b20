"""How many connections the system lets this process have."""

from __future__ import annotations

import logging
import resource

__all__ = ["allow_open_files"]

_log = logging.getLogger(__name__)


def allow_open_files() -> int:
    """Let this process open as many files as the system lets it ask for; return how many.

    Each connection is one. The usual soft limit of 1,024 is there for programs that use ``select``; services
    are expected to raise it themselves (systemd.exec(5), LimitNOFILE).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        _log.warning("the limit of open files stays at %d: %s", soft, error)
        return soft
    return hard
