"""Importing this module registers the writers of all kinds of tokens."""

from __future__ import annotations

from clacks.xquery import codegen_calls, codegen_loops, codegen_paths, codegen_values

__all__ = ["MODULES"]

MODULES = (codegen_calls, codegen_loops, codegen_paths, codegen_values)
