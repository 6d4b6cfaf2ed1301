"""BW203, BW210: retries by hand, and exceptions that vanish."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import calls, is_constant, method, named
from admission.source.module import is_definition
from admission.source.outbound import leaves
from admission.source.tree import inside, is_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from admission.source.module import Module

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


@registry.rule("BW203", "A retry by hand")
def retry(module: Module) -> Iterator[Fault]:
    """Point at loops, decorators and recursions that repeat a call."""
    for call in calls(module):
        name = next((name for name in sorted(call.names) if name.startswith(_LIBRARIES)), None)
        if name is not None and name.rpartition(".")[2].lower().startswith(("retry", "asyncretry", "on_exception", "on_predicate", "httpadapter")):
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


def _repeats(module: Module, loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    if isinstance(loop, ast.For | ast.AsyncFor) and not _is_counter(module, loop):
        return False
    for attempt in _own(loop, ast.Try):
        if isinstance(attempt, ast.Try) and _tries_a_call(module, attempt) and any(_goes_on(handler) for handler in attempt.handlers):
            succeeds = any(isinstance(part, ast.Return | ast.Break) for part in _own_of([*attempt.body, *attempt.orelse]))
            rest = loop.body[loop.body.index(attempt) + 1 :] if attempt in loop.body else []
            succeeds = succeeds or any(isinstance(part, ast.Return | ast.Break) for part in _own_of(rest))
            if succeeds or isinstance(loop, ast.While):
                return True
    return _checks_and_sleeps(module, loop)


def _checks_and_sleeps(module: Module, loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    """A loop that asks another service, leaves on a good answer, and sleeps otherwise."""
    within = [call for call in module.ordered_calls if is_inside(call.node, loop)]
    asks = any(leaves(call) for call in within)
    sleeps = any(named(call, {"asyncio.sleep", "time.sleep", "anyio.sleep"}) for call in within)
    return asks and sleeps and any(isinstance(part, ast.Return | ast.Break) for part in _own_of(loop.body))


def _is_counter(module: Module, loop: ast.For | ast.AsyncFor) -> bool:
    """Return whether a loop counts attempts rather than going through data."""
    node = loop.iter
    names = module.value(node.func).names if isinstance(node, ast.Call) else frozenset()
    if names & {"builtins.range", "itertools.count", "itertools.repeat"}:
        return True
    if names & {"builtins.enumerate", "builtins.iter", "builtins.reversed"} and isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    value = module.value(node)
    if isinstance(node, ast.List | ast.Tuple) or value.fixed:
        # Pauses between attempts: `for delay in (0.1, 0.5, 2)`.
        return value.items is not None and bool(value.items.types) and value.items.types <= {"builtins.int", "builtins.float"}
    said = [name.id for name in (loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]) if isinstance(name, ast.Name)]
    return any(word in name.lower() for name in said for word in ("attempt", "retry", "retries", "tries", "delay", "backoff"))


def _tries_a_call(module: Module, attempt: ast.Try) -> bool:
    for part in _own_of(attempt.body):
        if isinstance(part, ast.Await | ast.AsyncWith):
            return True
        if isinstance(part, ast.Call) and part in module.calls and leaves(module.calls[part]):
            return True
    sleeps = [part for part in inside(attempt) if isinstance(part, ast.Call) and module.value(part.func).names & {"time.sleep", "asyncio.sleep"}]
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
                if isinstance(inner, ast.Call) and function in {made.node for made in module.value(inner.func).functions}:
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
        if named(call, {"contextlib.suppress"}) and (_kinds(module, call.node.args) & (BROAD | _SILENT_WHEN_WIDE)):
            yield Fault(
                call.node,
                "Whatever fails here vanishes. The client gets a success that is none, and nobody is told.",
                "Name the one error that may be ignored: `with contextlib.suppress(KeyError):`.",
            )
        dropped = isinstance(module.statement_of(call.node), ast.Expr)
        if dropped and named(call, {"asyncio.gather"}) and is_constant(call.keywords.get("return_exceptions"), True):
            yield Fault(
                call.node,
                "`return_exceptions=True` with the results thrown away: whatever fails here vanishes.",
                "Use `async with asyncio.TaskGroup() as group:`; it raises what failed.",
            )


def _kinds(module: Module, nodes: list[ast.expr]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        for part in node.elts if isinstance(node, ast.Tuple) else [node]:
            value = module.value(part)
            inner = value.items.names if value.items is not None else frozenset()
            found |= value.names | inner | ({module.resolve(part) or ""} - {""})
    return found


def _swallows(module: Module, handler: ast.ExceptHandler) -> bool:
    kinds = _kinds(module, [handler.type]) if handler.type is not None else set(BROAD)
    raises = any(isinstance(part, ast.Raise) for part in _own_of(handler.body))
    if kinds & BROAD or any(module.is_a(kind, *BROAD) and kind in module.classes and module.classes[kind].bases == () for kind in kinds):
        return not raises and not _hands_on(module, handler)
    silent = all(isinstance(part, ast.Pass | ast.Continue) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)) for part in handler.body)
    if silent and kinds & _SILENT_WHEN_WIDE:
        return not (kinds <= {"asyncio.CancelledError"} and _follows_cancel(module, handler))
    return "asyncio.CancelledError" in kinds and not raises and not _follows_cancel(module, handler)


def _hands_on(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether the exception itself is given on: `future.set_exception(error)`."""
    return handler.name is not None and any(isinstance(part, ast.Call) and method(module.calls[part]) in {"set_exception", "throw"} for part in inside(handler) if part in module.calls)


def _follows_cancel(module: Module, handler: ast.ExceptHandler) -> bool:
    """Return whether the task that is awaited was cancelled on purpose just before."""
    function = module.function_of(handler)
    return function is not None and any(isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "cancel" for part in inside(function))
