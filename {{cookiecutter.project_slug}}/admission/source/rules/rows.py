"""BW206, BW207, BW208: shared rows, transactions across calls, a query for each of many."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.effects import QUERIES, QUERY_ONLY, SESSION_NAMES, SESSIONS
from admission.source.expressions import path_of
from admission.source.match import calls, method
from admission.source.module import is_definition
from admission.source.outbound import functions_that_leave, leaves
from admission.source.tree import inside, is_inside
from admission.source.values import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_WRITES: Final = frozenset({"add", "add_all", "flush", "delete", "merge", "begin", "begin_nested"})
_LOCK_MEND: Final = "Let the database decide in one statement: `update(Item).where(Item.id == item_id, Item.stock >= n).values(stock=Item.stock - n)`, then check `result.rowcount`; or read with `.with_for_update()`."
_UNIQUE_MEND: Final = 'Let a unique constraint decide: `session.add(user)`, `try: await session.flush()`, `except IntegrityError as error: raise HTTPException(409, "Exists already.") from error`.'


def is_session_call(call: Call) -> bool:
    """Return whether a method of a database session or connection is called."""
    if call.receiver.types & SESSIONS or any(name.rpartition(".")[0] in SESSIONS for name in call.names):
        return True
    node = call.node.func
    if call.functions or not isinstance(node, ast.Attribute):
        return False
    said = (path_of(node.value) or "").rpartition(".")[2]
    return said.lstrip("_") in SESSION_NAMES and not any("." in name and not name.startswith(("?", "sqlalchemy.", "sqlmodel.")) for name in call.names)


def is_query(call: Call) -> bool:
    """Return whether a call asks the database."""
    return (is_session_call(call) and method(call) in QUERIES) or (method(call) in QUERY_ONLY and any(name.startswith("?.") for name in call.names) and not call.functions)


def _calls_in(module: Module, function: ast.AST) -> list[Call]:
    return module.calls_by_function.get(function, [])


def _definitions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        if is_definition(node):
            yield node


@registry.rule("BW206", "Check, then act, on a shared row")
def check_then_act(module: Module) -> Iterator[Fault]:
    """Point at values that are read, compared or counted in Python, and then written."""
    for function in _definitions(module):
        if _is_locked(function):
            continue
        yield from _lost_updates(module, function)
        yield from _guarded_states(module, function)
        yield from _exists_then_insert(module, function)
        yield from _missing_then_insert(module, function)


def _is_locked(function: ast.AST) -> bool:
    for part in inside(function):
        if isinstance(part, ast.Attribute) and part.attr in {"with_for_update", "pg_advisory_xact_lock", "rowcount"}:
            return True
        if isinstance(part, ast.keyword) and part.arg == "with_for_update":
            return True
        if isinstance(part, ast.Name | ast.Attribute) and (part.id if isinstance(part, ast.Name) else part.attr) in {
            "IntegrityError",
            "UniqueViolation",
            "StaleDataError",
        }:
            return True
        if isinstance(part, ast.Attribute) and part.attr.startswith("on_conflict_do_"):
            return True
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "for update" in part.value.lower():
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
            if isinstance(value, ast.BinOp) and any(_is_row(module, side) for side in (value.left, value.right)) and not _is_column(value):
                yield Fault(value if value.lineno == getattr(part, "lineno", 0) else part, message, _LOCK_MEND)
    for node in _own_nodes(module, function, ast.AugAssign, ast.Assign):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute) and _is_row(module, node.target.value):
            if not _is_column(node.value):
                yield Fault(node, message, _LOCK_MEND)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and _is_row(module, node.targets[0].value):
            path = path_of(node.targets[0])
            read = {path} | _copies(module, function, path)
            if any(isinstance(part, ast.BinOp) and any(path_of(inner) in read for inner in (part.left, part.right)) for part in inside(node.value)):
                yield Fault(node, message, _LOCK_MEND)


def _copies(module: Module, function: ast.AST, path: str | None) -> set[str | None]:
    """Return the names that hold what stood in an attribute: `left = stock.left`."""
    return {part.targets[0].id for part in _own_nodes(module, function, ast.Assign) if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name) and path is not None and path_of(part.value) == path}


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
        for call in _calls_in(module, function):
            if is_session_call(call) and method(call) == "add" and any(is_inside(call.node, part) for part in node.body):
                kinds = {kind for value in call.args for kind in value.types if kind in module.classes}
                if any(not any(base.rpartition(".")[2] == "Owned" for base in module.bases_of(kind)) for kind in kinds):
                    yield Fault(
                        call.node,
                        "This asks whether it is missing, and inserts it. Two requests at once both find nothing.",
                        _UNIQUE_MEND,
                    )


def _asks_whether_missing(module: Module, test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Name | ast.Await | ast.Call) and _is_row(module, test.operand)
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) and not isinstance(test.left, ast.Attribute) and _is_row(module, test.left.value if isinstance(test.left, ast.NamedExpr) else test.left)


def _is_row(module: Module, node: ast.expr) -> bool:
    return ROW in module.value(node).labels


def _is_column(node: ast.expr) -> bool:
    """`item.stock = Item.stock - n` is computed by the database."""
    return any(isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id[:1].isupper() for part in inside(node))


def _guarded_states(module: Module, function: ast.AST) -> Iterator[Fault]:
    """`if seat.taken: raise` ... `seat.taken = True`, on a row that is not the caller's alone."""
    checked: dict[str, ast.If] = {}
    for node in _own_nodes(module, function, ast.If):
        if isinstance(node, ast.If) and _refuses(node):
            for part in inside(node.test):
                if isinstance(part, ast.Attribute) and _is_row(module, part.value):
                    checked.setdefault(path_of(part) or "", node)
    for node in _own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and _is_row(module, node.targets[0].value) and _is_shared(module, node.targets[0].value):
            path = path_of(node.targets[0])
            if path in checked and checked[path].lineno < node.lineno:
                yield Fault(
                    node,
                    "Between the check above and this line another request may pass the same check. Both then believe that they were first.",
                    _LOCK_MEND,
                )


