"""Print how many filters of the corpus the index recognizes, and which ones it does not."""

from __future__ import annotations

from tests.filters.corpus import table

print(table())
