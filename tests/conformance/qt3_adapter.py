"""The W3C QT3 runner's adapter for clacks.xquery.

The runner (`run_qt3.py`) owns the catalog, the environments and the verdicts; this class runs queries and
evaluates assertions, both with our engine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urljoin

from lxml import etree
from run_qt3 import ENVIRON, EngineBase, EngineError

from clacks.common.errors import QueryError
from clacks.xquery import Resolvers, compile_query, hot
from clacks.xquery.budget import Meter, QueryBudget
from clacks.xquery.context import Execution
from clacks.xquery.conversion import boolean_value, string_of_item
from clacks.xquery.output import parameters_of
from clacks.xquery.query import Query
from clacks.xquery.serialize import serialize
from clacks.xquery.tree import TreeDocument, wrap

# A little less than a test has, so that what is too slow ends as our own error and not as a time-out.
SECONDS = 0.9 * float(os.environ.get("QT3_LIMIT", "5"))
BUDGET = QueryBudget(
    steps=10**9, nodes=3_000_000, string_bytes=2**28, depth=1000, integer_bits=2**16, seconds=SECONDS
)
if "QT3_OFTEN" in os.environ:
    # 0: everything gets Python code at once, to try the code on the whole suite.
    hot.OFTEN = int(os.environ["QT3_OFTEN"])
NAMES = {"j": "http://www.w3.org/2005/xpath-functions"}


def error(exc: QueryError) -> EngineError:
    return EngineError(exc.code, f"{exc.reason} ({exc.line}:{exc.column})")


class Engine(EngineBase):
    name = "clacks.xquery"

    def __init__(self):
        self.trees: dict[tuple[str, str], TreeDocument] = {}
        self.files: dict[str, str] = {}
        self.assertions: dict[tuple[object, ...], Query] = {}
        self.last: tuple[str, Query] | None = None

    def prepare(self, uri_map):
        self.files = uri_map

    # -- running a query

    def evaluate(self, query, env):
        text = env.with_prolog(query)
        try:
            compiled = compile_query(
                text,
                modules=lambda uri, hints: self._modules(uri, hints, env),
                resolvers=self._resolvers(env),
                budget=BUDGET,
                base_uri=env.base_uri,
            )
            self.last = query, compiled
            variables = {}
            for param in env.params:
                name = param.name[1:] if param.name.startswith("Q{}") else param.name.removeprefix("Q")
                variables[name] = self._select(param.select, env)
            for name, source in env.variables():
                variables[name] = [self._doc(source)]
            return self._execute(compiled, variables, self._item(env))
        except QueryError as exc:
            raise error(exc) from None

    def _item(self, env):
        source = env.context_source()
        if source:
            return self._doc(source)
        if env.context_select:
            return self._select(env.context_select, env)[0]
        return None

    def _execute(self, query, variables, item):
        execution = Execution(Meter(BUDGET), query.resolvers, variables)
        return query.execute(execution, item)

    def _modules(self, uri, hints, env):
        found = [
            m
            for m in env.modules
            if m["uri"] == uri and (not hints or m["location"] is None or m["location"] in hints)
        ]
        return [(Path(m["file"]).as_uri(), Path(m["file"]).read_text("utf-8")) for m in found]

    def _resolvers(self, env):
        sources = {s.uri or Path(s.file).as_uri(): s for s in env.sources}
        resources = {r["uri"]: r for r in env.resources}
        collections = {c.uri: c for c in env.collections}

        def document(uri):
            if uri in sources:
                return self._doc(sources[uri])
            path = self.files.get(uri) or self._path(uri)
            return None if path is None else self._load(path, uri)

        def text(uri, encoding):
            resource = resources.get(uri)
            path = resource["file"] if resource else self.files.get(uri) or self._path(uri)
            if path is None:
                return None
            data = Path(path).read_bytes()
            return data, (resource or {}).get("encoding")

        def collection(uri):
            found = collections.get(uri or "")
            if found is None and uri is not None:
                found = next(
                    (c for u, c in collections.items() if urljoin(env.base_uri or "", u) == uri), None
                )
            if found is None:
                return None
            return [
                *(self._doc(s) for s in found.sources),
                *(x for q in found.queries for x in self._select(q, env)),
            ]

        def uri_collection(uri):
            found = collections.get(uri or "")
            return None if found is None else [s.uri for s in found.sources]

        return Resolvers(
            document=document,
            text=text,
            collection=collection,
            uri_collection=uri_collection,
            environment=ENVIRON,
        )

    @staticmethod
    def _path(uri):
        if not uri.startswith("file:"):
            return None
        path = Path(unquote(re.sub("^file:/*", "/", uri).split("#")[0]))
        return str(path) if path.is_file() else None

    def _select(self, expr, env):
        query = compile_query(expr, budget=BUDGET, base_uri=env.base_uri, resolvers=self._resolvers(env))
        return query.sequence(None)

    def _doc(self, source):
        return self._load(source.file, source.uri or Path(source.file).as_uri())

    def _load(self, path, uri):
        key = path, uri
        if key not in self.trees:
            if len(self.trees) > 100:
                self.trees.clear()
            parser = etree.XMLParser(load_dtd=True, attribute_defaults=True, no_network=True, huge_tree=True)
            try:
                self.trees[key] = wrap(etree.parse(path, parser), uri)
            except etree.XMLSyntaxError:
                return None
        return self.trees[key]

    # -- judging a result

    def _assertion(self, expr, result, env):
        key = expr, env.base_uri, tuple(sorted(env.namespaces.items()))
        query = self.assertions.get(key)
        if query is None:
            if len(self.assertions) > 1000:
                self.assertions.clear()
            query = compile_query(
                f"declare variable $result external; {expr}",
                namespaces={**NAMES, **env.namespaces},
                budget=BUDGET,
                base_uri=env.base_uri,
                resolvers=self._resolvers(env),
            )
            self.assertions[key] = query
        # Some assertions are written as if the result were the context item.
        return self._execute(query, {"result": result}, result[0] if len(result) == 1 else None)

    def test(self, expr, result, env):
        try:
            return boolean_value(self._assertion(expr, result, env))
        except QueryError as exc:
            raise error(exc) from None

    def text(self, expr, result, env):
        try:
            return " ".join(string_of_item(item) for item in self._assertion(expr, result, env))
        except QueryError as exc:
            raise error(exc) from None

    def count(self, result, env):
        return len(result)

    def is_boolean(self, result, env, value):
        return len(result) == 1 and result[0] is value

    def serialize(self, result, env):
        try:
            return serialize(result, {"method": "xml", "indent": False, "omit-xml-declaration": True})
        except QueryError as exc:
            raise error(exc) from None

    def run_to_string(self, query, env, result):
        assert self.last is not None
        try:
            return serialize(result, parameters_of(self.last[1]))
        except QueryError as exc:
            raise error(exc) from None
