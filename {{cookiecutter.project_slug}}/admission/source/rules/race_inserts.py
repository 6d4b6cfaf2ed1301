"""BW206: rows that are inserted because another was not found, and numbers that are the highest and one."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault
from admission.source.match import method, name_of
from admission.source.rules.race_checks import is_row, own_nodes, refuses
from admission.source.rules.rows import calls_in, is_session_call
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside, is_inside
from admission.source.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

_UNIQUE_MEND: Final = 'Let a unique constraint decide: `session.add(user)`, `try: await session.flush()`, `except IntegrityError as error: raise HTTPException(409, "Exists already.") from error`.'

_ROUNDS: Final = 8


def exists_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    """Point at `if found: raise` ... `session.add(Found(...))`: who was not found may be there by now."""
    guards = [
        node
        for node in own_nodes(module, function, ast.If)
        if isinstance(node, ast.If) and refuses(node) and _asks_whether_found(module, node.test)
    ]
    if not guards:
        return
    for call in calls_in(module, function):
        if is_session_call(call) and method(call) in {"add", "add_all"} and call.node.lineno > guards[0].lineno:
            added = {name for value in call.args for name in value.types}
            if not added or _same_class(module, function, guards[0].test, added):
                yield Fault(
                    guards[0],
                    "This asks whether it exists, and inserts it later. Two requests at once both find nothing, and both insert.",
                    _UNIQUE_MEND,
                )
                return


def missing_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    """Point at `if not found: session.add(Shared(...))`, where the table is known to be everybody's."""
    for node in own_nodes(module, function, ast.If):
        if not isinstance(node, ast.If) or not _asks_whether_missing(module, node.test):
            continue
        for call in calls_in(module, function):
            if (
                is_session_call(call)
                and method(call) == "add"
                and any(is_inside(call.node, part) for part in node.body)
            ):
                kinds = {kind for value in call.args for kind in value.types if module.class_of(kind) is not None}
                if any(not module.is_owned(kind) for kind in kinds):
                    yield Fault(
                        call.node,
                        "This asks whether it is missing, and inserts it. Two requests at once both find nothing.",
                        _UNIQUE_MEND,
                    )


def matched_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    """Point at `match await session.get(Shared, key): case None: session.add(Shared(...))`, and at the same with a count."""
    for node in own_nodes(module, function, ast.Match):
        if (
            not isinstance(node, ast.Match)
            or isinstance(node.subject, ast.Attribute)
            or not is_row(module, node.subject)
        ):
            continue
        cases = [
            case
            for case in node.cases
            if isinstance(case.pattern, ast.MatchSingleton)
            or (isinstance(case.pattern, ast.MatchValue) and isinstance(case.pattern.value, ast.Constant))
        ]
        for call in calls_in(module, function):
            if (
                is_session_call(call)
                and method(call) == "add"
                and any(is_inside(call.node, part) for case in cases for part in case.body)
            ):
                kinds = {kind for value in call.args for kind in value.types}
                if _same_class(module, function, node.subject, kinds) and not all(
                    module.is_owned(kind) for kind in kinds
                ):
                    yield Fault(
                        call.node,
                        "This asks whether it is there, and inserts it. Two requests at once both find nothing.",
                        _UNIQUE_MEND,
                    )


