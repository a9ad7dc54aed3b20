"""SaxonC as a judge: both engines write a sequence by method adaptive, errors as their codes."""

from __future__ import annotations

import re
from functools import cache

from clacks.common.errors import QueryError
from clacks.xquery import compile_query


@cache
def processor():
    from saxonche import PySaxonProcessor

    saxon = PySaxonProcessor(license=False)
    return saxon, saxon.new_xquery_processor()


def shown(body):
    return f"serialize(({body}), map{{'method': 'adaptive'}})"


def saxon_says(body):
    _, engine = processor()
    engine.set_query_content(shown(body))
    try:
        return engine.run_query_to_value().head.string_value
    except Exception as error:
        codes = [code for code in re.findall(r"\b[A-Z]{4}\d{4}\b", str(error)) if not code.startswith("SX")]
        return f"error {codes[0] if codes else error}"


def we_say(body):
    try:
        return compile_query(shown(body)).evaluate(None)[0]
    except QueryError as error:
        return f"error {error.code}"
