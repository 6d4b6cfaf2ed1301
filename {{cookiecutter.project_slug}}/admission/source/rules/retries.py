"""BW203, BW210: retries by hand, and exceptions that vanish."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import calls, is_constant, method, named, unwrapped
from admission.source.module import is_definition
from admission.source.outbound import functions_that_leave, leaves
from admission.source.tree import inside, is_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from admission.source.module import Call, Module

registry = Registry()

_LIBRARIES: Final = (
    "tenacity.",
    "stamina.",
    "backoff.",
    "retrying.",
    "retry.",
    "aioretry.",
    "async_retrying.",
    "urllib3.util.retry.",
    "urllib3.util.Retry",
    "requests.adapters.HTTPAdapter",
    "urllib3.Retry",
    "opnieuw.",
    "httpx_retries.",
    "tenacity",
)
_MEND: Final = "Call once: `await payments.charge(...)`. The declared upstream retries what is safe to repeat, with jitter, a budget and the request's deadline."
_MESSAGE: Final = "This repeats a call by hand. When the other side is down it multiplies its load, outlives the caller, and may do an effect twice."
BROAD: Final = frozenset({"builtins.Exception", "builtins.BaseException"})
_SILENT_WHEN_WIDE: Final = frozenset(
    {
        "sqlalchemy.exc.SQLAlchemyError",
        "sqlalchemy.exc.DBAPIError",
        "sqlalchemy.exc.OperationalError",
        "asyncio.CancelledError",
        "builtins.OSError",
        "builtins.RuntimeError",
        "httpx.HTTPError",
        "httpx.RequestError",
        "asyncio.TimeoutError",
        "builtins.TimeoutError",
        "builtins.ConnectionError",
        "builtins.IOError",
        "concurrent.futures.CancelledError",
        "builtins.KeyboardInterrupt",
        "builtins.SystemExit",
        "aiohttp.ClientError",
        "sqlalchemy.exc.DatabaseError",
        "fastapi.HTTPException",
        "builtins.PermissionError",
        "builtins.MemoryError",
        "builtins.RecursionError",
        "smtplib.SMTPException",
        "sqlite3.Error",
        "sqlite3.OperationalError",
        "requests.RequestException",
    }
)


_UPSTREAM: Final = frozenset(
    f"app.{home}.{name}"
    for home in ("dependencies", "upstreams")
    for name in ("UpstreamError", "UpstreamUnavailable", "UpstreamTimeout", "UpstreamBadAnswer")
)
"""Errors of declared services that the service answers itself; `UpstreamRefused` is an answer, which a handler may read."""

_DATABASE: Final = frozenset(
    f"sqlalchemy.exc.{name}" for name in ("SQLAlchemyError", "DBAPIError", "DatabaseError", "OperationalError")
)
"""What may be any failure of the database; `IntegrityError` is an answer, which a handler may read."""

_HIDDEN: Final = (
    (
        _UPSTREAM,
        "Another service failed, and nobody learns of it: the client gets an answer that looks like a good one.",
        "Leave it to the service, which answers 502, 503 or 504; or `raise HTTPException(503, ...) from error`, or `await fallback.stale(...)`, whose answer says that it is one.",
    ),
    (
        _DATABASE,
        "This is any failure of the database, one that is away too, and the client gets an answer that looks like a good one.",
        "Catch the one that is meant, `except IntegrityError:`, and leave the rest to the service, which rolls back and answers 500.",
    ),
)
"""What a handler may not hide behind an answer: the errors, what to say, and the mend."""

_FALLING_BACK: Final = ("app.dependencies.Fallback", "app.dependencies.Outbox", "app.upstreams.RequestFallback")
_FAILURE: Final = 400
"""The lowest status that tells a client of a failure."""


@registry.rule("BW203", "A retry by hand")
def retry(module: Module) -> Iterator[Fault]:
    """Point at loops, decorators and recursions that repeat a call."""
    for call in calls(module):
        name = next((name for name in sorted(call.names) if name.startswith(_LIBRARIES)), None)
        if name is not None and name.rpartition(".")[2].lower().startswith(
            ("retry", "asyncretry", "on_exception", "on_predicate", "httpadapter")
        ):
            yield Fault(call.node, _MESSAGE, _MEND)
    for function in module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        if is_definition(function):
            for decorator in function.decorator_list:
                if not isinstance(decorator, ast.Call) and (module.resolve(decorator) or "").startswith(_LIBRARIES):
                    yield Fault(decorator, _MESSAGE, _MEND)
            yield from _recursion(module, function)
    for loop in module.walk(ast.For, ast.AsyncFor, ast.While):
        if isinstance(loop, ast.For | ast.AsyncFor | ast.While) and _repeats(module, loop):
            yield Fault(loop, _MESSAGE, _MEND)
    leaving = functions_that_leave(module)
    for attempt in module.walk(ast.Try):
        if isinstance(attempt, ast.Try):
            yield from (Fault(node, _MESSAGE, _MEND) for node in _once_more(module, attempt, leaving))


def _once_more(module: Module, attempt: ast.Try, leaving: set[object]) -> Iterator[ast.AST]:
    """Yield calls of another service in an `except` that are the same, argument by argument, as one that just failed."""
    tried = {ast.dump(call) for call in _outbound(module, attempt.body, leaving)}
    for handler in attempt.handlers if tried else ():
        yield from (call for call in _outbound(module, handler.body, leaving) if ast.dump(call) in tried)


def _outbound(module: Module, body: Iterable[ast.AST], leaving: set[object]) -> Iterator[ast.Call]:
    for part in _own_of(body):
        call = module.calls.get(part) if isinstance(part, ast.Call) else None
        if call is not None and (leaves(call) or call.functions & leaving):
            yield call.node


def _repeats(module: Module, loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    if isinstance(loop, ast.For | ast.AsyncFor) and not _is_counter(module, loop):
        return False
    for attempt in _own(loop, ast.Try):
        if isinstance(attempt, ast.Try) and _draws_again(module, loop, attempt):
            continue
        if (
            isinstance(attempt, ast.Try)
            and _tries_a_call(module, attempt)
            and any(_goes_on(handler) for handler in attempt.handlers)
        ):
            succeeds = any(
                isinstance(part, ast.Return | ast.Break) for part in _own_of([*attempt.body, *attempt.orelse])
            )
            rest = loop.body[loop.body.index(attempt) + 1 :] if attempt in loop.body else []
            succeeds = succeeds or any(isinstance(part, ast.Return | ast.Break) for part in _own_of(rest))
            if succeeds or isinstance(loop, ast.While):
                return True
    return _checks_and_sleeps(module, loop)


def _draws_again(module: Module, loop: ast.For | ast.AsyncFor | ast.While, attempt: ast.Try) -> bool:
    """Return whether a loop of so many rounds inserts another value where a unique constraint refused one, each in a savepoint of its own."""
    counted = (
        isinstance(loop, ast.For)
        and isinstance(loop.iter, ast.Call)
        and all(module.value(argument).constant is not None for argument in loop.iter.args)
    )
    going_on = [handler for handler in attempt.handlers if _goes_on(handler)]
    constraints = all(
        handler.type is not None and kinds_of(module, [handler.type]) == {"sqlalchemy.exc.IntegrityError"}
        for handler in going_on
    )
    within = [call for call in module.ordered_calls if is_inside(call.node, loop)]
    saved = any(method(call) == "begin_nested" and is_inside(call.node, attempt) for call in within)
    return (
        counted and constraints and saved and not any(leaves(call) or named(call, {"asyncio.sleep"}) for call in within)
    )


def _checks_and_sleeps(module: Module, loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    """A loop that asks another service, leaves on a good answer, and sleeps otherwise."""
    within = [call for call in module.ordered_calls if is_inside(call.node, loop)]
    asks = any(leaves(call) for call in within)
    sleeps = any(named(call, {"asyncio.sleep", "time.sleep", "anyio.sleep"}) for call in within)
    return asks and sleeps and any(isinstance(part, ast.Return | ast.Break) for part in _own_of(loop.body))


def _is_counter(module: Module, loop: ast.For | ast.AsyncFor) -> bool:
    """Return whether a loop counts attempts rather than going through data."""
    node = unwrapped(module, loop.iter)
    names = module.value(node.func).names if isinstance(node, ast.Call) else frozenset()
    if names & {"builtins.range", "itertools.count", "itertools.repeat"}:
        return True
    value = module.value(node)
    if isinstance(node, ast.List | ast.Tuple) or value.fixed:
        # Pauses between attempts: `for delay in (0.1, 0.5, 2)`.
        return (
            value.items is not None
            and bool(value.items.types)
            and value.items.types <= {"builtins.int", "builtins.float"}
        )
    said = [
        name.id
        for name in (loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target])
        if isinstance(name, ast.Name)
    ]
    return any(
        word in name.lower() for name in said for word in ("attempt", "retry", "retries", "tries", "delay", "backoff")
    )


def _tries_a_call(module: Module, attempt: ast.Try) -> bool:
    for part in _own_of(attempt.body):
        if isinstance(part, ast.Await | ast.AsyncWith):
            return True
        if isinstance(part, ast.Call) and part in module.calls and leaves(module.calls[part]):
            return True
    sleeps = [
        part
        for part in inside(attempt)
        if isinstance(part, ast.Call) and module.value(part.func).names & {"time.sleep", "asyncio.sleep"}
    ]
    return bool(sleeps)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Return whether the loop may go round again after this handler."""
    last = handler.body[-1]
    return not isinstance(last, ast.Raise | ast.Return | ast.Break)