def next_numbers(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at `max(number) + 1` that becomes a column, where no constraint refuses the second of two."""
    homes = {function, *(home for call in module.callers.get(function, []) if (home := module.function_of(call.node)))}
    made = {name for home in homes for call in calls_in(module, home) for name in call.names if module.is_table(name)}
    for node in own_nodes(module, function, ast.BinOp):
        if (
            not isinstance(node, ast.BinOp)
            or not isinstance(node.op, ast.Add)
            or not isinstance(node.right, ast.Constant)
        ):
            continue
        for part in (part for piece in pieces_of(module, node.left) for part in inside(piece)):
            if isinstance(part, ast.Call) and "sqlalchemy.func.max" in module.value(part.func).names:
                columns = {
                    (owner, inner.attr)
                    for argument in part.args
                    for inner in inside(argument)
                    if isinstance(inner, ast.Attribute)
                    for owner in module.value(inner.value).names
                    if owner in made and set(words(inner.attr)) & _NUMBERS
                }
                if any(not _is_unique(module, owner, column) for owner, column in columns):
                    yield Fault(
                        node,
                        "The next number is the highest and one. Two requests at once read the same highest, and both give the same number.",
                        "A row that counts, `update(Counter).values(last=Counter.last + 1).returning(Counter.last)`; and `UniqueConstraint` on the number.",
                    )


_NUMBERS: Final = frozenset({"number", "no", "nr", "num", "serial", "sequence", "seq", "code", "ticket", "invoice"})
"""Words for what tells one thing from another; a position may stand there twice."""


def _is_unique(module: Module, table: str, column: str) -> bool:
    """Return whether a constraint of a table keeps a column, or it and others, from being the same twice."""
    for base in module.bases_of(table):
        info = module.class_of(base)
        declared = info.fields.get(column) if info is not None else None
        if (
            declared is not None
            and declared.value is not None
            and any(
                isinstance(part, ast.keyword) and part.arg in {"unique", "primary_key"}
                for part in inside(declared.value)
            )
        ):
            return True
        arguments = info.assigned.get("__table_args__") if info is not None else None
        if arguments is not None and any(
            isinstance(part, ast.Call)
            and name_of(part.func) in {"UniqueConstraint", "Index"}
            and any(isinstance(each, ast.Constant) and each.value == column for each in part.args)
            for part in inside(arguments)
        ):
            return True
    return False


def _asks_whether_found(module: Module, test: ast.expr, depth: int = 0) -> bool:
    """`if existing:`, `if existing is not None:`, `if count >= LIMIT:` on an answer of the database."""
    if isinstance(test, ast.NamedExpr):
        test = test.value
    if isinstance(test, ast.BoolOp):
        return any(_asks_whether_found(module, part, depth) for part in test.values)
    if isinstance(test, ast.Name | ast.Await | ast.Call):
        return is_row(module, test) or (
            depth < _ROUNDS
            and any(_asks_whether_found(module, answer, depth + 1) for answer in _answers_of(module, test))
        )
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left = test.left.value if isinstance(test.left, ast.NamedExpr) else test.left
        found = (
            isinstance(test.ops[0], ast.IsNot)
            and isinstance(test.comparators[0], ast.Constant)
            and test.comparators[0].value is None
        )
        counts = isinstance(test.ops[0], ast.Gt | ast.GtE) and not isinstance(left, ast.Attribute)
        return (found or counts) and not isinstance(left, ast.Attribute) and is_row(module, left)
    return False


def _asks_whether_missing(module: Module, test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Name | ast.Await | ast.Call) and is_row(module, test.operand)
    if (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value == 0
    ):
        return not isinstance(test.left, ast.Attribute) and is_row(module, test.left)  # a count
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Is)
        and not isinstance(test.left, ast.Attribute)
        and is_row(module, test.left.value if isinstance(test.left, ast.NamedExpr) else test.left)
    )


def _answers_of(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return what a helper that answers yes or no compares: `return await session.scalar(...) is not None`."""
    asked = node.value if isinstance(node, ast.Await) else node
    call = module.calls.get(asked) if isinstance(asked, ast.Call) else None
    if call is None:
        return []
    answers = [
        part.value
        for function in call.functions
        for part in own_nodes(module, function, ast.Return)
        if isinstance(part, ast.Return) and part.value is not None
    ]
    answers += [call.node.args[0]] if "builtins.bool" in call.names and call.node.args else []
    return [
        answer.args[0]
        if isinstance(answer, ast.Call) and answer.args and "builtins.bool" in module.value(answer.func).names
        else answer
        for answer in answers
        if isinstance(answer, ast.Compare | ast.Call | ast.Await)
    ]


def _same_class(module: Module, function: ast.AST, question: ast.expr, added: set[str]) -> bool:
    """Return whether a question was about the class that is inserted."""
    names = {part.id for part in inside(question) if isinstance(part, ast.Name)}
    asked = set(names)
    helpers = {
        function
        for part in inside(question)
        if isinstance(part, ast.Call) and part in module.calls
        for function in module.calls[part].functions
    }
    asked |= {part.id for helper in helpers for part in inside(helper) if isinstance(part, ast.Name)}
    for node in own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in names for target in node.targets
        ):
            asked |= {part.id for part in inside(node.value) if isinstance(part, ast.Name)}
            more = {part.id for part in inside(node.value) if isinstance(part, ast.Name)}
            for other in own_nodes(module, function, ast.Assign):
                if isinstance(other, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id in more for target in other.targets
                ):
                    asked |= {part.id for part in inside(other.value) if isinstance(part, ast.Name)}
    return any(kind.rpartition(".")[2] in asked for kind in added)
