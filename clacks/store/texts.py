"""Keys and values as bytes, and what they may be; the same wherever they are kept."""

from __future__ import annotations

from clacks.common.errors import StoreFull
from clacks.common.limits import Limits

__all__ = ["check_text", "encoded", "plain", "seconds"]


def encoded(text: str) -> bytes:
    """Return any text as bytes: JSON may hold lone surrogates, which UTF-8 proper cannot."""
    return text.encode("utf-8", "surrogatepass")


def plain(data: bytes) -> str:
    """Return the text that `encoded` made these bytes of."""
    return data.decode("utf-8", "surrogatepass")


def check_text(key: bytes, value: bytes, limits: Limits) -> None:
    """Raise StoreFull if a key or a value is too long."""
    if len(key) > limits.kv_key_bytes:
        raise StoreFull(f"a key has at most {limits.kv_key_bytes} bytes, not {len(key)}")
    if len(value) > limits.kv_value_bytes:
        raise StoreFull(f"a value has at most {limits.kv_value_bytes} bytes, not {len(value)}")


def seconds(ttl: float | None) -> float | None:
    """Return a time to live that can be used. Raises ValueError if it is none."""
    if ttl is None:
        return None
    if not 0 < ttl < 1e11:  # three thousand years
        raise ValueError(f"a time to live is a positive number of seconds, not {ttl!r}")
    return ttl
