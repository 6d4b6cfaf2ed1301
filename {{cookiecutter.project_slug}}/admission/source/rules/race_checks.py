"""BW206: columns of shared rows that are looked at, and then set; and what is known of rows, tables and columns."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from admission.source.contract import dependencies_of
from admission.source.declare import Fault
from admission.source.expressions import path_of
from admission.source.match import method, name_of
from admission.source.module import is_definition
from admission.source.routes import parameters_of
from admission.source.rules.locks import is_held, is_settled, locks
from admission.source.rules.rows import calls_in, is_session_call
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside
from admission.source.values import LOCKED, ROW, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

LOCK_MEND: Final = "Let the database decide in one statement: `update(Item).where(Item.id == item_id, Item.stock >= n).values(stock=Item.stock - n)`, then check `result.rowcount`; or read with `.with_for_update()`."

EXECUTING: Final = frozenset({"execute", "scalar", "scalars"})

HELPERS: Final = 3
"""Helpers behind one another that are looked into."""


def guarded_states(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """`if seat.taken: raise` ... `seat.taken = True`, on a row that is not the caller's alone."""
    checked = dict(reversed(list(checks(module, function))))
    for tested in _tested_before(module, function):
        checked.setdefault(f"{tested.row}.{tested.column}", tested.line)
    for node in own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            for path, line in _checked_before(module, node):
                checked.setdefault(path, line)
    for node in own_nodes(module, function, ast.Assign):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and is_row(module, node.targets[0].value)
            and _is_shared(module, node.targets[0].value)
            and not is_held(module, function, node.targets[0].value)
        ):
            written = path_of(node.targets[0])
            if written in checked and checked[written] < node.lineno:
                yield Fault(
                    node,
                    "Between the check above and this line another request may pass the same check. Both then believe that they were first.",
                    LOCK_MEND,
                )


