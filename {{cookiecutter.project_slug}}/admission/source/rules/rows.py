"""BW207, BW208: transactions across calls, a query for each of many."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.contract import dependencies_of, taken
from admission.source.declare import Fault, Registry
from admission.source.effects import EACH, LOOKING, QUERIES, QUERY_ONLY, SESSION_NAMES, SESSIONS
from admission.source.expressions import path_of
from admission.source.match import calls, method, name_of, named, names_in, origins, unwrapped
from admission.source.module import Call, is_definition
from admission.source.outbound import functions_that_leave, is_group, leaves
from admission.source.tree import inside, is_inside
from admission.source.values import INPUT, SHAPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from admission.source.module import Module

registry = Registry()

_WRITES: Final = frozenset({"add", "add_all", "flush", "delete", "merge", "begin", "begin_nested"})


def is_session_call(call: Call) -> bool:
    """Return whether a method of a database session or connection is called."""
    if call.receiver.types & {*SESSIONS, LOOKING} or any(
        name.rpartition(".")[0] in {*SESSIONS, LOOKING} for name in call.names
    ):
        return True
    node = call.node.func
    if call.functions or not isinstance(node, ast.Attribute):
        return False
    said = (path_of(node.value) or "").rpartition(".")[2]
    return said.lstrip("_") in SESSION_NAMES and not any(
        "." in name and not name.startswith(("?", "sqlalchemy.", "sqlmodel.")) for name in call.names
    )


def is_query(call: Call) -> bool:
    """Return whether a call asks the database."""
    return (is_session_call(call) and method(call) in QUERIES) or (
        method(call) in QUERY_ONLY and any(name.startswith("?.") for name in call.names) and not call.functions
    )


def calls_in(module: Module, function: ast.AST) -> list[Call]:
    """Return what a function calls itself, in the order of the source."""
    return module.calls_by_function.get(function, [])


def definitions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the named functions of a module."""
    for node in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        if is_definition(node):
            yield node


@registry.rule("BW207", "A transaction held across an outbound call")
def transaction_across_call(module: Module) -> Iterator[Fault]:
    """Point at calls to other services while rows are written or locked."""
    leaving = functions_that_leave(module)
    reading = _functions_that(module, is_query)
    # Of one that writes and leaves, what comes first is judged where it stands.
    writing = _functions_that(module, lambda call: _writes(module, call)) - leaving
    looks = (
        bool(module.routes) or "app.dependencies.Jobs" not in module.imports.values()
    )  # a job has no `look()`: it may read first
    for function in definitions(module):
        own = calls_in(module, function)
        held = looks and any(
            _holds(module, provider, writing, reading) for provider in dependencies_of(module, function)
        )
        holding = [
            call
            for call in own
            if _writes(module, call) or call.functions & writing or (looks and _reads(call, reading))
        ]
        for call in own:
            if not (leaves(call) or call.functions & leaving) or not _is_awaited(module, call):
                continue
            after = any(_ends_before(other.node, call.node) and not _apart(module, call, other) for other in holding)
            if held or after or _in_transaction(module, call):
                yield Fault(
                    call.node,
                    "The database's connection, and the locks of what was written, are held while another service is waited for. When it is slow, everybody who needs these rows waits too, and the pool runs dry.",
                    "Look, ask, write: `async with look() as glance:` reads and lets go, then call, then use `session`; or write the wish into the outbox and let the worker call.",
                )


def _holds(module: Module, provider: ast.AST, writing: set[ast.AST], reading: set[ast.AST]) -> bool:
    """Return whether a dependency asks the database by the request's session before it hands over."""
    ends = [part.lineno for part in inside(provider) if isinstance(part, ast.Yield)]
    return any(
        (not ends or call.node.lineno <= ends[0])
        and (_writes(module, call) or call.functions & writing or _reads(call, reading))
        for call in calls_in(module, provider)
    )


def _ends_before(one: ast.Call, other: ast.Call) -> bool:
    """Return whether a call is made before another: in `a(b())` and in `b(), a()` that is `b`."""
    return (one.end_lineno or 0, one.end_col_offset or 0) < (other.end_lineno or 0, other.end_col_offset or 0)


