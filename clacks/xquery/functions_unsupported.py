"""Optional functions that are not supported, and say so with the codes made for that."""

from __future__ import annotations

from typing import Any

from clacks.xquery.context import Context
from clacks.xquery.errors import failure
from clacks.xquery.library import function

__all__: list[str] = []


# The arguments are not looked at, so their types are not those of the specification.
@function(
    "fn:load-xquery-module($module-uri as item()*) as map(*)",
    "fn:load-xquery-module($module-uri as item()*, $options as item()*) as map(*)",
)
def load_xquery_module(ctx: Context, uri: Any, options: Any = None) -> Any:
    raise failure("FOQM0006", "modules cannot be loaded while a query runs; import them")


@function("fn:transform($options as item()*) as map(*)")
def transform(ctx: Context, options: Any) -> Any:
    raise failure("FOXT0004", "there is no XSLT processor here")
