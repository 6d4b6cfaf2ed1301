"""BW204, BW205, BW209: work that nobody owns, that may be lost, or of which there is any amount."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.effects import SESSIONS
from admission.source.match import calls, method, named, names_in, unwrapped
from admission.source.outbound import functions_that_leave, is_group, is_upstream, leaves
from admission.source.tree import inside
from admission.source.values import INPUT, SHAPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_SPAWNING: Final = frozenset(
    {
        "asyncio.create_task",
        "asyncio.ensure_future",
        "asyncio.AbstractEventLoop.create_task",
        "?.ensure_future",
        "asyncio.run_coroutine_threadsafe",
        "asyncio.Task",
        "asyncio.AbstractEventLoop.call_later",
        "asyncio.AbstractEventLoop.call_soon",
        "asyncio.AbstractEventLoop.call_soon_threadsafe",
        "asyncio.AbstractEventLoop.call_at",
    }
)
_THREADS: Final = frozenset(
    {
        "threading.Thread",
        "threading.Timer",
        "multiprocessing.Process",
        "_thread.start_new_thread",
        "concurrent.futures.ThreadPoolExecutor.submit",
        "concurrent.futures.ProcessPoolExecutor.submit",
        "sched.scheduler",
        "apscheduler.schedulers.asyncio.AsyncIOScheduler",
        "apscheduler.schedulers.background.BackgroundScheduler",
    }
)
_LOSABLE: Final = re.compile(
    r"(^|_)(log|metric|metrics|record_metric|warm|cache|cleanup|clean|tmp|temp|unlink|close|count|touch|trace|track|invalidate|refresh_cache|debug|evict|delete_temp|remove_temp|prefetch)(_|$)"
)


@registry.rule("BW204", "A task without an owner")
def orphan(module: Module) -> Iterator[Fault]:
    """Point at tasks and threads that nobody waits for."""
    for call in calls(module):
        spawns = named(call, _SPAWNING) or (method(call) == "create_task" and not call.functions and not is_group(call))
        if spawns and not _is_awaited(module, call.node):
            yield Fault(
                call.node,
                "Nobody waits for this task. Its error is lost, it outlives the request and its deadline, and it dies half-way when the process stops.",
                "Wait for it in the handler: `async with asyncio.TaskGroup() as group: group.create_task(...)`; what has to happen later goes into the outbox, in the same transaction.",
            )
        elif named(call, _THREADS):
            yield Fault(
                call.node,
                "Nobody waits for this thread. Its error is lost, nothing bounds how many there are, and it dies half-way when the process stops.",
                "`await asyncio.to_thread(work, ...)`; what has to happen later goes into the outbox, in the same transaction.",
            )


def _is_awaited(module: Module, node: ast.Call) -> bool:
    """Return whether the function waits for what it starts, or cancels it."""
    child: ast.AST = node
    for parent in module.ancestors(node):
        if isinstance(parent, ast.Await):
            return True
        if isinstance(parent, ast.stmt):
            break
        child = parent
    statement = module.statement_of(child)
    function = module.function_of(node)
    if statement is None or function is None:
        return False
    names = _holders(statement, node)
    waiting = [part for part in inside(function) if isinstance(part, ast.Await | ast.AsyncFor)]
    for part in waiting:
        if names & set(names_in(part.value if isinstance(part, ast.Await) else part.iter)):
            return True
        # `for task in tasks: await task`, `asyncio.as_completed(tasks)`
    loops = [part for part in inside(function) if isinstance(part, ast.For | ast.comprehension)]
    for loop in loops:
        if names & set(names_in(loop.iter)):
            targets = set(names_in(loop.target))
            body: ast.AST = loop if isinstance(loop, ast.For) else module.parents.get(loop, loop)
            if any(isinstance(part, ast.Await) and targets & set(names_in(part.value)) for part in inside(body)):
                return True
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr == "cancel"
        and isinstance(part.func.value, ast.Name)
        and part.func.value.id in names
        for part in inside(function)
    )


def _holders(statement: ast.stmt, node: ast.AST) -> set[str]:
    """Return the names that hold a task after a statement."""
    if isinstance(statement, ast.Assign):
        return {target.id for target in statement.targets if isinstance(target, ast.Name)} | {
            part.id
            for target in statement.targets
            if isinstance(target, ast.Tuple)
            for part in target.elts
            if isinstance(part, ast.Name)
        }
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return {statement.target.id}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and statement.value is not node:
        called = statement.value.func
        if (
            isinstance(called, ast.Attribute)
            and called.attr in {"append", "add"}
            and isinstance(called.value, ast.Name)
        ):
            return {called.value.id}
    return set()


@registry.rule("BW205", "Work that must not be lost in BackgroundTasks")
def background(module: Module) -> Iterator[Fault]:
    """Point at work that is put off until after the answer, in memory."""
    for node in _never_awaited(module):
        yield Fault(
            node,
            "Without `await` this makes a coroutine and throws it away: nothing is written, sent or asked.",
            "`await` it.",
        )
    leaving = functions_that_leave(module)
    storing = {module.function_of(call.node) for call in module.calls.values() if _stores(call)}
    for call in calls(module):
        if not _adds_background(module, call):
            continue
        functions = {function.node for value in (*call.args, *call.keywords.values()) for function in value.functions}
        name = next(names_in(call.node.args[0]), "") if call.node.args else ""
        name = call.node.args[0].attr if call.node.args and isinstance(call.node.args[0], ast.Attribute) else name
        harmless = (
            bool(functions)
            and not functions & leaving
            and not functions & storing
            and all(_only_notes(module, function) for function in functions)
        )
        losable = harmless or (bool(_LOSABLE.search(name)) and not functions & leaving)
        yield Fault(
            call.node,
            "This runs after the answer, from memory. When the process stops or the work fails, it is lost, and the client was told that it is done.",
            'Put it into the outbox, in the same transaction: `await outbox.add("receipt.send", {"order_id": str(order.id)})`.',
            "remark" if losable else None,
        )


def _adds_background(module: Module, call: Call) -> bool:
    if named(
        call, {"fastapi.BackgroundTasks.add_task", "starlette.background.BackgroundTask", "fastapi.BackgroundTask"}
    ):
        return True
    return method(call) == "add_task" and not call.functions and bool(module.function_of(call.node))


def _stores(call: Call) -> bool:
    return any("Session" in name or "sqlalchemy" in name for name in call.names) or method(call) in {
        "commit",
        "execute",
    }


def _only_notes(module: Module, function: ast.AST) -> bool:
    """Return whether a function only logs, counts or changes memory, as far as this module shows."""
    for part in inside(function):
        if isinstance(part, ast.Await):
            return False
        if isinstance(part, ast.Call) and part in module.calls:
            call = module.calls[part]
            if leaves(call) or any(
                not name.startswith(
                    (
                        "logging.",
                        "builtins.",
                        "structlog.",
                        "?.",
                        "time.",
                        "datetime.",
                        "os.unlink",
                        "os.remove",
                        "pathlib.",
                        "shutil.rmtree",
                        "json.",
                    )
                )
                for name in call.names
            ):
                return False
            if any(
                name.startswith("?.")
                and name[2:]
                in {
                    "send",
                    "publish",
                    "post",
                    "put",
                    "save",
                    "enqueue",
                    "delay",
                    "notify",
                    "charge",
                    "deliver",
                    "write",
                }
                for name in call.names
            ):
                return False
    return True


def _never_awaited(module: Module) -> Iterator[ast.AST]:
    """Yield where a coroutine of the session, the outbox or a declared service is made, and nobody waits for it: it does nothing."""
    for call in calls(module):
        asks = is_upstream(call) and not any("()" in kind for kind in call.receiver.types)
        coroutine = (
            asks
            or "app.dependencies.Outbox.add" in call.names
            or (any("Async" in kind for kind in call.receiver.types & SESSIONS) and method(call) in _COROUTINES)
        )
        if coroutine and isinstance(module.parents.get(call.node), ast.Expr):
            yield call.node


_COROUTINES: Final = frozenset({"execute", "scalar", "scalars", "get", "flush", "delete", "refresh", "merge"})


@registry.rule("BW209", "Any number of things at once")
def fan_out(module: Module) -> Iterator[Fault]:
    """Point at concurrency whose width the client chooses."""
    for call in calls(module):
        if not (
            named(call, {"asyncio.gather", "asyncio.wait", "asyncio.as_completed"})
            or (method(call) in {"create_task", "start_soon"} and is_group(call))
        ):
            continue
        loops = list(_sources(module, call))
        if any(module.value(loop).all_labels() & {INPUT, SHAPED} for loop in loops) and not _limited(module):
            yield Fault(
                call.node,
                "As many calls run at once as the client lists. One request takes every connection of the pool, and everybody else waits.",
                "Ask once for all of them; or bound the width: `limit = asyncio.Semaphore(5)` and `async with limit:` in what is gathered, and `max_length=` on the list.",
            )


def _sources(module: Module, call: Call) -> Iterator[ast.expr]:
    """Yield what the gathered things are made from."""
    for argument in call.node.args:
        node = argument.value if isinstance(argument, ast.Starred) else argument
        yield from _generators(module, node)
    for parent in module.ancestors(call.node):
        if isinstance(parent, ast.For | ast.AsyncFor):
            yield parent.iter
        if isinstance(parent, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            yield from (generator.iter for generator in parent.generators)


def _generators(module: Module, node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
        yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.Call):
        inner = unwrapped(module, node)
        yield from node.args[1:] if inner is node else _generators(module, inner)
    elif isinstance(node, ast.Name):
        function = module.function_of(node)
        for part in inside(function) if function is not None else ():
            if (
                isinstance(part, ast.Assign)
                and any(isinstance(target, ast.Name) and target.id == node.id for target in part.targets)
                and not isinstance(part.value, ast.Name)
            ):
                yield from _generators(module, part.value)
            elif isinstance(part, ast.For) and any(
                isinstance(inner, ast.Call)
                and isinstance(inner.func, ast.Attribute)
                and inner.func.attr == "append"
                and isinstance(inner.func.value, ast.Name)
                and inner.func.value.id == node.id
                for inner in inside(part)
            ):
                yield part.iter


def _limited(module: Module) -> bool:
    """Return whether a semaphore or the like bounds what runs at once."""
    return any(
        isinstance(part, ast.Call)
        and module.value(part.func).names
        & {
            "asyncio.Semaphore",
            "asyncio.BoundedSemaphore",
            "anyio.CapacityLimiter",
            "itertools.islice",
            "itertools.batched",
        }
        for part in inside(module.tree)
    )
