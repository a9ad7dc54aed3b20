"""For all tests: short names, one start of what the tests of a module share, Ctrl-C, and compiled modules."""

from __future__ import annotations

import os
import signal
import sys

import pytest

_LONGEST_ID = 60


def pytest_configure() -> None:
    """Take Ctrl-C, and let the programs of the tests take it; let them keep compiled modules.

    A shell starts what runs in the background with SIGINT ignored, and whatever that starts inherits it. The
    tests start hundreds of programs: where the environment forbids compiled modules, each of them compiles
    nearly three hundred, which took a quarter of the time of all tests.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name long texts by how they begin: a megabyte of bad input is no name."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_ID:
        return f"{val[:_LONGEST_ID]!a} and {len(val) - _LONGEST_ID} more"
    return None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a fixture of their module on one worker, so that it is made once."""
    for item in items:
        if not isinstance(item, pytest.Function) or item.get_closest_marker("xdist_group"):
            continue
        known = item._fixtureinfo.name2fixturedefs
        if any(one.scope == "module" for found in known.values() for one in found):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
