from __future__ import annotations

from typing import Any, Literal

import pytest

from clacks.common.errors import CommandError
from clacks.common.jsonrpc import INVALID_PARAMS
from clacks.common.signature import Signature


def move(
    name: str,
    steps: int = 1,
    speed: float | None = None,
    *,
    direction: Literal["up", "down"] = "up",
) -> bool:
    return True


def tag(tags: list[str], facts: dict[str, int], anything: Any, really: bool) -> None: ...


def total(*numbers: float) -> float:
    return sum(numbers)


def refused(function: Any, params: Any) -> str:
    with pytest.raises(CommandError) as error:
        Signature.of(function).bind(params)
    assert error.value.code == INVALID_PARAMS
    return error.value.message


def test_the_text_shows_names_types_defaults_and_result() -> None:
    assert Signature.of(move).text == (
        "(name: text, steps: integer = 1, speed: number | null = None, direction: 'up' | 'down' = 'up')"
        " -> boolean"
    )
    assert Signature.of(total).text == "(*numbers: number) -> number"
    assert Signature.of(tag).text == (
        "(tags: list[text], facts: object[integer], anything: any, really: boolean) -> null"
    )


def test_positional_arguments_are_bound_in_order() -> None:
    assert Signature.of(move).bind(("lamp", 2, 3)) == (("lamp", 2, 3), {})


def test_named_arguments_are_bound_by_name() -> None:
    assert Signature.of(move).bind({"name": "lamp", "direction": "down"}) == (
        (),
        {"name": "lamp", "direction": "down"},
    )


def test_a_missing_argument_is_named() -> None:
    assert "'name' is missing" in refused(move, ())
    assert "'name' is missing" in refused(move, {"steps": 2})


def test_an_unknown_argument_is_named() -> None:
    assert "'colour'" in refused(move, {"name": "lamp", "colour": "red"})


def test_too_many_arguments_are_refused() -> None:
    assert "4 arguments are too many" in refused(move, ("lamp", 1, 2.0, "down"))


@pytest.mark.parametrize(
    ("params", "word"),
    [
        (("lamp", "two"), "integer"),
        (("lamp", True), "integer"),
        (("lamp", 1.5), "integer"),
        ((7,), "text"),
        (("lamp", 1, "fast"), "number | null"),
        ({"name": "lamp", "direction": "left"}, "'up' | 'down'"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_what_was_expected(params: Any, word: str) -> None:
    assert f"must be {word}" in refused(move, params)


def test_containers_are_checked_inside() -> None:
    good = (["a"], {"x": 1}, object(), False)
    assert Signature.of(tag).bind(good) == (good, {})
    assert "'tags' must be list[text]" in refused(tag, (["a", 1], {}, None, True))
    assert "'facts' must be object[integer]" in refused(tag, ([], {"x": "1"}, None, True))
    assert "'really' must be boolean" in refused(tag, ([], {}, None, 1))


def test_any_number_of_arguments_may_follow_a_star() -> None:
    assert Signature.of(total).bind((1, 2.5, 3)) == ((1, 2.5, 3), {})
    assert Signature.of(total).bind(()) == ((), {})
    assert "must be number" in refused(total, (1, "2"))
    assert "unknown argument" in refused(total, {"numbers": [1]})


def test_a_long_foreign_value_is_shown_shortened() -> None:
    assert len(refused(move, ("lamp", "x" * 100_000))) < 200


def test_parameters_that_are_not_the_callers_are_left_out() -> None:
    assert Signature.of(move, skip=1).text.startswith("(steps: integer")


def test_a_parameter_without_hint_is_an_error_of_its_author() -> None:
    def bare(name): ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match="'name' needs a type hint"):
        Signature.of(bare)


def test_a_hint_that_json_has_no_values_for_is_an_error_of_its_author() -> None:
    def upload(data: bytes) -> None: ...

    def count(sizes: dict[int, str]) -> None: ...

    def options(**names: str) -> None: ...

    for function in (upload, count):
        with pytest.raises(TypeError, match="JSON has no values"):
            Signature.of(function)
    with pytest.raises(TypeError, match=r"cannot take \*\*names"):
        Signature.of(options)
