from __future__ import annotations

import errno
import os

from clacks.net.ports import why_not


def test_a_taken_port_says_who_may_have_it() -> None:
    taken = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 1): in use")
    assert why_not(taken) == "Address already in use; another program, or another clacks, listens there"


def test_others_have_the_words_of_the_system_without_the_address() -> None:
    assert why_not(OSError(errno.EACCES, "('0.0.0.0', 80)")) == os.strerror(errno.EACCES)
    assert why_not(OSError("no such family")) == "no such family"