def _is_shared(module: Module, node: ast.expr) -> bool:
    """Return whether a row may belong to more than the caller: its class is not known to be ``Owned``."""
    function = module.function_of(node)
    name = node.id if isinstance(node, ast.Name) else None
    if function is None or name is None:
        return False
    for part in inside(function):
        if isinstance(part, ast.Assign | ast.AnnAssign) and part.value is not None and any(isinstance(target, ast.Name) and target.id == name for target in (part.targets if isinstance(part, ast.Assign) else [part.target])):
            used = {inner.id for inner in inside(part.value) if isinstance(inner, ast.Name)}
            known = [f".{each}" for each in used if f".{each}" in module.classes]
            if known:
                return not any(base.rpartition(".")[2] == "Owned" for each in known for base in module.bases_of(each))
    return False


def _refuses(node: ast.If) -> bool:
    return any(isinstance(part, ast.Raise | ast.Return) for part in node.body)


def _exists_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    guards = [node for node in _own_nodes(module, function, ast.If) if isinstance(node, ast.If) and _refuses(node) and _asks_whether_found(module, node.test)]
    if not guards:
        return
    for call in _calls_in(module, function):
        if is_session_call(call) and method(call) in {"add", "add_all"} and call.node.lineno > guards[0].lineno:
            added = {name for value in call.args for name in value.types}
            if not added or _same_class(module, function, guards[0], added):
                yield Fault(
                    guards[0],
                    "This asks whether it exists, and inserts it later. Two requests at once both find nothing, and both insert.",
                    _UNIQUE_MEND,
                )
                return


def _asks_whether_found(module: Module, test: ast.expr) -> bool:
    """`if existing:`, `if existing is not None:`, `if count >= LIMIT:` on an answer of the database."""
    if isinstance(test, ast.NamedExpr):
        test = test.value
    if isinstance(test, ast.BoolOp):
        return any(_asks_whether_found(module, part) for part in test.values)
    if isinstance(test, ast.Name | ast.Await | ast.Call):
        return _is_row(module, test)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left = test.left.value if isinstance(test.left, ast.NamedExpr) else test.left
        found = isinstance(test.ops[0], ast.IsNot) and isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None
        counts = isinstance(test.ops[0], ast.Gt | ast.GtE) and not isinstance(left, ast.Attribute)
        return (found or counts) and not isinstance(left, ast.Attribute) and _is_row(module, left)
    return False


def _same_class(module: Module, function: ast.AST, guard: ast.If, added: set[str]) -> bool:
    """Return whether the question was about the class that is inserted."""
    names = {part.id for part in inside(guard.test) if isinstance(part, ast.Name)}
    asked = {part.id for part in inside(guard.test) if isinstance(part, ast.Name)}
    for node in _own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id in names for target in node.targets):
            asked |= {part.id for part in inside(node.value) if isinstance(part, ast.Name)}
            more = {part.id for part in inside(node.value) if isinstance(part, ast.Name)}
            for other in _own_nodes(module, function, ast.Assign):
                if isinstance(other, ast.Assign) and any(isinstance(target, ast.Name) and target.id in more for target in other.targets):
                    asked |= {part.id for part in inside(other.value) if isinstance(part, ast.Name)}
    return any(kind.rpartition(".")[2] in asked for kind in added)


@registry.rule("BW207", "A transaction held across an outbound call")
def transaction_across_call(module: Module) -> Iterator[Fault]:
    """Point at calls to other services while rows are written or locked."""
    leaving = functions_that_leave(module)
    for function in _definitions(module):
        own = _calls_in(module, function)
        first_write = min((call.node.lineno for call in own if _writes(module, call)), default=None)
        for call in own:
            if not (leaves(call) or call.functions & leaving) or not _is_awaited(module, call):
                continue
            after = first_write is not None and first_write < call.node.lineno and not _apart(module, call, own)
            if after or _in_transaction(module, call):
                yield Fault(
                    call.node,
                    "Rows are written or locked while another service is waited for. When it is slow, everybody who needs these rows waits too, and the pool runs dry.",
                    "Call first and write then; or write the wish into the outbox, in the same transaction, and let the worker call.",
                )


