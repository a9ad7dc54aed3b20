"""Character references and predefined entities in literals and direct constructors."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["is_xml_char", "resolve_references"]

REFERENCE = re.compile(r"&(?:#([0-9]+);|#x([0-9a-fA-F]+);|(lt|gt|amp|quot|apos);|)")
ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


def is_xml_char(code: int) -> bool:
    """Tell whether XML 1.0 allows a character."""
    return (
        0x20 <= code <= 0xD7FF
        or code in (0x9, 0xA, 0xD)
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )


def resolve_references(text: str, token: Any) -> str:
    """Replace references; XPST0003 for one that is none, XQST0090 for a character that XML lacks."""

    def replace(match: re.Match[str]) -> str:
        decimal, hexadecimal, entity = match.groups()
        if entity is not None:
            return ENTITIES[entity]
        if decimal is None and hexadecimal is None:
            raise token.wrong("XPST0003", "'&' begins no reference")
        digits = decimal or hexadecimal
        code = int(digits, 10 if decimal else 16) if len(digits) < 20 else 0x110000
        if not is_xml_char(code):
            raise token.wrong("XQST0090", f"XML has no character {match.group()}")
        return chr(code)

    return REFERENCE.sub(replace, text)
