"""Frames and chunks, at the sizes where their heads change."""

from __future__ import annotations

import pytest

from clacks.net.web_frames import chunk, close_frame, text_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (98303, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x7f\xff"),
    ],
)
def test_the_head_of_a_frame_says_its_length(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size


def test_a_close_frame_has_a_code_and_a_short_reason_or_nothing() -> None:
    assert close_frame(None) == b"\x88\x00"
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(1008, "no") == b"\x88\x04\x03\xf0no"
    long = close_frame(1008, "ä" * 100)
    assert long[1] == len(long) - 2 <= 125
    long[4:].decode()


def test_no_bytes_are_no_chunk_for_that_would_be_the_end() -> None:
    assert chunk(b"abc") == b"3\r\nabc\r\n"
    assert chunk(b"") == b""
