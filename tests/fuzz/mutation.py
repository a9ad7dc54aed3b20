"""Bad inputs out of good ones: the same number gives the same inputs on every machine.

Plain on purpose. Where atheris is installed it steers by coverage and finds more in the same time; this one
runs everywhere, in the short form of the suite too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["LARGEST", "mutate"]

LARGEST = 16 * 1024
"""Bytes of an input; what is larger is refused by its size, which has tests of its own."""

_EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def mutate(seeds: Sequence[bytes], words: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a seed with a few changes: bits, pieces cut, doubled, moved, words put in, seeds joined."""
    data = bytearray(chance.choice(seeds))
    for _ in range(1 + int(chance.expovariate(0.5))):
        size = len(data)
        if not size:
            data += chance.choice(seeds)
            continue
        at = chance.randrange(size)
        far = min(size, at + 1 + int(chance.expovariate(0.1)))
        match chance.randrange(10):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.randrange(256)
            case 2:
                data[at] = chance.choice(_EDGES)
            case 3:
                del data[at:far]
            case 4:
                data[at:at] = data[at:far]
            case 5:
                piece = data[at:far]
                del data[at:far]
                to = chance.randrange(len(data) + 1)
                data[to:to] = piece
            case 6:
                data[at:far] = chance.choice(words) if words else b"\0"
            case 7:
                data[at:at] = chance.choice(words) if words else b"\xff"
            case 8:
                other = chance.choice(seeds)
                cut = chance.randrange(len(other) + 1)
                data[at:] = other[cut:]
            case _:
                data[at:at] = bytes(data[at:far]) * chance.choice((2, 10, 100))
        del data[LARGEST:]
    return bytes(data)
