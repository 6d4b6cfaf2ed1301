"""BW206: shared rows that are read, looked at and then written."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from admission.source.contract import dependencies_of
from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import method, name_of, origins
from admission.source.module import is_definition
from admission.source.routes import parameters_of
from admission.source.rules.locks import is_held, is_settled, locks
from admission.source.rules.rows import calls_in, definitions, is_session_call
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside, is_inside
from admission.source.values import INPUT, LOCKED, ROW, SHAPED, TABLE
from admission.source.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_LOCK_MEND: Final = "Let the database decide in one statement: `update(Item).where(Item.id == item_id, Item.stock >= n).values(stock=Item.stock - n)`, then check `result.rowcount`; or read with `.with_for_update()`."
_UNIQUE_MEND: Final = 'Let a unique constraint decide: `session.add(user)`, `try: await session.flush()`, `except IntegrityError as error: raise HTTPException(409, "Exists already.") from error`.'
_ROUNDS: Final = 8


@registry.rule("BW206", "Check, then act, on a shared row")
def check_then_act(module: Module) -> Iterator[Fault]:
    """Point at values that are read, compared or counted in Python, and then written."""
    for function in definitions(module):
        if is_settled(function):
            continue
        yield from _lost_updates(module, function)
        yield from _guarded_states(module, function)
        yield from _written_elsewhere(module, function)
        yield from _chosen_then_set(module, function)
        yield from _own_state_with_effect(module, function)
        yield from _locked_as_named(module, function)
        if locks(function):
            continue  # of what is inserted it is not known what it hangs on
        yield from _exists_then_insert(module, function)
        yield from _missing_then_insert(module, function)
        yield from _matched_then_insert(module, function)
        yield from _next_numbers(module, function)


def _own_state_with_effect(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at rows of the caller's own that are checked and set, where something is added elsewhere in between: a double click adds twice."""
    checked = dict(_checks(module, function))
    for node in _own_nodes(module, function, ast.Assign):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if (
            not isinstance(target, ast.Attribute)
            or not _is_owned(module, target.value)
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
        yield Fault(node, message, _LOCK_MEND)
        name = (path_of(target.value) or "").partition(".")[0]
        yield from (Fault(read, message, _LOCK_MEND) for read in _reads_behind(module, function, name))


def _adds_elsewhere(module: Module, call: Call, depth: int = 0) -> bool:
    """Return whether a call adds to what a row holds, by a statement, itself or in the helpers behind it."""
    if is_session_call(call):
        parts = (
            [part for piece in pieces_of(module, call.node.args[0]) for part in inside(piece)]
            if method(call) in _EXECUTING and call.node.args
            else []
        )
        return any(
            isinstance(part, ast.keyword)
            and isinstance(part.value, ast.BinOp)
            and isinstance(part.value.left, ast.Attribute)
            and part.value.left.attr == part.arg
            and _is_column(part.value)
            for part in parts
        )
    return depth < _HELPERS and any(
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
    for node in _own_nodes(module, function, ast.Assign) if choosing else ():
        if not isinstance(node, ast.Assign) or (
            module.value(node.value).constant is not None
            and any(isinstance(parent, ast.For | ast.AsyncFor) for parent in module.ancestors(node))
        ):
            continue  # to mark many as seen twice is to mark them once
        for target in (
            part for each in node.targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])
        ):
            if not isinstance(target, ast.Attribute) or not _is_row(module, target.value):
                continue
            before = [
                call
                for table in _tables_of(module, target.value)
                for call in choosing.get((table, target.attr), ())
                if call.node.lineno < target.lineno
            ]
            if before and not is_held(module, function, target.value):
                yield from (Fault(call.node, message.format(target.attr), mend) for call in before[-1:])
                yield Fault(node, message.format(target.attr), mend)


def _chosen_by(module: Module, call: Call) -> set[tuple[str, str]]:
    """Return table and column of what a query asks of the rows that it reads, and does not lock."""
    if method(call) not in _EXECUTING or not call.node.args:
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
    return {column for where in wheres for argument in where.args for column in _columns_in(module, argument)}


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


def _next_numbers(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """Point at `max(number) + 1` that becomes a column, where no constraint refuses the second of two."""
    homes = {function, *(home for call in module.callers.get(function, []) if (home := module.function_of(call.node)))}
    made = {name for home in homes for call in calls_in(module, home) for name in call.names if module.is_table(name)}
    for node in _own_nodes(module, function, ast.BinOp):
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


def _own_nodes(module: Module, function: ast.AST, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    for part in inside(function):
        if isinstance(part, kinds) and module.function_of(part) is function:
            yield part


def _lost_updates(module: Module, function: ast.AST) -> Iterator[Fault]:
    message = "This value was read before and is written back changed. Two requests at once read the same value, and one change is lost."
    for part in _own_nodes(module, function, ast.Call):
        for value in _values_of(part):
            made = module.given.get((function, value.id), []) if isinstance(value, ast.Name) else [value]
            if any(
                isinstance(each, ast.BinOp)
                and any(
                    _is_row(module, side) and not is_held(module, function, side) for side in (each.left, each.right)
                )
                and not _is_column(each)
                for each in made
            ):
                yield Fault(value if value.lineno == getattr(part, "lineno", 0) else part, message, _LOCK_MEND)
    for node in _own_nodes(module, function, ast.AugAssign, ast.Assign):
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.target, ast.Attribute)
            and _is_row(module, node.target.value)
        ):
            if not _is_column(node.value) and not is_held(module, function, node.target.value):
                yield Fault(node, message, _LOCK_MEND)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and _is_row(module, node.targets[0].value)
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
                yield Fault(node, message, _LOCK_MEND)


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
    for part in _own_nodes(module, function, ast.Assign, ast.NamedExpr):
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