def _own(node: ast.AST, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    for part in _own_of(ast.iter_child_nodes(node)):
        if isinstance(part, kinds):
            yield part


def _own_of(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield what stands in these nodes, without the functions defined in them."""
    waiting = list(nodes)
    while waiting:
        part = waiting.pop()
        yield part
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(part)


def _recursion(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    for part in inside(function):
        if isinstance(part, ast.ExceptHandler):
            for inner in inside(part):
                if isinstance(inner, ast.Call) and function in {
                    made.node for made in module.value(inner.func).functions
                }:
                    yield Fault(inner, _MESSAGE, _MEND)


@registry.rule("BW210", "A swallowed exception")
def swallowed(module: Module) -> Iterator[Fault]:
    """Point at handlers after which nobody learns that something failed."""
    for node in module.walk(ast.ExceptHandler):
        if isinstance(node, ast.ExceptHandler) and _swallows(module, node):
            yield Fault(
                node,
                "Whatever fails here vanishes. The client gets a success that is none, the transaction commits half of the work, and nobody is told.",
                'Catch the one error that you can handle, and answer it: `except IntegrityError as error: raise HTTPException(409, "Exists already.") from error`; let the rest pass: the service answers 500 and logs it.',
            )
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught = kinds_of(module, [node.type])
            told = next(((message, mend) for kinds, message, mend in _HIDDEN if caught & kinds), None)
            if told is not None and _hides(module, node):
                yield Fault(node, *told)
    for node in module.walk(ast.Try, ast.TryStar):
        for part in _own_of(getattr(node, "finalbody", [])):
            if isinstance(part, ast.Return):
                message = "A `return` in `finally` drops the exception on its way."
                yield Fault(part, message, "Return before or after the `try`.")
    yield from _suppressing(module)


def _suppressing(module: Module) -> Iterator[Fault]:
    """Point at what swallows without an `except`: context managers, and results that nobody looks at."""
    for info in module.classes.values():
        for name in ("__exit__", "__aexit__"):
            for part in inside(info.methods[name]) if name in info.methods else ():
                if isinstance(part, ast.Return) and isinstance(part.value, ast.Constant) and part.value.value is True:
                    yield Fault(
                        part,
                        "A context manager that always answers true swallows whatever fails inside of it.",
                        "Return None; or name the one error: `return kind is not None and issubclass(kind, KeyError)`.",
                    )
    for call in calls(module):
        if named(call, {"contextlib.suppress"}) and (
            kinds_of(module, call.node.args) & (BROAD | _SILENT_WHEN_WIDE | _UPSTREAM)
        ):
            yield Fault(
                call.node,
                "Whatever fails here vanishes. The client gets a success that is none, and nobody is told.",
                "Name the one error that may be ignored: `with contextlib.suppress(KeyError):`.",
            )
        if (
            named(call, {"asyncio.gather"})
            and is_constant(call.keywords.get("return_exceptions"), True)
            and not _looks_for_errors(module, call)
        ):
            yield Fault(
                call.node,
                "`return_exceptions=True`, and nothing is raised for what failed: it vanishes, or is left out of the answer.",
                "Use `async with asyncio.TaskGroup() as group:`; it raises what failed.",
            )


def _looks_for_errors(module: Module, call: Call, depth: int = 0) -> bool:
    """Return whether something is raised, or told to the client one by one, for what a `gather` gave."""
    function, statement = module.function_of(call.node), module.statement_of(call.node)
    if function is None or isinstance(statement, ast.Expr):
        return False
    if (
        isinstance(statement, ast.Return)
        and depth < _ROUNDS
        and any(_looks_for_errors(module, other, depth + 1) for other in module.callers.get(function, []))
    ):
        return True
    derived = _names_from(function, call.node)

    def about(node: ast.AST | None) -> bool:
        return node is not None and _touches(node, call.node, derived)

    for part in inside(function):
        if isinstance(part, ast.Raise) and (
            about(part) or any(about(_asked(parent)) for parent in module.ancestors(part))
        ):
            return True
        if isinstance(part, ast.ListComp) and about(part.elt) and _is_test_of_error(module, part.elt):
            return True
        if (
            isinstance(part, ast.Call)
            and part is not call.node
            and part in module.calls
            and any(about(each) for each in (*part.args, *(keyword.value for keyword in part.keywords)))
            and _is_told(module, module.calls[part])
        ):
            return True
    return False


def _names_from(function: ast.AST, made: ast.Call) -> set[str]:
    """Return the names that hold what a call gave, or a part of it."""
    derived: set[str] = set()
    for _ in range(_ROUNDS):
        for part in inside(function):
            value, targets = _taken(part)
            if value is not None and _touches(value, made, derived):
                derived |= _names(targets)
    return derived


def _taken(node: ast.AST) -> tuple[ast.expr | None, Sequence[ast.expr]]:
    """Return what a statement or loop takes something from, and what it gives it to."""
    if isinstance(node, ast.Assign):
        return node.value, node.targets
    if isinstance(node, ast.AnnAssign | ast.NamedExpr):
        return node.value, [node.target]
    return (node.iter, [node.target]) if isinstance(node, ast.For | ast.comprehension) else (None, [])


def _touches(node: ast.AST, made: ast.Call, names: set[str]) -> bool:
    return any(part is made or (isinstance(part, ast.Name) and part.id in names) for part in inside(node))


def _asked(node: ast.AST) -> ast.AST | None:
    return node.test if isinstance(node, ast.If | ast.While) else node.subject if isinstance(node, ast.Match) else None


def _is_told(module: Module, call: Call) -> bool:
    """Return whether a helper raises for what it is given, or a model says of each whether it failed: `ok=not isinstance(...)`."""
    if any(isinstance(part, ast.Raise) for function in call.functions for part in inside(function)):
        return True
    return any(_is_test_of_error(module, keyword.value) for keyword in call.node.keywords if keyword.arg is not None)


def _is_test_of_error(module: Module, node: ast.expr) -> bool:
    """Return whether a value is the answer to whether something failed."""
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Call) and "builtins.isinstance" in module.value(node.func).names


def _names(targets: Iterable[ast.expr]) -> set[str]:
    return {part.id for target in targets for part in inside(target) if isinstance(part, ast.Name)}


_ROUNDS: Final = 3
"""Names behind one another through which a result is followed."""


def kinds_of(module: Module, nodes: list[ast.expr]) -> set[str]:
    """Return the classes of exceptions that these expressions name."""
    found: set[str] = set()
    for node in nodes:
        for part in node.elts if isinstance(node, ast.Tuple) else [node]:
            value = module.value(part)
            inner = value.items.names if value.items is not None else frozenset()
            found |= value.names | inner | ({module.resolve(part) or ""} - {""})
    return found


def _swallows(module: Module, handler: ast.ExceptHandler) -> bool:
    kinds = kinds_of(module, [handler.type]) if handler.type is not None else set(BROAD)
    raises = any(isinstance(part, ast.Raise) for part in _own_of(handler.body))
    if kinds & BROAD or any(
        module.is_a(kind, *BROAD) and kind in module.classes and module.classes[kind].bases == () for kind in kinds
    ):
        return not raises and not _hands_on(module, handler)
    silent = all(
        isinstance(part, ast.Pass | ast.Continue)
        or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in handler.body
    )
    if silent and kinds & _SILENT_WHEN_WIDE:
        return not (kinds <= {"asyncio.CancelledError"} and _follows_cancel(module, handler))
    return "asyncio.CancelledError" in kinds and not raises and not _follows_cancel(module, handler)


def _hides(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether some way through a handler tells nobody that another service failed."""
    return not (
        _tells(module, handler, handler.body) or _hands_on(module, handler) or _is_raised_for_later(module, handler)
    )


def _tells(module: Module, handler: ast.ExceptHandler, body: Sequence[ast.stmt]) -> bool:
    """Return whether every way through a block raises, falls back, or answers with a failure.

    A way that is only taken for what the error itself says (`if error.status == 404`) is an answer to that.
    """
    for statement in body:
        if isinstance(statement, ast.Raise):
            return True
        if isinstance(statement, ast.If):
            looks = handler.name is not None and any(
                isinstance(part, ast.Name) and part.id == handler.name for part in inside(statement.test)
            )
            if (looks or _tells(module, handler, statement.body)) and _tells(module, handler, statement.orelse):
                return True
        elif isinstance(statement, ast.With | ast.AsyncWith | ast.Try):
            if _tells(module, handler, statement.body):
                return True
        elif any(_is_failure(module, part) for part in inside(statement)):
            return True
    return False


def _is_failure(module: Module, node: ast.AST) -> bool:
    """Return whether an expression falls back, puts work into the outbox, raises in a helper, or sets a status of failure."""
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Attribute)
        and node.targets[0].attr == "status_code"
    ):
        return _is_bad_status(module, node.value)
    call = module.calls.get(node) if isinstance(node, ast.Call) else None
    if call is None:
        return False
    if any(name.startswith(_FALLING_BACK) for name in call.names) or any(
        kind.startswith(_FALLING_BACK) for kind in call.receiver.types
    ):
        return True
    if any(isinstance(part, ast.Raise) for function in call.functions for part in inside(function)):
        return True
    return any(keyword.arg == "status_code" and _is_bad_status(module, keyword.value) for keyword in call.node.keywords)


