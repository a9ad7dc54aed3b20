"""The reference pages that are written from the code: event types, commands, settings, limits, errors."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from lxml import etree

from clacks.amqp.profiles import PROFILES, FilterTrust, UserTrust
from clacks.cli.events import content_lines
from clacks.cli.exits import MEANINGS
from clacks.cli.main import COMMANDS, app
from clacks.common import errors, limits, settings, settings_parts
from clacks.common.errors import QueryError
from clacks.common.limits import Limits
from clacks.common.metric_names import METRICS, MetricKind, shown_name
from clacks.common.rights import BUILTIN_ROLES
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings
from clacks.dialects.truenas import events_page as events_of_truenas
from clacks.xquery import BROKER_BUDGET, DEFAULT, QueryBudget, Resolvers, compile_query, functions_unsupported
from clacks.xquery.axes import AXES
from clacks.xquery.library import PREFIXES, builtins
from clacks.xquery.serialize import METHODS

BAR, BRACKET = r"\|", r"\["  # in a table, where the bare characters mean something


def write_all(folder: Path) -> None:
    """Write every page; one that did not change is not touched, so that Sphinx need not read it again."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "events.md": events_page(),
        "cli.md": cli_page(),
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "brokers.md": brokers_page(),
        "metrics.md": metrics_page(),
        "xquery.md": xquery_page(),
        "truenas-events.md": events_of_truenas(SchemaRegistry(plugins=False)),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def _plain(text: str) -> str:
    """Return documentation of a schema as Markdown: its words are no markup."""
    return (
        inspect.cleandoc(text)
        .replace("\\", "\\\\")
        .replace("*", "\\*")
        .replace("<", "\\<")
        .replace("`", "\\`")
    )


def events_page() -> str:
    registry = SchemaRegistry(plugins=False)
    parts = [
        "# Event types\n\nWritten from the schemas. `?` optional, `*` any number, `+` at least one, `@` attribute.\n"
    ]
    for kind in sorted(registry.kinds):
        told = registry.annotations(kind)
        parts.append(f"## {kind}\n\n{_plain(registry.documentation(kind))}\n")
        if content := "\n".join(content_lines(registry.model(kind))):
            parts.append(f"```text\n{textwrap.dedent(content)}\n```\n")
        facts = [f"identified by `{told.key}`"] if told.key else []
        facts += [f"what happened is in `{told.operation}`"] if told.operation else []
        facts += ["the last event of each key can be replayed to a new subscriber"] if told.state else []
        if facts:
            parts.append(f"{'; '.join(facts).capitalize()}.\n")
    return "\n".join(parts)


def cli_page() -> str:
    group = typer.main.get_command(app)
    context = group.make_context("clacks", [], resilient_parsing=True)
    parts = [
        "# Commands\n\nWritten from the command `clacks` itself; `clacks COMMAND --help` says the same.\n"
    ]
    for name in COMMANDS:
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        parts += _command(command, f"clacks {name}", 2)
    parts.append("## Exit codes\n\n| code | when |\n|---|---|")
    parts += [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(parts) + "\n"


def _command(command: Any, path: str, level: int) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    yield f"\n{'#' * level} {path}\n\n{inspect.cleandoc(command.help or '')}\n"
    inner = command.list_commands(context) if hasattr(command, "list_commands") else []
    if not inner:
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```text\n{path} {usage}\n```\n"
    options = [item.get_help_record(context) for item in command.get_params(context)]
    rows = [record for record in options if record is not None and "--help" not in record[0]]
    if rows:
        yield "| option | |\n|---|---|"
        for option, text in rows:
            name = option if option.startswith("-") else option.rpartition(" <")[0] or option
            yield f"| `{name.replace('|', BAR)}` | {text.replace('[', BRACKET).replace('|', BAR)} |"
        yield ""
    for name in inner:
        yield from _command(command.get_command(context, name), f"{path} {name}", level + 1)


def _texts_below(module: Any, name: str) -> dict[str, str]:
    """Return the docstrings that stand below the fields of a class."""
    tree = ast.parse(inspect.getsource(module))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        one.target.id: inspect.cleandoc(two.value.value)
        for one, two in itertools.pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(two, ast.Expr)
        and isinstance(two.value, ast.Constant)
    }


