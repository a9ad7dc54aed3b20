"""Read a compiled query as a `Condition`: what the query asks, without the parser's tokens.

What is not understood becomes `Opaque`, with a reason; nothing is ever approximated. Three things are
resolved on the way: names are expanded (the tokens did that), variables bound by ``let`` and the parameters
of declared functions are replaced by what they stand for, and the context item is made explicit, so that a
path begins at ``/``, at ``.`` (inside a predicate) or at a variable bound by ``for``, ``some`` or ``every``.

Replacing may double a query at each ``let``, so the size of what is read has a limit, and a query beyond it
is opaque as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clacks.common.limits import DEFAULT_LIMITS
from clacks.xquery.analysis_calls import CALLS
from clacks.xquery.analysis_flwor import FLWOR
from clacks.xquery.analysis_operators import OPERATORS
from clacks.xquery.analysis_paths import PATHS
from clacks.xquery.analysis_reader import DOCUMENT, MOST_PARTS, Form, Reader, TooLarge
from clacks.xquery.analysis_values import VALUES
from clacks.xquery.condition_types import depth
from clacks.xquery.conditions import Condition, Opaque
from clacks.xquery.query import Query

__all__ = ["read_condition"]

_MOST_LEVELS: Final = DEFAULT_LIMITS.condition_levels
_TOO_DEEP: Final = Opaque(f"a query of more than {_MOST_LEVELS} levels")
_FORMS: Final[Mapping[str, Form]] = {**VALUES, **PATHS, **OPERATORS, **CALLS, **FLWOR}


def read_condition(query: Query) -> Condition:
    """Return what ``query`` asks, for its effective boolean value on a document."""
    module = query.module
    if module.context_item is not None:
        return Opaque("declare context item")
    if module.imports:
        return Opaque("import module")
    try:
        found = Reader(_FORMS).read(module.body, DOCUMENT, {})
    except TooLarge:
        return Opaque(f"a query of more than {MOST_PARTS} parts")
    except RecursionError:
        return _TOO_DEEP
    return _TOO_DEEP if depth(found) > _MOST_LEVELS else found