def _is_bad_status(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    if value.constant is not None:
        return isinstance(value.constant.value, int) and value.constant.value >= _FAILURE
    return any(
        name.rpartition(".")[2].startswith(
            ("HTTP_4", "HTTP_5", "BAD_GATEWAY", "SERVICE_UNAVAILABLE", "GATEWAY_TIMEOUT")
        )
        for name in value.names
    )


def _is_raised_for_later(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether what the handler, or the block that it guards, leaves is asked about further down, and raised for."""
    attempt, function = module.parents.get(handler), module.function_of(handler)
    if not isinstance(attempt, ast.Try) or function is None:
        return False
    left = _names(
        target
        for statement in (*attempt.body, *handler.body)
        for part in inside(statement)
        if isinstance(part, ast.Assign)
        for target in part.targets
        if isinstance(target, ast.Name)
    )
    end = attempt.end_lineno or attempt.lineno
    return any(
        isinstance(part, ast.If)
        and part.lineno > end
        and module.function_of(part) is function
        and left & _names([part.test])
        and _tells(module, handler, part.body)
        for part in inside(function)
    )


def _hands_on(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether the exception itself is given on: `future.set_exception(error)`."""
    return handler.name is not None and any(
        isinstance(part, ast.Call) and method(module.calls[part]) in {"set_exception", "throw"}
        for part in inside(handler)
        if part in module.calls
    )


def _follows_cancel(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether the task that is awaited was cancelled on purpose just before."""
    function = module.function_of(handler)
    return function is not None and any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "cancel"
        for part in inside(function)
    )
