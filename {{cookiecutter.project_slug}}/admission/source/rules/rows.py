"""BW206, BW207, BW208: shared rows, transactions across calls, a query for each of many."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.effects import EACH, LOOKING, QUERIES, QUERY_ONLY, SESSION_NAMES, SESSIONS
from admission.source.expressions import path_of
from admission.source.match import calls, method, named, names_in, unwrapped
from admission.source.module import Call, is_definition
from admission.source.outbound import functions_that_leave, is_group, leaves
from admission.source.tree import inside, is_inside
from admission.source.values import LOCKED, ROW, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from admission.source.module import Module

registry = Registry()

_WRITES: Final = frozenset({"add", "add_all", "flush", "delete", "merge", "begin", "begin_nested"})
_LOCK_MEND: Final = "Let the database decide in one statement: `update(Item).where(Item.id == item_id, Item.stock >= n).values(stock=Item.stock - n)`, then check `result.rowcount`; or read with `.with_for_update()`."
_UNIQUE_MEND: Final = 'Let a unique constraint decide: `session.add(user)`, `try: await session.flush()`, `except IntegrityError as error: raise HTTPException(409, "Exists already.") from error`.'


def is_session_call(call: Call) -> bool:
    """Return whether a method of a database session or connection is called."""
    if call.receiver.types & {*SESSIONS, LOOKING} or any(name.rpartition(".")[0] in {*SESSIONS, LOOKING} for name in call.names):
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
        yield from _matched_then_insert(module, function)


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
            made = module.given.get((function, value.id), []) if isinstance(value, ast.Name) else [value]
            if any(isinstance(each, ast.BinOp) and any(_is_row(module, side) for side in (each.left, each.right)) and not _is_column(each) for each in made):
                yield Fault(value if value.lineno == getattr(part, "lineno", 0) else part, message, _LOCK_MEND)
    for node in _own_nodes(module, function, ast.AugAssign, ast.Assign):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute) and _is_row(module, node.target.value):
            if not _is_column(node.value) and not _comes_locked(module, function, node.target.value):
                yield Fault(node, message, _LOCK_MEND)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and _is_row(module, node.targets[0].value) and not _comes_locked(module, function, node.targets[0].value):
            path = path_of(node.targets[0])
            read = {path} | _copies(module, function, path)
            made = [node.value, *(module.given.get((function, node.value.id), ()) if isinstance(node.value, ast.Name) else ())]
            if any(isinstance(part, ast.BinOp) and any(_reads_again(inner, read, path_of(node.targets[0].value)) for inner in (part.left, part.right)) for each in made for part in inside(each)):
                yield Fault(node, message, _LOCK_MEND)


def _comes_locked(module: Module, function: ast.AST, node: ast.expr) -> bool:
    """Return whether a row is a parameter for which every caller hands over one that was read ``FOR UPDATE``."""
    arguments = getattr(function, "args", None)
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)] if arguments is not None else []
    if not isinstance(node, ast.Name) or node.id not in names:
        return False
    position = names.index(node.id)
    given = [call.argument(position - (names[0] in {"self", "cls"}), node.id) for call in module.callers.get(function, [])]
    return bool(given) and all(value is not None and LOCKED in value.labels for value in given)


def _reads_again(node: ast.expr, read: set[str | None], row: str | None) -> bool:
    """Return whether an expression is what stood in an attribute: itself, in `int(...)`, or asked of the row by `getattr` and its like."""
    if path_of(node) in read:
        return True
    return isinstance(node, ast.Call) and any(path_of(argument) in read or (row is not None and path_of(argument) == row) for argument in node.args)


def _copies(module: Module, function: ast.AST, path: str | None) -> set[str | None]:
    """Return the names that hold what stood in an attribute: `left = stock.left`, also side by side with others."""
    pairs: list[tuple[ast.expr, ast.expr]] = []
    for part in _own_nodes(module, function, ast.Assign, ast.NamedExpr):
        if isinstance(part, ast.NamedExpr):
            pairs.append((part.target, part.value))
        elif isinstance(part, ast.Assign):
            target, value = part.targets[0], part.value
            both = isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List)
            pairs += zip(target.elts, value.elts, strict=False) if both and isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List) else [(target, value)]
    return {target.id for target, value in pairs if isinstance(target, ast.Name) and path is not None and path_of(value) == path}


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
        if not isinstance(node, ast.Match) or isinstance(node.subject, ast.Attribute) or not _is_row(module, node.subject):
            continue
        cases = [case for case in node.cases if isinstance(case.pattern, ast.MatchSingleton) or (isinstance(case.pattern, ast.MatchValue) and isinstance(case.pattern.value, ast.Constant))]
        for call in _calls_in(module, function):
            if is_session_call(call) and method(call) == "add" and any(is_inside(call.node, part) for case in cases for part in case.body):
                kinds = {kind for value in call.args for kind in value.types}
                if _same_class(module, function, node.subject, kinds) and not all(module.is_owned(kind) for kind in kinds):
                    yield Fault(call.node, "This asks whether it is there, and inserts it. Two requests at once both find nothing.", _UNIQUE_MEND)


def _asks_whether_missing(module: Module, test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Name | ast.Await | ast.Call) and _is_row(module, test.operand)
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq) and isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value == 0:
        return not isinstance(test.left, ast.Attribute) and _is_row(module, test.left)  # a count
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) and not isinstance(test.left, ast.Attribute) and _is_row(module, test.left.value if isinstance(test.left, ast.NamedExpr) else test.left)


def _is_row(module: Module, node: ast.expr) -> bool:
    return ROW in module.value(node).labels


def _is_column(node: ast.expr) -> bool:
    """`item.stock = Item.stock - n` is computed by the database."""
    return any(isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id[:1].isupper() for part in inside(node))


def _guarded_states(module: Module, function: ast.AST) -> Iterator[Fault]:
    """`if seat.taken: raise` ... `seat.taken = True`, on a row that is not the caller's alone."""
    checked = dict(reversed(list(_checks(module, function))))
    for node in _own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            for path, line in _checked_before(module, node):
                checked.setdefault(path, line)
    for node in _own_nodes(module, function, ast.Assign):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and _is_row(module, node.targets[0].value) and _is_shared(module, node.targets[0].value):
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
            for part in inside(node.test):
                if isinstance(part, ast.Attribute) and _is_row(module, part.value):
                    yield path_of(part) or "", node.lineno


