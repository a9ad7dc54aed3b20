"""Integers as text (F&O 3.1, 4.6.1): digits of any script with grouping, letters, Roman numerals, English
words.

Languages other than English have English words and ordinals; numbering sequences that are not known here give
decimal digits, as the specification asks.
"""

from __future__ import annotations

import re
import unicodedata

from clacks.xquery.budget import small_cache
from clacks.xquery.errors import failure

__all__ = ["format_integer", "group_digits", "ordinal_suffix", "script_zero", "spell"]

SPECIAL = frozenset({"A", "a", "i", "I", "w", "W", "Ww"})
MODIFIER = re.compile(r"([co](\(.*\))?)?([at])?", re.S)
ROMAN = [
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
]  # fmt: skip
ONES: list[str] = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen",
)
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
THOUSANDS = [
    "", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion",
    "septillion",
]  # fmt: skip
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def script_zero(char: str) -> int | None:
    """Return the code point of zero in the script of a decimal digit, None if ``char`` is none."""
    if unicodedata.category(char) != "Nd":
        return None
    return ord(char) - unicodedata.decimal(char)


def spell(number: int) -> str:
    """Write a number in English words; digits beyond the words there are."""
    if number >= 1000 ** len(THOUSANDS):
        return str(number)
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f"-{ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" and {spell(rest)}" if rest else "")
    power = 0
    while number >= 1000 ** (power + 1):
        power += 1
    count, rest = divmod(number, 1000**power)
    words = f"{spell(count)} {THOUSANDS[power]}"
    if not rest:
        return words
    return f"{words} {'and ' if rest < 100 else ''}{spell(rest)}"


def spell_ordinal(words: str) -> str:
    """Turn number words into an ordinal."""
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in ORDINALS:
        return words[:cut] + ORDINALS[last]
    if last.endswith("y"):
        return f"{words[:-1]}ieth"
    return words + (ordinal_suffix(int(last)) if last.isdigit() else "th")


def ordinal_suffix(number: int) -> str:
    """Return st, nd, rd or th."""
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def alphabetic(number: int, first: str) -> str:
    """Count with letters: a to z, aa to az and on."""
    letters = []
    while number:
        number, digit = divmod(number - 1, 26)
        letters.append(chr(ord(first) + digit))
    return "".join(reversed(letters))


def roman(number: int) -> str:
    """Write a Roman numeral in small letters."""
    out = []
    for value, letters in ROMAN:
        count, number = divmod(number, value)
        out.append(letters * count)
    return "".join(out)


def group_digits(digits: str, places: dict[int, str], regular: int) -> str:
    """Put separators between digits.

    Args:
        digits: The digits of an integer.
        places: Separators by the number of digits to their right.
        regular: If not 0, the first place repeats for ever.
    """
    if not places:
        return digits
    if regular:
        separator = places[regular]
        places = dict.fromkeys(range(regular, len(digits), regular), separator)
    out: list[str] = []
    count = len(digits)
    for index, digit in enumerate(digits):
        if index and count - index in places:
            out.append(places[count - index])
        out.append(digit)
    return "".join(out)


class DigitPicture:
    """A decimal digit pattern such as ``#,##0``, read.

    Attributes:
        width: Least number of digits.
        zero: Code point of the script's zero.
        places: Separators by the number of digits to their right.
        regular: Distance at which the separators go on for ever, 0 if they do not.
    """

    def __init__(self, picture: str) -> None:
        self.zero = 0x30
        self.width = 0
        zeros: set[int] = set()
        digits = 0
        separators: list[tuple[int, str]] = []
        previous = ""
        for char in reversed(picture):
            zero = script_zero(char)
            if zero is not None:
                zeros.add(zero)
                if previous == "#":
                    raise picture_error(picture, "'#' must stand left of all digits")
                digits += 1
                self.width += 1
                previous = "0"
            elif char == "#":
                digits += 1
                previous = "#"
            elif unicodedata.category(char)[0] in "NL":
                raise picture_error(picture, f"{char!r} is neither digit nor separator")
            else:
                if not digits or (separators and separators[-1][0] == digits):
                    raise picture_error(picture, "a separator needs a digit on each side")
                separators.append((digits, char))
        if separators and separators[-1][0] == digits:
            raise picture_error(picture, "a separator needs a digit on each side")
        if not self.width:
            raise picture_error(picture, "no digit in it")
        if len(zeros) > 1:
            raise picture_error(picture, "digits of different scripts")
        self.zero = zeros.pop()
        self.places = dict(separators)
        self.regular = 0
        if separators:
            step = separators[0][0]
            same = len({s for _, s in separators}) == 1
            if same and [p for p, _ in separators] == list(range(step, digits, step)):
                self.regular = step

    def apply(self, digits: str) -> str:
        """Write digits with the picture's width, separators and script."""
        text = group_digits(digits.rjust(self.width, "0"), self.places, self.regular)
        if self.zero != 0x30:
            text = text.translate({0x30 + n: self.zero + n for n in range(10)})
        return text


def picture_error(picture: str, reason: str) -> Exception:
    """Make the error for a picture."""
    return failure("FODF1310", f"picture {picture[:60]!r}: {reason}")


@small_cache
def read_digit_picture(picture: str) -> DigitPicture:
    """Read a decimal digit pattern; FODF1310 if it is wrong."""
    return DigitPicture(picture)


def format_integer(value: int, picture: str) -> str:
    """Write an integer by a picture ``primary[;modifier]``.

    Raises:
        QueryEvaluationError: FODF1310 for a wrong picture.
    """
    primary, semicolon, modifier = picture.rpartition(";")
    if not semicolon:
        primary, modifier = picture, ""
    if not primary:
        raise picture_error(picture, "the primary format token is empty")
    match = MODIFIER.fullmatch(modifier)
    if match is None:
        raise picture_error(picture, f"{modifier!r} is no format modifier")
    return write(value, primary, (match[1] or "").startswith("o"))


def write(value: int, primary: str, ordinal: bool) -> str:
    """Write an integer by a primary format token."""
    sign, number = ("-", -value) if value < 0 else ("", value)
    if primary in SPECIAL:
        if primary in ("w", "W", "Ww"):
            words = spell(number)
            if ordinal:
                words = spell_ordinal(words)
            if primary == "W":
                words = words.upper()
            elif primary == "Ww":
                words = " ".join(
                    word if word == "and" else "-".join(part.capitalize() for part in word.split("-"))
                    for word in words.split(" ")
                )
            return sign + words
        if primary in ("a", "A") and number:
            return sign + alphabetic(number, primary)
        if primary in ("i", "I") and 0 < number < 10_000:
            numeral = roman(number)
            return sign + (numeral.upper() if primary == "I" else numeral)
        primary = "1"
    if any(script_zero(char) is not None for char in primary) or "#" in primary:
        text = read_digit_picture(primary).apply(str(number))
    elif unicodedata.category(primary[0])[0] in "LN" or len(primary) == 1:
        # A sequence that is not known: decimal digits instead.
        text = str(number)
    else:
        raise picture_error(primary, "no digit in it")
    return sign + text + (ordinal_suffix(number) if ordinal else "")