def _is_awaited(module: Module, call: Call) -> bool:
    statement = module.statement_of(call.node)
    if not call.on_loop or isinstance(statement, ast.AsyncWith | ast.AsyncFor):
        return True
    if any(
        isinstance(parent, ast.Call) and parent in module.calls and is_group(module.calls[parent])
        for parent in module.ancestors(call.node)
    ):
        return True  # the group waits for it
    return any(
        isinstance(parent, ast.Await)
        for parent in module.ancestors(call.node)
        if parent is statement or not isinstance(parent, ast.stmt)
    )


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
        if any(
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and any(word in part.value.lower() for word in ("update ", "insert ", "delete ", "for update"))
            for part in inside(argument)
        ):
            return True
    return verb in QUERIES and (
        bool(said & {"insert", "update", "delete", "with_for_update"})
        or any(keyword.arg == "with_for_update" for keyword in call.node.keywords)
    )


def _given(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return what a name is assigned in the function where it stands."""
    return module.given.get((module.function_of(node), node.id), []) if isinstance(node, ast.Name) else []


def _reads(call: Call, reading: set[ast.AST]) -> bool:
    """Return whether a call asks the database by the request's own session, which keeps its connection from then on.

    What `look()` opens is no such session: it gives its connection back at the end of its block.
    """
    if is_session_call(call):
        return method(call) in QUERIES and bool(call.receiver.types & SESSIONS)
    return bool(call.functions & reading) and any(
        value.types & SESSIONS for value in (*call.args, *call.keywords.values())
    )


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
                if (
                    isinstance(made, ast.Call)
                    and isinstance(made.func, ast.Attribute)
                    and made.func.attr in {"begin", "begin_nested"}
                ):
                    return True
                if (
                    isinstance(made, ast.Call)
                    and "app.dependencies.Look" in module.value(made.func).types
                    and not is_inside(call.node, made)
                ):
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
        if goes and all(_is_short(module, loop) for loop in loops):
            continue
        if goes and not asks:
            # Side by side rather than one after another: BW209 asks for a bound on how many.
            loops = [loop for loop in loops if not _is_gathered(module, loop, call, leaving)]
        if not loops or (goes and isinstance(module.parents.get(call.node), ast.withitem)):
            continue
        what = "asks the database" if asks else "calls another service"
        message = f"This {what} once for each element. A list of a hundred makes a hundred round trips in one request, and its length is not the service's choice."
        mend = (
            "Ask once: `select(Item).where(Item.id.in_(ids))`, then look up in a dictionary; insert many with one `session.add_all(...)`; bound the list with `max_length=`."
            if asks
            else "Ask the upstream once for all of them, or put the calls into the outbox."
        )
        yield Fault(call.node, message, mend)
        home = module.function_of(call.node)
        yield from (
            Fault(getattr(loop, "iter", loop), message, mend) for loop in loops if module.function_of(loop) is not home
        )


def _empties_a_list(loop: ast.While) -> bool:
    """`while waiting: each = waiting.pop()` goes through data as a `for` does."""
    asked = {part.id for part in inside(loop.test) if isinstance(part, ast.Name)}
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr in {"pop", "popleft"}
        and isinstance(part.func.value, ast.Name)
        and part.func.value.id in asked
        for statement in loop.body
        for part in inside(statement)
    )


def _counts_through(module: Module, loop: ast.While) -> bool:
    """`while position < len(codes): codes[position]` and `while (code := next(codes, None))` go through data as a `for` does.

    What takes slices (`codes[start : start + 100]`) asks for many at once.
    """
    measured = {
        path_of(part.args[0])
        for part in inside(loop.test)
        if isinstance(part, ast.Call)
        and "builtins.len" in module.value(part.func).names
        and part.args
        and _is_data(module, part.args[0])
    }
    taken = [
        part
        for statement in loop.body
        for part in inside(statement)
        if isinstance(part, ast.Subscript) and not isinstance(part.slice, ast.Slice)
    ]
    if any(path_of(part.value) in measured for part in taken):
        return True
    return any(
        isinstance(part, ast.Call) and module.value(part.func).names & {"builtins.next", "builtins.anext"}
        for part in inside(loop.test)
    )


def _mapped(module: Module) -> Iterator[Call]:
    """Yield what `map(session.get, ids)` calls for each element, as if it stood there."""
    for call in calls(module):
        if named(call, EACH) and call.args and not call.args[0].functions and call.args[0].names:
            yield Call(call.node, call.args[0].names, loops={*call.loops, call.node})


def _is_gathered(module: Module, loop: ast.AST, call: Call, leaving: set[object]) -> bool:
    """Return whether what a loop makes runs side by side: in `asyncio.gather`, or as tasks of a group."""
    function = module.function_of(loop)
    if isinstance(loop, ast.comprehension | ast.Call):
        if any(
            isinstance(parent, ast.Call) and module.value(parent.func).names & _GATHERING
            for parent in module.ancestors(loop)
        ):
            return True
        statement = module.statement_of(loop)
        names = (
            {target.id for target in statement.targets if isinstance(target, ast.Name)}
            if isinstance(statement, ast.Assign)
            else set()
        )
    else:
        listed = _list_of(module, call.node)
        names = set() if listed is None else {listed}
    for part in inside(function) if function is not None and names else ():
        if (
            isinstance(part, ast.Call)
            and module.value(part.func).names & _GATHERING
            and names & {inner.id for each in part.args for inner in inside(each) if isinstance(inner, ast.Name)}
        ):
            return True
    whole = module.parents.get(loop, loop) if isinstance(loop, ast.comprehension) else loop
    starts = [
        other.node
        for other in module.ordered_calls
        if is_inside(other.node, whole) and method(other) in {"create_task", "start_soon"} and is_group(other)
    ]
    within = [
        other
        for other in module.ordered_calls
        if is_inside(other.node, whole) and (other.node is call.node or other.functions & leaving)
    ]
    return bool(starts and within) and all(any(is_inside(other.node, start) for start in starts) for other in within)


_GATHERING: Final = frozenset({"asyncio.gather", "asyncio.wait"})


def _list_of(module: Module, node: ast.AST) -> str | None:
    """Return the list that a call is appended to, without being waited for."""
    parent = module.parents.get(node)
    if (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Attribute)
        and parent.func.attr == "append"
        and isinstance(parent.func.value, ast.Name)
    ):
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


def _is_fixed_number(module: Module, node: ast.expr) -> bool:
    """Return whether a number stands in the source: `TRIES`, `TRIES - 1`."""
    if isinstance(node, ast.BinOp):
        return _is_fixed_number(module, node.left) and _is_fixed_number(module, node.right)
    return module.value(node).constant is not None


SHORT: Final = 4
"""Elements. So many calls of another service one after another are a request's time, and no flood."""


def _is_short(module: Module, loop: ast.AST) -> bool:
    """Return whether a loop goes through a few elements at most: a list of the client's that is bounded so, or what was made in such a loop."""
    node = getattr(loop, "iter", None)
    if node is None:
        return False
    node = unwrapped(module, node)
    lists = {item.name: item.bounds.get("max_length") for item in taken(module) if item.annotation.container}
    for piece in origins(module, node):
        bound = lists.get(name_of(piece))
        if (
            bound is not None
            and module.value(piece).all_labels() & {INPUT, SHAPED}
            and any(
                isinstance(part, ast.Constant) and isinstance(part.value, int) and part.value <= SHORT
                for part in _definitions(module, bound)
            )
        ):
            return True
    if not isinstance(node, ast.Name):
        return False
    function = module.function_of(node)
    grown = [
        part
        for part in inside(function or module.tree)
        if isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr == "append"
        and name_of(part.func.value) == node.id
    ]
    round_it = [[parent for parent in module.ancestors(part) if isinstance(parent, ast.For)] for part in grown]
    return bool(round_it) and all(
        len(outer) == 1 and outer[0] is not loop and _is_short(module, outer[0]) for outer in round_it
    )


def _definitions(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return an expression, or what the name of the module that it is was given."""
    return module.given.get((None, node.id), []) if isinstance(node, ast.Name) else [node]


def _is_data(module: Module, node: ast.expr) -> bool:
    """Return whether an expression has as many elements as somebody likes."""
    value = module.value(node)
    if isinstance(node, ast.Call):
        names = module.value(node.func).names
        if names & {"itertools.batched", "more_itertools.chunked", "itertools.count"}:
            return False
        if "builtins.range" in names:
            return not all(_is_fixed_number(module, argument) for argument in node.args) and len(node.args) < 3
    return not (_is_written_out(node) or value.fixed or _is_name_of_few(module, node))


def _is_written_out(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple | ast.Set)


def _is_name_of_few(module: Module, node: ast.expr) -> bool:
    """Return whether a name of a function holds a list that is written out there, in whichever order, and nothing changes it."""
    function = module.function_of(node)
    given = module.given.get((function, node.id), []) if isinstance(node, ast.Name) else []
    if function is None or len(given) != 1 or not _is_written_out(listed := unwrapped(module, given[0])):
        return False
    if any(isinstance(part, ast.Starred) for part in ast.iter_child_nodes(listed)):
        return False
    return not any(
        isinstance(part, ast.Name)
        and part.id == name_of(node)
        and isinstance(module.parents.get(part), ast.Attribute | ast.AugAssign | ast.Call)
        for part in inside(function)
    )
