"""All modules that define tokens or functions; importing this one registers everything."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from clacks.xquery import (
    calls,
    casts,
    comparisons,
    conditionals,
    constructors,
    direct,
    extensions,
    flwor,
    map_syntax,
    names,
    operators,
    paths,
    windows,
)

__all__ = ["load_functions"]

TOKEN_MODULES = (
    calls,
    casts,
    comparisons,
    conditionals,
    constructors,
    direct,
    extensions,
    flwor,
    map_syntax,
    names,
    operators,
    paths,
    windows,
)


def load_functions() -> None:
    """Import every module of this package whose name begins with ``functions_``."""
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if found.name.startswith("functions_"):
            importlib.import_module(f"clacks.xquery.{found.name}")


load_functions()