def _missing_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    """Point at `if not found: session.add(Shared(...))`, where the table is known to be everybody's."""
    for node in _own_nodes(module, function, ast.If):
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


def _matched_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    """Point at `match await session.get(Shared, key): case None: session.add(Shared(...))`, and at the same with a count."""
    for node in _own_nodes(module, function, ast.Match):
        if (
            not isinstance(node, ast.Match)
            or isinstance(node.subject, ast.Attribute)
            or not _is_row(module, node.subject)
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


def _asks_whether_missing(module: Module, test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Name | ast.Await | ast.Call) and _is_row(module, test.operand)
    if (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value == 0
    ):
        return not isinstance(test.left, ast.Attribute) and _is_row(module, test.left)  # a count
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Is)
        and not isinstance(test.left, ast.Attribute)
        and _is_row(module, test.left.value if isinstance(test.left, ast.NamedExpr) else test.left)
    )


def _is_row(module: Module, node: ast.expr) -> bool:
    return ROW in module.value(node).labels


def _is_column(node: ast.expr) -> bool:
    """`item.stock = Item.stock - n` is computed by the database."""
    return any(
        isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id[:1].isupper()
        for part in inside(node)
    )


def _guarded_states(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    """`if seat.taken: raise` ... `seat.taken = True`, on a row that is not the caller's alone."""
    checked = dict(reversed(list(_checks(module, function))))
    for tested in _tested_before(module, function):
        checked.setdefault(f"{tested.row}.{tested.column}", tested.line)
    for node in _own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            for path, line in _checked_before(module, node):
                checked.setdefault(path, line)
    for node in _own_nodes(module, function, ast.Assign):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and _is_row(module, node.targets[0].value)
            and _is_shared(module, node.targets[0].value)
            and not is_held(module, function, node.targets[0].value)
        ):
            written = path_of(node.targets[0])
            if written in checked and checked[written] < node.lineno:
                yield Fault(
                    node,
                    "Between the check above and this line another request may pass the same check. Both then believe that they were first.",
                    _LOCK_MEND,
                )