def _is_awaited(module: Module, call: Call) -> bool:
    statement = module.statement_of(call.node)
    if not call.on_loop or isinstance(statement, ast.AsyncWith | ast.AsyncFor):
        return True
    return any(isinstance(parent, ast.Await) for parent in module.ancestors(call.node) if parent is statement or not isinstance(parent, ast.stmt))


def _writes(module: Module, call: Call) -> bool:
    if not is_session_call(call):
        return False
    verb = method(call)
    if verb in _WRITES:
        return True
    said = set()
    for argument in call.node.args[:1]:
        said |= {part.attr if isinstance(part, ast.Attribute) else part.id for part in inside(argument) if isinstance(part, ast.Attribute | ast.Name)}
        made = next((value for value in _assigned(module, argument)), None)
        if made is not None:
            said |= {part.attr if isinstance(part, ast.Attribute) else part.id for part in inside(made) if isinstance(part, ast.Attribute | ast.Name)}
        if any(isinstance(part, ast.Constant) and isinstance(part.value, str) and any(word in part.value.lower() for word in ("update ", "insert ", "delete ", "for update")) for part in inside(argument)):
            return True
    return verb in QUERIES and (bool(said & {"insert", "update", "delete", "with_for_update"}) or any(keyword.arg == "with_for_update" for keyword in call.node.keywords))


def _assigned(module: Module, node: ast.expr) -> Iterator[ast.expr]:
    function = module.function_of(node)
    if isinstance(node, ast.Name) and function is not None:
        for part in inside(function):
            if isinstance(part, ast.Assign) and any(isinstance(target, ast.Name) and target.id == node.id for target in part.targets):
                yield part.value


def _apart(module: Module, call: Call, own: list[Call]) -> bool:
    """Return whether every write before the call stands on a branch that the call is not on."""

    def branch(node: ast.AST) -> list[tuple[ast.AST, bool]]:
        path: list[tuple[ast.AST, bool]] = []
        child = node
        for parent in module.ancestors(node):
            if isinstance(parent, ast.If):
                path.append((parent, child in parent.body))
            child = parent
        return path

    here = dict(branch(call.node))
    for other in own:
        if _writes(module, other) and other.node.lineno < call.node.lineno:
            there = dict(branch(other.node))
            if not any(node in here and here[node] is not side for node, side in there.items()):
                return False
    return True


def _in_transaction(module: Module, call: Call) -> bool:
    for parent in module.ancestors(call.node):
        if isinstance(parent, ast.AsyncWith | ast.With):
            for item in parent.items:
                made = item.context_expr
                if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr in {"begin", "begin_nested"}:
                    return True
    return False


@registry.rule("BW208", "A query for each of many")
def query_in_loop(module: Module) -> Iterator[Fault]:
    """Point at queries, and calls of other services, inside loops."""
    for call in calls(module):
        asks, goes = is_query(call), leaves(call)
        if not asks and not goes:
            continue
        loops = [loop for loop in call.loops if _goes_through_data(module, loop)]
        if goes and not asks:
            # Side by side rather than one after another: BW209 asks for a bound on how many.
            loops = [loop for loop in loops if not _is_gathered(module, loop)]
        if not loops or (goes and isinstance(module.parents.get(call.node), ast.withitem)):
            continue
        what = "asks the database" if asks else "calls another service"
        yield Fault(
            call.node,
            f"This {what} once for each element. A list of a hundred makes a hundred round trips in one request, and its length is not the service's choice.",
            "Ask once: `select(Item).where(Item.id.in_(ids))`, then look up in a dictionary; insert many with one `session.add_all(...)`; bound the list with `max_length=`." if asks else "Ask the upstream once for all of them, or put the calls into the outbox.",
        )


def _empties_a_list(loop: ast.While) -> bool:
    """`while waiting: each = waiting.pop()` goes through data as a `for` does."""
    asked = {part.id for part in inside(loop.test) if isinstance(part, ast.Name)}
    return any(isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in {"pop", "popleft"} and isinstance(part.func.value, ast.Name) and part.func.value.id in asked for statement in loop.body for part in inside(statement))


def _is_gathered(module: Module, loop: ast.AST) -> bool:
    """Return whether a comprehension makes what `asyncio.gather` runs."""
    if not isinstance(loop, ast.comprehension):
        return False
    return any(isinstance(parent, ast.Call) and module.value(parent.func).names & {"asyncio.gather", "asyncio.wait"} for parent in module.ancestors(loop))


def _goes_through_data(module: Module, loop: ast.AST) -> bool:
    if isinstance(loop, ast.While):
        return _empties_a_list(loop)
    node = getattr(loop, "iter", None)
    if node is None:
        return False
    value = module.value(node)
    if isinstance(node, ast.Call):
        names = module.value(node.func).names
        if names & {"itertools.batched", "more_itertools.chunked", "itertools.count"}:
            return False
        if "builtins.range" in names:
            said = [module.value(argument) for argument in node.args]
            return not all(part.constant is not None for part in said) and len(said) < 3  # noqa: PLR2004 - a step makes chunks
    return not (isinstance(node, ast.List | ast.Tuple | ast.Set) or value.fixed)