def _markdown(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def settings_page() -> str:
    told = _texts_below(settings, "Settings")
    shown = {
        "state_dir": "see [where files are](#where-files-are)",
        "limits": "see [limits](#limits)",
        "log": "see [tables of the services](#tables-of-the-services)",
        "client": "see [tables of the services](#tables-of-the-services)",
        "sources": "see [tables of the services](#tables-of-the-services)",
        "jobs": "see [tables of the services](#tables-of-the-services)",
    }
    usual = Settings.parse("", environ={"HOME": "/home/you"})
    parts = [
        "# Settings\n\nFrom the settings file (TOML), then the environment, then the options of a command; the last one"
        " counts. The file is `$CLACKS_SETTINGS`, else `~/.config/clacks/settings.toml`, else"
        " `/etc/clacks/settings.toml`. Each setting is also a variable: `tls_port` is `CLACKS_TLS_PORT`. An"
        " unknown key is an error.\n",
        "| setting | usually | |\n|---|---|---|",
    ]
    for field in dataclasses.fields(Settings):
        value = getattr(usual, field.name)
        default = shown.get(field.name) or (f"`{value}`" if value not in (None, "", ()) else "")
        parts.append(f"| `{field.name}` | {default} | {_markdown(told[field.name])} |")
    parts += _tables_of_services()
    parts.append("\n## Where files are\n")
    parts.append(_markdown(inspect.getdoc(settings.default_state_dir) or ""))
    parts.append(
        "\n## Limits\n\nThe table `[limits]`: what one peer may ask for.\n\n| limit | usually | |\n|---|---|---|"
    )
    reasons = _texts_below(limits, "Limits")
    for limit in dataclasses.fields(Limits):
        parts.append(
            f"| `{limit.name}` | {getattr(limits.DEFAULT_LIMITS, limit.name)} | {_markdown(reasons[limit.name])} |"
        )
    parts.append(
        "\n## Roles\n\nRoles that exist without being written down; see [users and rights](../../howto/users.md).\n"
    )
    parts.append(
        "| role | publish | read | commands | create | announce | impersonate |\n|---|---|---|---|---|---|---|"
    )
    for name, role in BUILTIN_ROLES.items():
        cells = [
            " ".join(f"`{glob}`" for glob in getattr(role, right.name)) for right in dataclasses.fields(role)
        ]
        parts.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def _tables_of_services() -> Iterator[str]:
    yield "\n## Tables of the services\n\nThey stand in the settings file and have no variables."
    tables = {"log": settings_parts.LogSettings, "client": settings_parts.ClientSettings}
    for source in dataclasses.fields(settings_parts.SourcesSettings):
        tables[f"sources.{source.name}"] = source.default_factory  # type: ignore[assignment]
    tables["jobs.NAME"] = settings_parts.JobSettings  # type: ignore[assignment]
    for name, kind in tables.items():
        told, usual = _texts_below(settings_parts, kind.__name__), kind()
        yield f"\n### [{name}]\n\n| setting | usually | |\n|---|---|---|"
        for field in dataclasses.fields(kind):
            value = getattr(usual, field.name)
            default = f"`{list(value) if isinstance(value, tuple) else value}`"
            default = default if value not in (None, "", (), {}) else ""
            yield f"| `{field.name}` | {default} | {_markdown(told[field.name])} |"


def errors_page() -> str:
    tree = inspect.cleandoc(errors.__doc__ or "").split("::", 1)
    picture = textwrap.dedent(tree[1].rsplit("\n\n", 1)[0]).strip()
    parts = [f"# Errors\n\nAll are in `clacks.common.errors`.\n\n```text\n{picture}\n```\n"]
    for name in errors.__all__:
        text = inspect.getdoc(getattr(errors, name)) or ""
        parts.append(f"## {name}\n")
        head, _, attributes = text.partition("Attributes:\n")
        parts.append(head.replace("``", "`").strip() + "\n")
        for line in textwrap.dedent(attributes).splitlines():
            if line and not line.startswith(" ") and ":" in line:
                attribute, _, meaning = line.partition(":")
                parts.append(f"- `{attribute}`: {meaning.strip().replace('``', '`')}")
            elif line.strip():
                parts[-1] += " " + line.strip().replace("``", "`")
        parts.append("")
    return "\n".join(parts) + "\n"


def brokers_page() -> str:
    parts = [
        "# Broker profiles\n\nChosen from what the broker says of itself; the setting `profile` overrides it."
        " How to set brokers up is in [use another broker](../../howto/brokers.md).\n",
        "| profile | topic of an event type | filters applied by | who speaks |\n|---|---|---|---|",
    ]
    for profile in PROFILES.values():
        address = profile.topic_source.format_map(_Address())
        filters = "the broker" if profile.xquery is FilterTrust.ECHO else "the receiver"
        users = "checked" if profile.user_id is UserTrust.VERIFIED else "not checked"
        parts.append(f"| `{profile.name}` | `{address}` | {filters} | {users} |")
    parts.append("")
    parts += [f"`{profile.name}`\n: {profile.advice}\n" for profile in PROFILES.values() if profile.advice]
    return "\n".join(parts) + "\n"


def metrics_page() -> str:
    parts = [
        "# Metrics\n\nWritten from the table in `clacks.common.metric_names`. Each has the label `part` beside its own: the part"
        " of the process that counts. How to see them is told in [watch a bus](../../howto/observability.md).\n"
    ]
    heads = {
        MetricKind.COUNTER: "Counters: they only grow; their rate says something.",
        MetricKind.GAUGE: "Gauges: how many there are now.",
        MetricKind.HISTOGRAM: "Histograms: how values spread, in seconds.",
    }
    for kind, head in heads.items():
        parts.append(f"## {kind.value.capitalize()}s\n\n{head}\n\n| name | labels | |\n|---|---|---|")
        parts += [
            f"| `{shown_name(name)}` | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.meaning} |"
            for name, metric in METRICS.items()
            if metric.kind is kind
        ]
        parts.append("")
    parts.append(
        "Of the process itself there are `process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds` and"
        " others, without the label `part`."
    )
    return "\n".join(parts) + "\n"


FEATURES = {
    "prolog, FLWOR, grouping": "declare variable $n := 1; for $x in (1, 2) group by $k := $x mod 2 return $k + $n",
    "tumbling and sliding windows": "for sliding window $w in 1 to 3 start at $s when true() end at $e when $e - $s eq 1 return count($w)",
    "direct and computed constructors": "<a>{element b {attribute c {1}}}</a>",
    "switch, typeswitch, try/catch": "try { switch (1) case 2 return 3 default return error() } catch * { 4 }",
    "higher-order functions": "fn:fold-left(1 to 3, 0, function($a, $b) { $a + $b })",
    "maps, arrays, lookup, arrow": "map { 'a': [1, 2] }?a?1 => string()",
    "string constructors": "``[a`{1 + 1}`]``",
    "extension expressions": "declare namespace x = 'urn:x'; (# x:y #) { 1 }",
    "decimal formats": "declare decimal-format d grouping-separator = '.' decimal-separator = ','; 1",
    "Unicode collations": "compare('a', 'b', 'http://www.w3.org/2013/collation/UCA?lang=de')",
    "random numbers": "fn:random-number-generator(1)?number",
    "validate expressions": "validate { <a/> }",
    "schema import": "import schema 'urn:x'; 1",
    "XSLT from queries": "fn:transform(map { })",
    "modules loaded at run time": "fn:load-xquery-module('urn:x')",
    "the namespace axis": "<a/>/namespace::*",
    "reading documents, without a resolver": "fn:doc('http://localhost/a.xml')",
    "reading texts, without a resolver": "fn:unparsed-text('http://localhost/a.txt')",
    "collections, without a resolver": "fn:collection()",
    "library modules, without their source": "import module namespace x = 'urn:x'; 1",
}
"""A query for each feature: that it runs, or which error it ends with, is what the page says."""


def _outcome(query: str) -> str:
    try:
        compile_query(query).evaluate(etree.XML("<a/>"))
    except QueryError as error:
        return f"out: `{error.code}`, {_plain(error.reason)}"
    return "in"


def xquery_page() -> str:
    parts = [
        "# XQuery features\n\nWritten from the engine: each example was run when this page was made."
        " What differs from the standard is told in [XQuery](../xquery.md).\n",
        "Static typing is out: types are checked while a query runs. `clacks query FILE --xquery` tries an example.\n",
        "| feature | | example |\n|---|---|---|",
    ]
    for feature, query in FEATURES.items():
        parts.append(f"| {feature} | {_outcome(query)} | ```` {query.replace('|', BAR)} ```` |")
    parts.append(f"\n## Axes\n\n{', '.join(f'`{name}`' for name in AXES)}")
    parts.append(f"\n## Serialization methods\n\n{', '.join(f'`{name}`' for name in METHODS)}")
    told = inspect.cleandoc(inspect.getdoc(Resolvers) or "").partition("Attributes:\n")[2]
    doors = [line.strip() for line in textwrap.dedent(told).splitlines() if line and line[0] != " "]
    parts.append("\n## Resolvers\n\nDoors that the calling program may open; all are shut.\n")
    parts += [f"- `{line.partition(':')[0]}`" for line in doors]
    parts.append("\n## Budget\n\n| | usually | in the broker |\n|---|---|---|")
    for field in dataclasses.fields(QueryBudget):
        usual, broker = (f"{getattr(budget, field.name):,}" for budget in (DEFAULT, BROKER_BUDGET))
        parts.append(f"| `{field.name}` | {usual} | {broker} |")
    parts.append(
        "\n## Functions\n\nWith their numbers of arguments. Constructor functions of the `xs:` types are there, too."
    )
    prefixes = {uri: prefix for prefix, uri in PREFIXES.items()}
    arities: dict[str, dict[str, list[int]]] = {}
    for (uri, local, arity), one in builtins.items():
        if one.call.__module__ != functions_unsupported.__name__:
            arities.setdefault(prefixes[uri], {}).setdefault(local, []).append(arity)
    for prefix, names in sorted(arities.items()):
        parts.append(f"\n### {prefix}\n")
        parts.append(
            ", ".join(
                f"`{name}` {'2 or more' if -1 in counts else '/'.join(map(str, sorted(set(counts))))}"
                for name, counts in sorted(names.items())
            )
        )
    return "\n".join(parts) + "\n"


class _Address(dict[str, str]):
    """What stands in the templates of a profile, for an example."""

    def __missing__(self, key: str) -> str:
        return {"kind": "PhoneStatus", "all": "org.clacks.event"}.get(key, "org.clacks.event.PhoneStatus")
