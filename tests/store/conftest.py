"""The contract of a store is tested on all kinds: SQLite in a folder, Redis as a server on a socket."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.stores import Kind, RedisKind, SqliteKind


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run Debian's Redis without a port, and yield its address."""
    server = shutil.which("redis-server")
    assert server is not None, "redis-server is missing: make setup-tools"
    # The path of a socket has at most 107 bytes, and pytest's folders are long.
    socket = Path(f"/tmp/clacks-redis-{time.monotonic_ns()}.sock")
    process = subprocess.Popen(
        [server, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--appendonly", "yes"],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not socket.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(20)
        socket.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.tool)])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "sqlite":
        return SqliteKind(tmp_path / "log.sqlite")
    return RedisKind(request.getfixturevalue("redis_address"), f"t{time.monotonic_ns()}")
