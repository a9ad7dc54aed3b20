"""XQuery 3.1 on elementpath: compile a query once, run it on many documents.

How the folder is laid out (each module's first paragraph says more):

- text to tokens: ``lexer``, ``parser`` (Pratt, a subclass of elementpath's XPath31Parser), ``prolog``, ``direct``
- tokens, which evaluate themselves: ``tokens`` (base), ``paths``, ``operators``, ``flwor``, ``windows``, ...
- values: ``nodes`` (constructed), ``tree`` (lazy, over lxml), ``functions`` (function items), ``maps``
- types: ``sequence_types`` (matching, function conversion), ``casts``
- functions: ``library`` (registration; read its docstring before adding one), ``bridge`` (elementpath's own),
  ``functions_*`` (ours, by subject)
- running: ``static`` (static context), ``context`` (dynamic context), ``modules`` (linking), ``query`` (the API)
- limits: ``budget``; errors: ``errors``; output: ``serialize``
"""

from __future__ import annotations