def checks(module: Module, function: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the columns of rows that a function tests before it refuses, and the line: `if seat.taken: raise`."""
    for node in own_nodes(module, function, ast.If):
        if isinstance(node, ast.If) and refuses(node):
            for part in (
                part
                for home, asked in _asked(module, function, node.test)
                if home is function
                for part in inside(asked)
            ):
                if isinstance(part, ast.Attribute) and is_row(module, part.value):
                    yield path_of(part) or "", node.lineno


def _checked_before(module: Module, node: ast.Assign) -> Iterator[tuple[str, int]]:
    """Yield what a helper tested of the row that it gives: `seat = await free_seat(...)`."""
    made = node.value.value if isinstance(node.value, ast.Await) else node.value
    call = module.calls.get(made) if isinstance(made, ast.Call) else None
    name = path_of(node.targets[0])
    for function in call.functions if call is not None else ():
        if not is_definition(function) or is_settled(function) or locks(function):
            continue
        given = {
            path_of(part.value)
            for part in own_nodes(module, function, ast.Return)
            if isinstance(part, ast.Return) and part.value is not None
        }
        for tested, _ in checks(module, function):
            row, _, column = tested.partition(".")
            if row in given:
                yield f"{name}.{column}", node.lineno


@dataclass(frozen=True, slots=True)
class _Tested:
    """A column that was looked at before something is refused.

    Attributes:
        tables: the tables whose column it may be.
        column: its name.
        line: where it is looked at, or where what looks at it is called.
        row: the path of the row, if there is one.
    """

    tables: frozenset[str]
    column: str
    line: int
    row: str


@dataclass(frozen=True, slots=True)
class _Written:
    """What a statement, or an assignment in a helper, writes.

    Attributes:
        node: where.
        tables: the tables that it may write to.
        columns: what it sets.
        conditions: the columns that the database looks at again in the same statement.
        row: the path of the row that was handed to a helper, if the helper assigns to it.
    """

    node: ast.AST
    tables: frozenset[str]
    columns: frozenset[str]
    conditions: frozenset[str] = frozenset()
    row: str = ""


def written_elsewhere(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at statements, and at calls of helpers, that set a column which was looked at before, without looking at it again."""
    tested = [*_tested_here(module, function), *_tested_before(module, function)]
    for call in calls_in(module, function) if tested else ():
        for written in _written_by(module, call):
            looked_at = [
                each
                for each in tested
                if each.line < call.node.lineno
                and _is_same(each, written)
                and each.column in written.columns - written.conditions
            ]
            if looked_at:
                message = f"`{looked_at[0].column}` was looked at before, and is set here whatever it is by now. Another request may have been quicker."
                yield Fault(call.node, message, LOCK_MEND)
                if getattr(written.node, "lineno", 0) != call.node.lineno:
                    yield Fault(written.node, message, LOCK_MEND)


def _is_same(tested: _Tested, written: _Written) -> bool:
    """Return whether what was looked at and what is written may be the same row."""
    return bool(tested.tables & written.tables) or (tested.row == written.row != "")


def _tested_here(module: Module, function: ast.AST, *, raising: bool = False) -> Iterator[_Tested]:
    """Yield the columns of shared rows that a function tests before it refuses: of a row, or read one by one."""
    for node in own_nodes(module, function, ast.If):
        if not isinstance(node, ast.If) or not (
            any(isinstance(part, ast.Raise) for part in node.body) if raising else refuses(node)
        ):
            continue
        for home, part in (
            (home, part) for home, asked in _asked(module, function, node.test) for part in inside(asked)
        ):
            if (
                isinstance(part, ast.Attribute)
                and is_row(module, part.value)
                and not is_owned(module, part.value)
                and not is_held(module, home, part.value)
            ):
                yield _Tested(
                    tables_of(module, part.value),
                    part.attr,
                    node.lineno,
                    (path_of(part.value) or "") if home is function else "",
                )
            elif (
                isinstance(part, ast.Name | ast.Await | ast.NamedExpr)
                and is_row(module, part)
                and not _is_existence(module, part)
                and not is_held(module, home, part)
            ):
                for table, column in _columns_read(module, part):
                    yield _Tested(frozenset({table}), column, node.lineno, "")


def _asked(module: Module, function: ast.AST, test: ast.expr) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yield a test, what its names were given (`free = not seat.taken`), and what helpers in it answer; each with its function."""
    yield function, test
    for part in inside(test):
        if isinstance(part, ast.Name):
            yield from (
                (function, given)
                for given in module.given.get((function, part.id), ())
                if isinstance(given, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Attribute)
            )
        elif isinstance(part, ast.Call) and part in module.calls:
            for helper in module.calls[part].functions:
                if is_definition(helper) and helper is not function and not is_settled(helper):
                    yield from (
                        (helper, answer.value)
                        for answer in own_nodes(module, helper, ast.Return)
                        if isinstance(answer, ast.Return)
                        and isinstance(answer.value, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Attribute)
                    )


def _is_existence(module: Module, node: ast.AST) -> bool:
    parent = module.parents.get(node)
    return isinstance(parent, ast.Attribute) or (
        isinstance(parent, ast.Compare)
        and any(isinstance(side, ast.Constant) and side.value is None for side in parent.comparators)
    )


def _tested_before(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Tested]:
    """Yield what helpers that a function calls, and what it depends on, test before they raise."""
    for call in calls_in(module, function):
        for helper in call.functions:
            if is_definition(helper) and helper is not function and not is_settled(helper):
                given = _handed(helper, call)
                for tested in _tested_here(module, helper, raising=True):
                    yield replace(
                        tested,
                        line=call.node.lineno,
                        row=path_of(given[tested.row]) or "" if tested.row in given else "",
                    )
    names = {
        parameter.name: parameter.depends
        for parameter in parameters_of(module, function)
        if parameter.depends is not None
    }
    for provider in dependencies_of(module, function):
        row = next(
            (
                name
                for name, depends in names.items()
                if any(made.node is provider for made in module.value(depends).functions)
            ),
            "",
        )
        if not is_settled(provider):
            yield from (replace(tested, line=0, row=row) for tested in _tested_here(module, provider, raising=True))


def _handed(helper: ast.FunctionDef | ast.AsyncFunctionDef, call: Call) -> dict[str, ast.expr]:
    """Return what a call hands to a helper, by the names of its parameters."""
    names = [argument.arg for argument in helper.args.args[_is_method(helper) :]]
    return dict(zip(names, call.node.args, strict=False)) | {
        keyword.arg: keyword.value for keyword in call.node.keywords if keyword.arg
    }


def _is_method(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(function.args.args) and function.args.args[0].arg in {"self", "cls"}


def _written_by(module: Module, call: Call, depth: int = 0) -> list[_Written]:
    """Return what a call writes: by a statement of its own, or in the helpers behind it."""
    if is_session_call(call):
        return list(_set_by_statement(module, call)) if method(call) in EXECUTING and call.node.args else []
    found: list[_Written] = []
    for helper in call.functions if depth < HELPERS else ():
        if is_definition(helper) and not is_settled(helper):
            found += [
                written for other in calls_in(module, helper) for written in _written_by(module, other, depth + 1)
            ]
            for node in own_nodes(module, helper, ast.Assign, ast.AugAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                if (
                    isinstance(target, ast.Attribute)
                    and is_row(module, target.value)
                    and not is_held(module, helper, target.value)
                ):
                    row = _handed(helper, call).get(path_of(target.value) or "")
                    found.append(
                        _Written(
                            node,
                            tables_of(module, target.value),
                            frozenset({target.attr}),
                            row=(path_of(row) or "") if row is not None else "",
                        )
                    )
    return found


def _set_by_statement(module: Module, call: Call) -> Iterator[_Written]:
    parts = [
        part for piece in pieces_of(module, call.node.args[0]) for part in inside(piece) if isinstance(part, ast.Call)
    ]
    for made in parts:
        if "sqlalchemy.update" in module.value(made.func).names:
            tables = frozenset(
                table
                for argument in made.args[:1]
                for table in module.value(argument).names
                if module.is_table(table) and not module.is_owned(table)
            )
            columns: set[str] = set()
            conditions: set[str] = set()
            for part in parts:
                verb = part.func.attr if isinstance(part.func, ast.Attribute) else ""
                if verb == "values":
                    columns |= {keyword.arg for keyword in part.keywords if keyword.arg}
                    columns |= {
                        str(key.value) if isinstance(key, ast.Constant) else name_of(key)
                        for each in part.args
                        if isinstance(each, ast.Dict)
                        for key in each.keys
                    }
                elif verb in {"where", "filter"}:
                    conditions |= {column for argument in part.args for _, column in columns_in(module, argument)}
                elif verb == "filter_by":
                    conditions |= {keyword.arg for keyword in part.keywords if keyword.arg}
            yield _Written(made, tables, frozenset(columns), frozenset(conditions))


def _is_shared(module: Module, node: ast.expr) -> bool:
    """Return whether a row may belong to more than the caller: it is not locked, and its table is not known to be ``Owned``.

    Of what hangs on a row (`order.item`) the table is not known, and nothing is said.
    """
    if LOCKED in module.value(node).labels or isinstance(node, ast.Attribute):
        return False
    return not is_owned(module, node)


def refuses(node: ast.If) -> bool:
    """Return whether a test is followed by a refusal: it raises, or returns."""
    return any(isinstance(part, ast.Raise | ast.Return) for part in node.body)


def _columns_read(module: Module, node: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield table and column of what `select(Card.left)` gave, in this function or in a helper."""
    for piece in pieces_of(module, node.value if isinstance(node, ast.NamedExpr) else node):
        for part in inside(piece):
            if isinstance(part, ast.Call) and "sqlalchemy.select" in module.value(part.func).names:
                yield from (column for argument in part.args for column in columns_in(module, argument))


def columns_in(module: Module, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield table and column of what an expression names, the tables that are the caller's alone left out."""
    for part in inside(node):
        if isinstance(part, ast.Attribute):
            yield from (
                (owner, part.attr)
                for owner in module.value(part.value).names
                if module.is_table(owner) and not module.is_owned(owner)
            )


def tables_of(module: Module, node: ast.expr) -> frozenset[str]:
    """Return the tables that a row may be of, as far as they are known, those that are the caller's alone left out."""
    tables = (label.removeprefix(TABLE) for label in module.value(node).labels if label.startswith(TABLE))
    return frozenset(table for table in tables if not module.is_owned(table))


def is_owned(module: Module, node: ast.expr) -> bool:
    """Return whether a row is known to be of a table whose rows belong to somebody."""
    return any(
        module.is_owned(label.removeprefix(TABLE)) for label in module.value(node).labels if label.startswith(TABLE)
    )


def is_row(module: Module, node: ast.expr) -> bool:
    """Return whether a value is a row, or was read from one."""
    return ROW in module.value(node).labels


def is_column(node: ast.expr) -> bool:
    """`item.stock = Item.stock - n` is computed by the database."""
    return any(
        isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id[:1].isupper()
        for part in inside(node)
    )


def own_nodes(module: Module, function: ast.AST, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of these kinds in a function, those of functions in it left out."""
    for part in inside(function):
        if isinstance(part, kinds) and module.function_of(part) is function:
            yield part
