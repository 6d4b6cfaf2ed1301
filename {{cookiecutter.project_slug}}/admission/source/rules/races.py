"""BW206: shared rows that are read, looked at and then written."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import method, name_of, origins
from admission.source.rules.locks import is_held, is_settled, locks
from admission.source.rules.race_checks import (
    EXECUTING,
    HELPERS,
    LOCK_MEND,
    checks,
    columns_in,
    guarded_states,
    is_column,
    is_owned,
    is_row,
    own_nodes,
    tables_of,
    written_elsewhere,
)
from admission.source.rules.race_inserts import (
    exists_then_insert,
    matched_then_insert,
    missing_then_insert,
    next_numbers,
)
from admission.source.rules.rows import calls_in, definitions, is_session_call
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside
from admission.source.values import INPUT, LOCKED, SHAPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()


@registry.rule("BW206", "Check, then act, on a shared row")
def check_then_act(module: Module) -> Iterator[Fault]:
    """Point at values that are read, compared or counted in Python, and then written."""
    for function in definitions(module):
        if is_settled(function):
            continue
        yield from _lost_updates(module, function)
        yield from guarded_states(module, function)
        yield from written_elsewhere(module, function)
        yield from _chosen_then_set(module, function)
        yield from _own_state_with_effect(module, function)
        yield from _locked_as_named(module, function)
        if locks(function):
            continue  # of what is inserted it is not known what it hangs on
        yield from exists_then_insert(module, function)
        yield from missing_then_insert(module, function)
        yield from matched_then_insert(module, function)
        yield from next_numbers(module, function)


def _own_state_with_effect(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at rows of the caller's own that are checked and set, where something is added elsewhere in between: a double click adds twice."""
    checked = dict(checks(module, function))
    for node in own_nodes(module, function, ast.Assign):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if (
            not isinstance(target, ast.Attribute)
            or not is_owned(module, target.value)
            or LOCKED in module.value(target.value).labels
            or locks(function)
        ):
            continue
        line = checked.get(path_of(target) or "")
        if (
            line is None
            or line >= target.lineno
            or not any(_adds_elsewhere(module, call) for call in calls_in(module, function))
        ):
            continue
        message = f"`{target.attr}` is looked at, set, and something is added because of it. Who clicks twice gets it twice: both requests read the row before one has set it."
        yield Fault(node, message, LOCK_MEND)
        name = (path_of(target.value) or "").partition(".")[0]
        yield from (Fault(read, message, LOCK_MEND) for read in _reads_behind(module, function, name))


def _adds_elsewhere(module: Module, call: Call, depth: int = 0) -> bool:
    """Return whether a call adds to what a row holds, by a statement, itself or in the helpers behind it."""
    if is_session_call(call):
        parts = (
            [part for piece in pieces_of(module, call.node.args[0]) for part in inside(piece)]
            if method(call) in EXECUTING and call.node.args
            else []
        )
        return any(
            isinstance(part, ast.keyword)
            and isinstance(part.value, ast.BinOp)
            and isinstance(part.value.left, ast.Attribute)
            and part.value.left.attr == part.arg
            and is_column(part.value)
            for part in parts
        )
    return depth < HELPERS and any(
        _adds_elsewhere(module, other, depth + 1) for helper in call.functions for other in calls_in(module, helper)
    )


def _reads_behind(module: Module, function: ast.AST, name: str) -> Iterator[ast.AST]:
    """Yield the queries that gave a row, those of helpers too."""
    for made in module.given.get((function, name), []):
        asked = made.value if isinstance(made, ast.Await) else made
        call = module.calls.get(asked) if isinstance(asked, ast.Call) else None
        if call is not None and is_session_call(call):
            yield call.node
        for helper in call.functions if call is not None else ():
            yield from (other.node for other in calls_in(module, helper) if is_session_call(other))


