"""XQuery 3.1 on elementpath: compile a query once, run it on many documents.

    >>> from lxml import etree
    >>> from clacks.xquery import compile_query
    >>> query = compile_query("for $n in /list/n order by number($n) return string($n)")
    >>> query.evaluate(etree.XML("<list><n>10</n><n>9</n></list>"))
    ['9', '10']

How the folder is laid out (each module's first paragraph says more):

- text to tokens: ``lexer``, ``parser`` (Pratt, a subclass of elementpath's XPath31Parser), ``names``,
  ``prolog``, ``types_parser``, ``scanner`` (raw text), ``scope`` (variables to slots)
- tokens, which evaluate themselves: ``tokens`` (base), ``paths`` and ``axes``, ``operators``, ``arithmetic``,
  ``comparisons``, ``calls``, ``flwor``, ``windows``, ``conditionals``, ``constructors``, ``direct``,
  ``map_syntax``, ``casts``, ``extensions``
- the same as Python code, for what is evaluated often: ``hot`` (when), ``codegen`` and ``codegen_*`` (how)
- values: ``nodes`` (constructed), ``builder``, ``copying``, ``tree`` (lazy, over lxml), ``functions``
  (function items), ``maps``, ``values``, ``compare``
- types: ``sequence_types`` (matching), ``conversion`` (atomization, function conversion), ``casts``
- functions: ``library`` (registration; read its docstring before adding one), ``functions_*`` (ours, by
  subject), ``bridge`` (elementpath's own)
- running: ``static`` (static context), ``context`` (dynamic context), ``modules`` (declarations, linking),
  ``query``
- limits: ``budget``; errors: ``errors``, ``places`` (line and column); output: ``serialize``
"""

from __future__ import annotations

from clacks.xquery.budget import BROKER_BUDGET, DEFAULT, QueryBudget
from clacks.xquery.context import Resolvers
from clacks.xquery.query import Query, compile_query
from clacks.xquery.tree import TreeDocument, wrap

__all__ = [
    "BROKER_BUDGET",
    "DEFAULT",
    "Query",
    "QueryBudget",
    "Resolvers",
    "TreeDocument",
    "compile_query",
    "wrap",
]
