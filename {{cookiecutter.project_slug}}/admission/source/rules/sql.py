"""BW101: text of the client in an SQL statement."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import calls, free, free_parts, is_bare, is_column, method, origins, source_of, text_of
from admission.source.outbound import FETCHER
from admission.source.tree import inside, is_inside
from admission.source.values import INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_TEXT_MAKERS: Final = frozenset(
    {
        "sqlalchemy.text",
        "sqlalchemy.literal_column",
        "sqlalchemy.TextClause",
        "sqlalchemy.quoted_name",
        "sqlalchemy.DDL",
        "sqlalchemy.schema.DDL",
        "sqlalchemy.column",
        "sqlalchemy.table",
        "sqlalchemy.text.__call__",
        "psycopg.sql.SQL",
        "django.db.models.expressions.RawSQL",
    }
)
_EXECUTING: Final = frozenset(
    {
        "execute",
        "executemany",
        "executescript",
        "exec_driver_sql",
        "scalar",
        "scalars",
        "stream",
        "stream_scalars",
        "fetch",
        "fetchrow",
        "fetchval",
        "fetchall",
        "fetchone",
        "execute_many",
        "query",
        "from_statement",
        "read_sql",
        "read_sql_query",
        "copy",
        "raw",
        "exec",
    }
)
_CLAUSES: Final = frozenset(
    {
        "order_by",
        "group_by",
        "where",
        "filter",
        "having",
        "prefix_with",
        "suffix_with",
        "with_hint",
        "op",
        "columns",
        "add_columns",
        "select_from",
        "distinct",
    }
)
_SQL: Final = re.compile(
    r"\b(select|insert|update|delete|from|where|order\s+by|group\s+by|join|values|set|limit|like|and|or|having|into|table|union|in)\b|[=<>]",
    re.IGNORECASE,
)
_MEND: Final = 'Bind it: `await session.execute(text("... WHERE name = :name"), {"name": name})`, or build the statement with `select()`; take column names from a constant dictionary.'


@registry.rule("BW101", "SQL built from input")
def sql_from_input(module: Module) -> Iterator[Fault]:
    """Point at statements that hold text of the client: where they are used, and where the text gets in."""
    risk = "Whoever sends it can read or change every row."
    for call in calls(module):
        argument = _statement(module, call)
        if argument is None or not free(module.value(argument)):
            continue
        for node in _composed(module, argument, call):
            yield Fault(node, f"Text of the client becomes part of an SQL statement here. {risk}", _MEND)
        place = argument if argument.lineno == call.node.lineno else call.node
        message = f"`{source_of(call.node.func)}` gets SQL with text of the client in it. {risk}"
        yield Fault(place, message, _MEND)
    for call in calls(module):
        if (
            method(call) in {"like", "ilike"}
            and call.node.args
            and isinstance(call.node.func, ast.Attribute)
            and is_column(module, call.node.func.value)
            and _is_looked_up(module, call)
        ):
            yield Fault(
                call.node,
                "One row is looked up by what the client sent, as a pattern: `%` finds the first row of anybody.",
                "Compare: `func.lower(Card.code) == wanted.code.lower()`; to search for a part, `Card.code.contains(text, autoescape=True)`.",
            )


def _is_looked_up(module: Module, call: Call) -> bool:
    """Return whether a pattern is nothing but the client's text, and one row is taken of those that match."""
    value = module.value(call.node.args[0])
    if (
        INPUT not in value.labels
        or not is_bare(value)
        or any(keyword.arg == "escape" for keyword in call.node.keywords)
        or any(
            isinstance(part, ast.Attribute) and part.attr == "replace"
            for piece in origins(module, call.node.args[0])
            for part in inside(piece)
        )
    ):
        return False
    statement = module.statement_of(call.node)
    return statement is not None and any(
        isinstance(part, ast.Attribute) and part.attr in _TAKING_ONE for part in inside(statement)
    )


_TAKING_ONE: Final = frozenset({"scalar", "scalar_one", "scalar_one_or_none", "one", "one_or_none", "first"})


def _statement(module: Module, call: Call) -> ast.expr | None:
    """Return the argument that is taken for SQL text, if this call takes one."""
    if not call.node.args and not call.node.keywords:
        return None
    first = (
        call.node.args[0]
        if call.node.args
        else next(
            (
                keyword.value
                for keyword in call.node.keywords
                if keyword.arg in {"text", "statement", "query", "sql", "operation"}
            ),
            None,
        )
    )
    if first is None or isinstance(first, ast.Starred):
        return None
    if any(name in _TEXT_MAKERS for name in call.names):
        return first
    verb = method(call)
    names = {name.rpartition(".")[2] for name in call.names}
    if (verb in _EXECUTING or names & _EXECUTING) and not call.functions and _is_text(module, first):
        return first if _may_be_database(call, first, module) else None
    if (
        (verb in _CLAUSES or names & _CLAUSES)
        and any(name.startswith("sqlalchemy.") for name in call.names)
        and _is_text(module, first)
    ):
        return first
    return None


def _is_text(module: Module, node: ast.expr) -> bool:
    types = module.value(node).types
    return not types or "builtins.str" in types


def _may_be_database(call: Call, statement: ast.expr, module: Module) -> bool:
    if FETCHER in call.receiver.types:
        return False
    certain = {
        "execute",
        "executemany",
        "executescript",
        "exec_driver_sql",
        "fetchrow",
        "fetchval",
        "from_statement",
        "read_sql",
        "read_sql_query",
    }
    if method(call) in certain or any(
        name.startswith(("sqlalchemy.", "sqlite3.", "psycopg", "asyncpg.", "aiosqlite.", "databases."))
        for name in call.names
    ):
        return True
    return any(
        _SQL.search(text_of(each))
        for node in (statement, *module.value(statement).composed)
        for each in _behind(module, node)
    )


def _behind(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    """Yield an expression and what its names were given, by callers too: the template of `template.format(value)`."""
    yield node
    yield from origins(module, node) if isinstance(node, ast.expr) else ()


def _composed(module: Module, argument: ast.expr, call: Call) -> Iterator[ast.AST]:
    """Yield where text of the client was put into something that reads like SQL, on other lines than the call's."""
    for node in module.value(argument).composed:
        if is_inside(node, call.node) or any(_SQL.search(text_of(each)) for each in _behind(module, node)):
            yield from (
                part for part in (node, *free_parts(module, node)) if getattr(part, "lineno", 0) != call.node.lineno
            )
    if argument.lineno != call.node.lineno:
        yield argument