def _chosen_then_set(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at rows that are chosen by a column, `where(Job.worker.is_(None))`, and then set in it: two requests choose the same."""
    message = "This row was chosen because of `{}`, which is set afterwards. Two requests at once choose the same row, and both believe that it is theirs."
    mend = "`.with_for_update(skip_locked=True)` on what chooses; or let one statement choose and set: `update(Job).where(Job.id == chosen, Job.worker.is_(None)).values(worker=...)`, and look at what it returned."
    choosing: dict[tuple[str, str], list[Call]] = {}
    for call in calls_in(module, function):
        for column in _chosen_by(module, call) if is_session_call(call) else ():
            choosing.setdefault(column, []).append(call)
    for node in own_nodes(module, function, ast.Assign) if choosing else ():
        if not isinstance(node, ast.Assign) or (
            module.value(node.value).constant is not None
            and any(isinstance(parent, ast.For | ast.AsyncFor) for parent in module.ancestors(node))
        ):
            continue  # to mark many as seen twice is to mark them once
        for target in (
            part for each in node.targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])
        ):
            if not isinstance(target, ast.Attribute) or not is_row(module, target.value):
                continue
            before = [
                call
                for table in tables_of(module, target.value)
                for call in choosing.get((table, target.attr), ())
                if call.node.lineno < target.lineno
            ]
            if before and not is_held(module, function, target.value):
                yield from (Fault(call.node, message.format(target.attr), mend) for call in before[-1:])
                yield Fault(node, message.format(target.attr), mend)


def _chosen_by(module: Module, call: Call) -> set[tuple[str, str]]:
    """Return table and column of what a query asks of the rows that it reads, and does not lock."""
    if method(call) not in EXECUTING or not call.node.args:
        return set()
    parts = [part for piece in pieces_of(module, call.node.args[0]) for part in inside(piece)]
    if any(isinstance(part, ast.Attribute) and part.attr == "with_for_update" for part in parts) or not any(
        isinstance(part, ast.Call) and "sqlalchemy.select" in module.value(part.func).names for part in parts
    ):
        return set()
    wheres = [
        part
        for part in parts
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in {"where", "filter"}
    ]
    return {column for where in wheres for argument in where.args for column in columns_in(module, argument)}


def _locked_as_named(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at rows that are locked one after another in the order in which the client names them."""
    for call in calls_in(module, function):
        if not is_session_call(call) or not any(keyword.arg == "with_for_update" for keyword in call.node.keywords):
            continue
        for loop in call.loops:
            node = getattr(loop, "iter", None)
            if (
                module.function_of(loop) is function
                and node is not None
                and module.value(node).all_labels() & {INPUT, SHAPED}
                and not any(_sorts(module, piece) for piece in (function, *origins(module, node)))
            ):
                message = "These rows are locked in the order in which the client names them. Two requests that name them the other way round wait for each other until one is killed."
                mend = "One statement in one order, `select(Account).where(Account.id.in_(ids)).order_by(Account.id).with_for_update()`; or `for each in sorted(ids):`."
                yield Fault(call.node, message, mend)
                yield from (Fault(other.node, message, mend) for other in module.callers.get(function, []))


def _sorts(module: Module, node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Call)
        and ("builtins.sorted" in module.value(part.func).names or name_of(part.func) == "sort")
        for part in inside(node)
    )


def _lost_updates(module: Module, function: ast.AST) -> Iterator[Fault]:
    message = "This value was read before and is written back changed. Two requests at once read the same value, and one change is lost."
    for part in own_nodes(module, function, ast.Call):
        for value in _values_of(part):
            made = module.given.get((function, value.id), []) if isinstance(value, ast.Name) else [value]
            if any(
                isinstance(each, ast.BinOp)
                and any(
                    is_row(module, side) and not is_held(module, function, side) for side in (each.left, each.right)
                )
                and not is_column(each)
                for each in made
            ):
                yield Fault(value if value.lineno == getattr(part, "lineno", 0) else part, message, LOCK_MEND)
    for node in own_nodes(module, function, ast.AugAssign, ast.Assign):
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.target, ast.Attribute)
            and is_row(module, node.target.value)
        ):
            if not is_column(node.value) and not is_held(module, function, node.target.value):
                yield Fault(node, message, LOCK_MEND)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and is_row(module, node.targets[0].value)
        ):
            if is_held(module, function, node.targets[0].value):
                continue
            path = path_of(node.targets[0])
            read = {path} | _copies(module, function, path)
            made = [
                node.value,
                *(module.given.get((function, node.value.id), ()) if isinstance(node.value, ast.Name) else ()),
            ]
            if any(
                isinstance(part, ast.BinOp)
                and any(_reads_again(inner, read, path_of(node.targets[0].value)) for inner in (part.left, part.right))
                for each in made
                for part in inside(each)
            ):
                yield Fault(node, message, LOCK_MEND)


def _reads_again(node: ast.expr, read: set[str | None], row: str | None) -> bool:
    """Return whether an expression is what stood in an attribute: itself, in `int(...)`, or asked of the row by `getattr` and its like."""
    if path_of(node) in read:
        return True
    return isinstance(node, ast.Call) and any(
        path_of(argument) in read or (row is not None and path_of(argument) == row) for argument in node.args
    )


def _copies(module: Module, function: ast.AST, path: str | None) -> set[str | None]:
    """Return the names that hold what stood in an attribute: `left = stock.left`, also side by side with others."""
    pairs: list[tuple[ast.expr, ast.expr]] = []
    for part in own_nodes(module, function, ast.Assign, ast.NamedExpr):
        if isinstance(part, ast.NamedExpr):
            pairs.append((part.target, part.value))
        elif isinstance(part, ast.Assign):
            target, value = part.targets[0], part.value
            both = isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List)
            pairs += (
                zip(target.elts, value.elts, strict=False)
                if both and isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List)
                else [(target, value)]
            )
    return {
        target.id
        for target, value in pairs
        if isinstance(target, ast.Name) and path is not None and path_of(value) == path
    }


def _values_of(node: ast.AST) -> list[ast.expr]:
    """Return what `.values(...)` is given, by keyword or in a dictionary; and what `setattr` sets."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
        return node.args[2:]
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values"):
        return []
    given = [keyword.value for keyword in node.keywords]
    for argument in node.args:
        given += argument.values if isinstance(argument, ast.Dict) else []
    return given