def _checked_before(module: Module, node: ast.Assign) -> Iterator[tuple[str, int]]:
    """Yield what a helper tested of the row that it gives: `seat = await free_seat(...)`."""
    made = node.value.value if isinstance(node.value, ast.Await) else node.value
    call = module.calls.get(made) if isinstance(made, ast.Call) else None
    name = path_of(node.targets[0])
    for function in call.functions if call is not None else ():
        if not is_definition(function) or _is_locked(function):
            continue
        given = {path_of(part.value) for part in _own_nodes(module, function, ast.Return) if isinstance(part, ast.Return) and part.value is not None}
        for tested, _ in _checks(module, function):
            row, _, column = tested.partition(".")
            if row in given:
                yield f"{name}.{column}", node.lineno


def _is_shared(module: Module, node: ast.expr) -> bool:
    """Return whether a row may belong to more than the caller: it is not locked, and its table is not known to be ``Owned``.

    Of what hangs on a row (`order.item`) the table is not known, and nothing is said.
    """
    labels = module.value(node).labels
    if LOCKED in labels or isinstance(node, ast.Attribute):
        return False
    return not any(module.is_owned(label.removeprefix(TABLE)) for label in labels if label.startswith(TABLE))


def _refuses(node: ast.If) -> bool:
    return any(isinstance(part, ast.Raise | ast.Return) for part in node.body)