def _checks(module: Module, function: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the columns of rows that a function tests before it refuses, and the line: `if seat.taken: raise`."""
    for node in _own_nodes(module, function, ast.If):
        if isinstance(node, ast.If) and _refuses(node):
            for part in (
                part
                for home, asked in _asked(module, function, node.test)
                if home is function
                for part in inside(asked)
            ):
                if isinstance(part, ast.Attribute) and _is_row(module, part.value):
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
            for part in _own_nodes(module, function, ast.Return)
            if isinstance(part, ast.Return) and part.value is not None
        }
        for tested, _ in _checks(module, function):
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


def _written_elsewhere(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
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
                yield Fault(call.node, message, _LOCK_MEND)
                if getattr(written.node, "lineno", 0) != call.node.lineno:
                    yield Fault(written.node, message, _LOCK_MEND)


def _is_same(tested: _Tested, written: _Written) -> bool:
    """Return whether what was looked at and what is written may be the same row."""
    return bool(tested.tables & written.tables) or (tested.row == written.row != "")


def _tested_here(module: Module, function: ast.AST, *, raising: bool = False) -> Iterator[_Tested]:
    """Yield the columns of shared rows that a function tests before it refuses: of a row, or read one by one."""
    for node in _own_nodes(module, function, ast.If):
        if not isinstance(node, ast.If) or not (
            any(isinstance(part, ast.Raise) for part in node.body) if raising else _refuses(node)
        ):
            continue
        for home, part in (
            (home, part) for home, asked in _asked(module, function, node.test) for part in inside(asked)
        ):
            if (
                isinstance(part, ast.Attribute)
                and _is_row(module, part.value)
                and not _is_owned(module, part.value)
                and not is_held(module, home, part.value)
            ):
                yield _Tested(
                    _tables_of(module, part.value),
                    part.attr,
                    node.lineno,
                    (path_of(part.value) or "") if home is function else "",
                )
            elif (
                isinstance(part, ast.Name | ast.Await | ast.NamedExpr)
                and _is_row(module, part)
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
                        for answer in _own_nodes(module, helper, ast.Return)
                        if isinstance(answer, ast.Return)
                        and isinstance(answer.value, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Attribute)
                    )


def _is_existence(module: Module, node: ast.AST) -> bool:
    parent = module.parents.get(node)
    return isinstance(parent, ast.Attribute) or (
        isinstance(parent, ast.Compare)
        and any(isinstance(side, ast.Constant) and side.value is None for side in parent.comparators)
    )


def _tables_of(module: Module, node: ast.expr) -> frozenset[str]:
    """Return the tables that a row may be of, as far as they are known, those that are the caller's alone left out."""
    tables = (label.removeprefix(TABLE) for label in module.value(node).labels if label.startswith(TABLE))
    return frozenset(table for table in tables if not module.is_owned(table))


def _is_owned(module: Module, node: ast.expr) -> bool:
    return any(
        module.is_owned(label.removeprefix(TABLE)) for label in module.value(node).labels if label.startswith(TABLE)
    )


def _columns_read(module: Module, node: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield table and column of what `select(Card.left)` gave, in this function or in a helper."""
    for piece in pieces_of(module, node.value if isinstance(node, ast.NamedExpr) else node):
        for part in inside(piece):
            if isinstance(part, ast.Call) and "sqlalchemy.select" in module.value(part.func).names:
                yield from (column for argument in part.args for column in _columns_in(module, argument))


def _columns_in(module: Module, node: ast.AST) -> Iterator[tuple[str, str]]:
    for part in inside(node):
        if isinstance(part, ast.Attribute):
            yield from (
                (owner, part.attr)
                for owner in module.value(part.value).names
                if module.is_table(owner) and not module.is_owned(owner)
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
        return list(_set_by_statement(module, call)) if method(call) in _EXECUTING and call.node.args else []
    found: list[_Written] = []
    for helper in call.functions if depth < _HELPERS else ():
        if is_definition(helper) and not is_settled(helper):
            found += [
                written for other in calls_in(module, helper) for written in _written_by(module, other, depth + 1)
            ]
            for node in _own_nodes(module, helper, ast.Assign, ast.AugAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                if (
                    isinstance(target, ast.Attribute)
                    and _is_row(module, target.value)
                    and not is_held(module, helper, target.value)
                ):
                    row = _handed(helper, call).get(path_of(target.value) or "")
                    found.append(
                        _Written(
                            node,
                            _tables_of(module, target.value),
                            frozenset({target.attr}),
                            row=(path_of(row) or "") if row is not None else "",
                        )
                    )
    return found


_EXECUTING: Final = frozenset({"execute", "scalar", "scalars"})
_HELPERS: Final = 3
"""Helpers behind one another that are looked into."""


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
                    conditions |= {column for argument in part.args for _, column in _columns_in(module, argument)}
                elif verb == "filter_by":
                    conditions |= {keyword.arg for keyword in part.keywords if keyword.arg}
            yield _Written(made, tables, frozenset(columns), frozenset(conditions))


def _is_shared(module: Module, node: ast.expr) -> bool:
    """Return whether a row may belong to more than the caller: it is not locked, and its table is not known to be ``Owned``.

    Of what hangs on a row (`order.item`) the table is not known, and nothing is said.
    """
    if LOCKED in module.value(node).labels or isinstance(node, ast.Attribute):
        return False
    return not _is_owned(module, node)


def _refuses(node: ast.If) -> bool:
    return any(isinstance(part, ast.Raise | ast.Return) for part in node.body)


def _exists_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    guards = [
        node
        for node in _own_nodes(module, function, ast.If)
        if isinstance(node, ast.If) and _refuses(node) and _asks_whether_found(module, node.test)
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


def _asks_whether_found(module: Module, test: ast.expr, depth: int = 0) -> bool:
    """`if existing:`, `if existing is not None:`, `if count >= LIMIT:` on an answer of the database."""
    if isinstance(test, ast.NamedExpr):
        test = test.value
    if isinstance(test, ast.BoolOp):
        return any(_asks_whether_found(module, part, depth) for part in test.values)
    if isinstance(test, ast.Name | ast.Await | ast.Call):
        return _is_row(module, test) or (
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
        return (found or counts) and not isinstance(left, ast.Attribute) and _is_row(module, left)
    return False


def _answers_of(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return what a helper that answers yes or no compares: `return await session.scalar(...) is not None`."""
    asked = node.value if isinstance(node, ast.Await) else node
    call = module.calls.get(asked) if isinstance(asked, ast.Call) else None
    if call is None:
        return []
    answers = [
        part.value
        for function in call.functions
        for part in _own_nodes(module, function, ast.Return)
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
    for node in _own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in names for target in node.targets
        ):
            asked |= {part.id for part in inside(node.value) if isinstance(part, ast.Name)}
            more = {part.id for part in inside(node.value) if isinstance(part, ast.Name)}
            for other in _own_nodes(module, function, ast.Assign):
                if isinstance(other, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id in more for target in other.targets
                ):
                    asked |= {part.id for part in inside(other.value) if isinstance(part, ast.Name)}
    return any(kind.rpartition(".")[2] in asked for kind in added)
