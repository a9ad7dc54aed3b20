"""A broker whose file descriptors were used up read its schema folders again, found them empty, and dropped
every event as of unknown type (found by tests/chaos)."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from clacks.common.schema import SchemaRegistry


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_registry_that_can_open_no_files_keeps_what_it_read() -> None:
    registry = SchemaRegistry(plugins=False)
    before = set(registry.kinds)
    with no_descriptors():
        assert not registry.stale()
        assert not registry.reload()
        assert set(registry.kinds) == before
    assert before
    assert not registry.stale()