def _exists_then_insert(module: Module, function: ast.AST) -> Iterator[Fault]:
    guards = [node for node in _own_nodes(module, function, ast.If) if isinstance(node, ast.If) and _refuses(node) and _asks_whether_found(module, node.test)]
    if not guards:
        return
    for call in _calls_in(module, function):
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
        return _is_row(module, test) or (depth < _ROUNDS and any(_asks_whether_found(module, answer, depth + 1) for answer in _answers_of(module, test)))
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left = test.left.value if isinstance(test.left, ast.NamedExpr) else test.left
        found = isinstance(test.ops[0], ast.IsNot) and isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None
        counts = isinstance(test.ops[0], ast.Gt | ast.GtE) and not isinstance(left, ast.Attribute)
        return (found or counts) and not isinstance(left, ast.Attribute) and _is_row(module, left)
    return False


def _answers_of(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return what a helper that answers yes or no compares: `return await session.scalar(...) is not None`."""
    asked = node.value if isinstance(node, ast.Await) else node
    call = module.calls.get(asked) if isinstance(asked, ast.Call) else None
    if call is None:
        return []
    answers = [part.value for function in call.functions for part in _own_nodes(module, function, ast.Return) if isinstance(part, ast.Return) and part.value is not None]
    answers += [call.node.args[0]] if "builtins.bool" in call.names and call.node.args else []
    return [answer.args[0] if isinstance(answer, ast.Call) and answer.args and "builtins.bool" in module.value(answer.func).names else answer for answer in answers if isinstance(answer, ast.Compare | ast.Call | ast.Await)]


def _same_class(module: Module, function: ast.AST, question: ast.expr, added: set[str]) -> bool:
    """Return whether a question was about the class that is inserted."""
    names = {part.id for part in inside(question) if isinstance(part, ast.Name)}
    asked = set(names)
    helpers = {function for part in inside(question) if isinstance(part, ast.Call) and part in module.calls for function in module.calls[part].functions}
    asked |= {part.id for helper in helpers for part in inside(helper) if isinstance(part, ast.Name)}
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
    reading = _functions_that(module, is_query)
    # Of one that writes and leaves, what comes first is judged where it stands.
    writing = _functions_that(module, lambda call: _writes(module, call)) - leaving
    looks = bool(module.routes) or "app.dependencies.Jobs" not in module.imports.values()  # a job has no `look()`: it may read first
    for function in _definitions(module):
        own = _calls_in(module, function)
        holding = [call for call in own if _writes(module, call) or call.functions & writing or (looks and _reads(call, reading))]
        for call in own:
            if not (leaves(call) or call.functions & leaving) or not _is_awaited(module, call):
                continue
            after = any(_ends_before(other.node, call.node) and not _apart(module, call, other) for other in holding)
            if after or _in_transaction(module, call):
                yield Fault(
                    call.node,
                    "The database's connection, and the locks of what was written, are held while another service is waited for. When it is slow, everybody who needs these rows waits too, and the pool runs dry.",
                    "Look, ask, write: `async with look() as glance:` reads and lets go, then call, then use `session`; or write the wish into the outbox and let the worker call.",
                )


def _ends_before(one: ast.Call, other: ast.Call) -> bool:
    """Return whether a call is made before another: in `a(b())` and in `b(), a()` that is `b`."""
    return (one.end_lineno or 0, one.end_col_offset or 0) < (other.end_lineno or 0, other.end_col_offset or 0)


def _is_awaited(module: Module, call: Call) -> bool:
    statement = module.statement_of(call.node)
    if not call.on_loop or isinstance(statement, ast.AsyncWith | ast.AsyncFor):
        return True
    if any(isinstance(parent, ast.Call) and parent in module.calls and is_group(module.calls[parent]) for parent in module.ancestors(call.node)):
        return True  # the group waits for it
    return any(isinstance(parent, ast.Await) for parent in module.ancestors(call.node) if parent is statement or not isinstance(parent, ast.stmt))


def _writes(module: Module, call: Call) -> bool:
    if not is_session_call(call):
        return False
    verb = method(call)
    if verb in _WRITES:
        return True
    said: set[str] = set()
    for argument in call.node.args[:1]:
        for piece in (argument, *_given(module, argument)[:1]):
            said |= set(names_in(piece))
        if any(isinstance(part, ast.Constant) and isinstance(part.value, str) and any(word in part.value.lower() for word in ("update ", "insert ", "delete ", "for update")) for part in inside(argument)):
            return True
    return verb in QUERIES and (bool(said & {"insert", "update", "delete", "with_for_update"}) or any(keyword.arg == "with_for_update" for keyword in call.node.keywords))


def _given(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return what a name is assigned in the function where it stands."""
    return module.given.get((module.function_of(node), node.id), []) if isinstance(node, ast.Name) else []


def _reads(call: Call, reading: set[ast.AST]) -> bool:
    """Return whether a call asks the database by the request's own session, which keeps its connection from then on.

    What `look()` opens is no such session: it gives its connection back at the end of its block.
    """
    if is_session_call(call):
        return method(call) in QUERIES and bool(call.receiver.types & SESSIONS)
    return bool(call.functions & reading) and any(value.types & SESSIONS for value in (*call.args, *call.keywords.values()))


def _functions_that(module: Module, does: Callable[[Call], bool]) -> set[ast.AST]:
    """Return the functions with a call that does something, themselves or through one another."""
    found = {module.function_of(call.node) for call in module.calls.values() if does(call)}
    for _ in range(_ROUNDS):
        more = {module.function_of(call.node) for call in module.calls.values() if call.functions & found} - found
        if not more:
            break
        found |= more
    return {function for function in found if function is not None}


_ROUNDS: Final = 8


def _apart(module: Module, call: Call, other: Call) -> bool:
    """Return whether another call stands on a branch that this one is not on, or that ends before this one."""

    def branch(node: ast.AST) -> list[tuple[ast.If, bool]]:
        path: list[tuple[ast.If, bool]] = []
        child = node
        for parent in module.ancestors(node):
            if isinstance(parent, ast.If) and child is not parent.test:
                path.append((parent, child in parent.body))
            child = parent
        return path

    here = dict(branch(call.node))
    for node, side in branch(other.node):
        ends = isinstance((node.body if side else node.orelse)[-1], ast.Return | ast.Raise)
        if here[node] is not side if node in here else ends:
            return True
    return False


def _in_transaction(module: Module, call: Call) -> bool:
    """Return whether a call stands in a transaction of its own, or in the block of a `look()`."""
    for parent in module.ancestors(call.node):
        if isinstance(parent, ast.AsyncWith | ast.With):
            for item in parent.items:
                made = item.context_expr
                if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr in {"begin", "begin_nested"}:
                    return True
                if isinstance(made, ast.Call) and "app.dependencies.Look" in module.value(made.func).types and not is_inside(call.node, made):
                    return True
    return False


@registry.rule("BW208", "A query for each of many")
def query_in_loop(module: Module) -> Iterator[Fault]:
    """Point at queries, and calls of other services, inside loops."""
    leaving = functions_that_leave(module)
    for call in (*calls(module), *_mapped(module)):
        asks, goes = is_query(call), leaves(call)
        if not asks and not goes:
            continue
        loops = [loop for loop in call.loops if _goes_through_data(module, loop)]
        if goes and not asks:
            # Side by side rather than one after another: BW209 asks for a bound on how many.
            loops = [loop for loop in loops if not _is_gathered(module, loop, call, leaving)]
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


def _counts_through(module: Module, loop: ast.While) -> bool:
    """`while position < len(codes): codes[position]` and `while (code := next(codes, None))` go through data as a `for` does.

    What takes slices (`codes[start : start + 100]`) asks for many at once.
    """
    measured = {path_of(part.args[0]) for part in inside(loop.test) if isinstance(part, ast.Call) and "builtins.len" in module.value(part.func).names and part.args and _is_data(module, part.args[0])}
    taken = [part for statement in loop.body for part in inside(statement) if isinstance(part, ast.Subscript) and not isinstance(part.slice, ast.Slice)]
    if any(path_of(part.value) in measured for part in taken):
        return True
    return any(isinstance(part, ast.Call) and module.value(part.func).names & {"builtins.next", "builtins.anext"} for part in inside(loop.test))


def _mapped(module: Module) -> Iterator[Call]:
    """Yield what `map(session.get, ids)` calls for each element, as if it stood there."""
    for call in calls(module):
        if named(call, EACH) and call.args and not call.args[0].functions and call.args[0].names:
            yield Call(call.node, call.args[0].names, loops={*call.loops, call.node})


def _is_gathered(module: Module, loop: ast.AST, call: Call, leaving: set[object]) -> bool:
    """Return whether what a loop makes runs side by side: in `asyncio.gather`, or as tasks of a group."""
    function = module.function_of(loop)
    if isinstance(loop, ast.comprehension | ast.Call):
        if any(isinstance(parent, ast.Call) and module.value(parent.func).names & _GATHERING for parent in module.ancestors(loop)):
            return True
        statement = module.statement_of(loop)
        names = {target.id for target in statement.targets if isinstance(target, ast.Name)} if isinstance(statement, ast.Assign) else set()
    else:
        listed = _list_of(module, call.node)
        names = set() if listed is None else {listed}
    for part in inside(function) if function is not None and names else ():
        if isinstance(part, ast.Call) and module.value(part.func).names & _GATHERING and names & {inner.id for each in part.args for inner in inside(each) if isinstance(inner, ast.Name)}:
            return True
    whole = module.parents.get(loop, loop) if isinstance(loop, ast.comprehension) else loop
    starts = [other.node for other in module.ordered_calls if is_inside(other.node, whole) and method(other) in {"create_task", "start_soon"} and is_group(other)]
    within = [other for other in module.ordered_calls if is_inside(other.node, whole) and (other.node is call.node or other.functions & leaving)]
    return bool(starts and within) and all(any(is_inside(other.node, start) for start in starts) for other in within)


_GATHERING: Final = frozenset({"asyncio.gather", "asyncio.wait"})


def _list_of(module: Module, node: ast.AST) -> str | None:
    """Return the list that a call is appended to, without being waited for."""
    parent = module.parents.get(node)
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "append" and isinstance(parent.func.value, ast.Name):
        return parent.func.value.id
    return None


def _goes_through_data(module: Module, loop: ast.AST) -> bool:
    if isinstance(loop, ast.While):
        return _empties_a_list(loop) or _counts_through(module, loop)
    if isinstance(loop, ast.Call):
        whole = {"builtins.sorted", "builtins.max", "builtins.min"} & module.value(loop.func).names
        return any(_is_data(module, unwrapped(module, node)) for node in (loop.args if whole else loop.args[1:]))
    node = getattr(loop, "iter", None)
    return node is not None and _is_data(module, unwrapped(module, node))


def _is_data(module: Module, node: ast.expr) -> bool:
    """Return whether an expression has as many elements as somebody likes."""
    value = module.value(node)
    if isinstance(node, ast.Call):
        names = module.value(node.func).names
        if names & {"itertools.batched", "more_itertools.chunked", "itertools.count"}:
            return False
        if "builtins.range" in names:
            said = [module.value(argument) for argument in node.args]
            return not all(part.constant is not None for part in said) and len(said) < 3  # noqa: PLR2004 - a step makes chunks
    return not (isinstance(node, ast.List | ast.Tuple | ast.Set) or value.fixed)
