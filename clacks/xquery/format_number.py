"""Numbers as text by pictures and decimal formats (F&O 3.1, 4.7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from clacks.xquery.budget import small_cache
from clacks.xquery.errors import failure
from clacks.xquery.format_integer import group_digits

__all__ = ["format_number"]


@dataclass(frozen=True, slots=True)
class Format:
    """The characters of a decimal format."""

    decimal: str
    grouping: str
    exponent: str
    percent: str
    per_mille: str
    zero: str
    digit: str
    pattern: str
    minus: str
    infinity: str
    nan: str

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Format:
        """Read the properties of a decimal format."""
        return cls(
            properties.get("decimal-separator", "."),
            properties.get("grouping-separator", ","),
            properties.get("exponent-separator", "e"),
            properties.get("percent", "%"),
            properties.get("per-mille", "\u2030"),
            properties.get("zero-digit", "0"),
            properties.get("digit", "#"),
            properties.get("pattern-separator", ";"),
            properties.get("minus-sign", "-"),
            properties.get("infinity", "Infinity"),
            properties.get("NaN", "NaN"),
        )

    def is_zero_family(self, char: str) -> bool:
        """Tell whether a character is one of the ten digits."""
        return 0 <= ord(char) - ord(self.zero) < 10


class SubPicture:
    """One half of a picture, read (4.7.4)."""

    def __init__(self, text: str, form: Format, picture: str) -> None:
        self.scale = 0
        active = [self.is_active(text, index, form) for index in range(len(text))]
        if True not in active:
            raise wrong(picture, "no digit in it")
        first = active.index(True)
        last = len(active) - active[::-1].index(True)
        self.prefix, body, self.suffix = text[:first], text[first:last], text[last:]
        if False in active[first:last]:
            raise wrong(picture, f"{body[active[first:last].index(False)]!r} stands between digits")
        marks = text.count(form.percent) + text.count(form.per_mille)
        if marks > 1:
            raise wrong(picture, "more than one percent or per-mille sign")
        self.factor = 100 if form.percent in text else 1000 if form.per_mille in text else 1
        mantissa, exponent_mark, exponent = body.partition(form.exponent)
        self.exponent_size = 0
        if exponent_mark:
            if marks:
                raise wrong(picture, "an exponent and a percent or per-mille sign")
            if not exponent or not all(form.is_zero_family(c) for c in exponent):
                raise wrong(picture, "the exponent must be digits")
            self.exponent_size = len(exponent)
        if mantissa.count(form.decimal) > 1:
            raise wrong(picture, "more than one decimal separator")
        whole, point, fraction = mantissa.partition(form.decimal)
        self.check(whole, point, fraction, form, picture)
        self.places, self.regular = grouping(whole, form)
        self.fraction_places = fraction_grouping(fraction, form)
        self.least_whole = sum(form.is_zero_family(c) for c in whole)
        self.least_fraction = sum(form.is_zero_family(c) for c in fraction)
        self.most_fraction = self.least_fraction + fraction.count(form.digit)
        self.scale = self.least_whole
        if self.least_whole == 0 and self.most_fraction == 0:
            if self.exponent_size:
                self.least_fraction = self.most_fraction = 1
            else:
                self.least_whole = 1
        if self.exponent_size and self.least_whole == 0 and form.digit in whole:
            self.least_whole = 1
        if self.least_whole == 0 and self.least_fraction == 0:
            self.least_fraction = 1

    @staticmethod
    def is_active(text: str, index: int, form: Format) -> bool:
        """Tell whether the character at a place is part of the number rather than of prefix or suffix."""
        char = text[index]
        if char in (form.decimal, form.grouping, form.digit) or form.is_zero_family(char):
            return True
        if char != form.exponent or index == 0 or index == len(text) - 1:
            return False
        plain = (form.decimal, form.grouping, form.digit)
        before, after = text[index - 1], text[index + 1]
        return (before in plain or form.is_zero_family(before)) and (
            after in plain or form.is_zero_family(after)
        )

    @staticmethod
    def check(whole: str, point: str, fraction: str, form: Format, picture: str) -> None:
        """Check the order of digits and separators in the mantissa."""
        group = form.grouping
        if not any(c == form.digit or form.is_zero_family(c) for c in whole + fraction):
            raise wrong(picture, "no digit in it")
        if whole.endswith(group) or (point and fraction.startswith(group)):
            raise wrong(picture, "a grouping separator beside the decimal separator or at the end")
        if group * 2 in whole + " " + fraction:
            raise wrong(picture, "two grouping separators side by side")
        bare = whole.replace(group, "")
        if form.digit in bare.lstrip(form.digit):
            raise wrong(picture, "an optional digit right of a mandatory one")
        bare = fraction.replace(group, "")
        if bare.rstrip(form.digit) and form.digit in bare.rstrip(form.digit):
            raise wrong(picture, "an optional digit left of a mandatory one in the fraction")


def grouping(whole: str, form: Format) -> tuple[dict[int, str], int]:
    """Return the separators of the integer part by digits to their right, and their distance if regular."""
    places: list[int] = []
    digits = 0
    for char in reversed(whole):
        if char == form.grouping:
            places.append(digits)
        else:
            digits += 1
    regular = 0
    if places and places == [places[0] * n for n in range(1, len(places) + 1)]:
        # The digits left of the last separator must not be more than a full group.
        regular = places[0] if digits - places[-1] <= places[0] else 0
    return dict.fromkeys(places, form.grouping), regular


def fraction_grouping(fraction: str, form: Format) -> list[int]:
    """Return the places of separators in the fraction, by digits to their left."""
    places: list[int] = []
    digits = 0
    for char in fraction:
        if char == form.grouping:
            places.append(digits)
        else:
            digits += 1
    return places


def wrong(picture: str, reason: str) -> Exception:
    """Make the error for a picture."""
    return failure("FODF1310", f"picture {picture[:60]!r}: {reason}")


@small_cache
def read_picture(picture: str, form: Format) -> tuple[SubPicture, SubPicture | None]:
    """Read a picture: the half for all numbers or for positive ones, and the half for negative ones."""
    halves = picture.split(form.pattern)
    if len(halves) > 2:
        raise wrong(picture, "more than one pattern separator")
    return SubPicture(halves[0], form, picture), SubPicture(halves[1], form, picture) if len(
        halves
    ) > 1 else None


def format_number(value: Any, picture: str, properties: Mapping[str, str]) -> str:
    """Write a number.

    Args:
        value: A number, or None which counts as NaN.
        picture: The picture string.
        properties: The decimal format, by the names of the prolog's ``declare decimal-format``.

    Raises:
        QueryEvaluationError: FODF1310 for a wrong picture.
    """
    form = Format.of(properties)
    positive, negative = read_picture(picture, form)
    if value is None or value != value:
        return form.nan
    below_zero = math.copysign(1, value) < 0 if isinstance(value, float) else value < 0
    if below_zero and negative is not None:
        sub, sign = negative, ""
    else:
        sub, sign = positive, form.minus if below_zero else ""
    if isinstance(value, float) and math.isinf(value):
        return sign + sub.prefix + form.infinity + sub.suffix
    # The shortest digits that stand for the double, not the 50 that its binary form has.
    from clacks.xquery.values import string_of

    number = Decimal(string_of(value) if isinstance(value, float) else value).copy_abs()
    room = Context(
        prec=max(
            40, number.adjusted() + sub.most_fraction + sub.scale + 60, len(number.as_tuple().digits) + 8
        )
    )
    number = room.multiply(number, Decimal(sub.factor))
    if isinstance(value, float) and number and number.adjusted() > 308 and sub.factor > 1:
        return sign + sub.prefix + form.infinity + sub.suffix
    exponent = 0
    if sub.exponent_size and number:
        exponent = number.adjusted() + 1 - sub.scale
        number = room.scaleb(number, -exponent)
    number = number.quantize(Decimal(1).scaleb(-sub.most_fraction), rounding=ROUND_HALF_EVEN, context=room)
    digits = format(number, "f")
    whole, _, fraction = digits.partition(".")
    whole = whole.lstrip("0").rjust(sub.least_whole, "0")
    fraction = fraction.rstrip("0").ljust(sub.least_fraction, "0")
    text = group_digits(whole, sub.places, sub.regular)
    if fraction:
        text += form.decimal + group_fraction(fraction, sub.fraction_places, form.grouping)
    if sub.exponent_size:
        text += (
            form.exponent
            + (form.minus if exponent < 0 else "")
            + str(abs(exponent)).rjust(sub.exponent_size, "0")
        )
    if form.zero != "0":
        zero = ord(form.zero)
        text = text.translate({0x30 + n: zero + n for n in range(10)})
    return sign + sub.prefix + text + sub.suffix


def group_fraction(fraction: str, places: list[int], separator: str) -> str:
    """Put separators into a fraction."""
    pieces = []
    at = 0
    for place in places:
        if place >= len(fraction):
            break
        pieces.append(fraction[at:place])
        at = place
    pieces.append(fraction[at:])
    return separator.join(pieces)
