"""BW211, BW212: effects that are not done once, and writes that are never kept."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import argument_node, calls, method, name_of, named, origins
from admission.source.outbound import is_upstream
from admission.source.rules.locks import is_settled
from admission.source.rules.retries import kinds_of
from admission.source.rules.rows import is_session_call
from admission.source.tree import inside, is_inside
from admission.source.values import INPUT, ROW, SHAPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_EFFECTS: Final = frozenset({"charge", "refund", "pay", "capture", "authorize", "debit", "payout", "transfer"})
_FRESH: Final = ("uuid.uuid4", "uuid.uuid1", "secrets.", "random.", "time.")
_KEY_MEND: Final = '`payments.charge(..., name=f"part-{number}")`: the same in each try of this request, another for each thing that is paid. Without `name` there is one charge a request.'


@registry.rule("BW211", "An effect that is not done once")
def not_once(module: Module) -> Iterator[Fault]:
    """Point at effects whose key is new in each try or the same for several, and at PUT that adds each time."""
    for call in calls(module):
        key = argument_node(call, None, "name", "idempotency_key") if is_upstream(call) else None
        if key is not None and any(_is_drawn(module, part) for piece in origins(module, key) for part in inside(piece)):
            message = "This effect has another key in each try. A client that asks again, because no answer came, has it done again."
            yield Fault(key if key.lineno == call.node.lineno else call.node, message, _KEY_MEND)
            if key.lineno != call.node.lineno:
                yield Fault(key, message, _KEY_MEND)
        elif method(call) in _EFFECTS and is_upstream(call) and _is_same_each_time(module, call, key):
            yield Fault(
                call.node,
                "Each round of this loop has the same key, so the other service takes all of them for the first: one is done.",
                _KEY_MEND,
            )
    for route in module.routes:
        if _is_webhook(module, route.node) and not _remembers(module, route.node):
            for node in _added(module, route.node):
                yield Fault(
                    node,
                    "Who sends events sends each at least once, and without an Idempotency-Key. This adds again for each delivery.",
                    "Keep the event's id in a table whose key it is: `async with session.begin_nested(): session.add(Event(id=event.id))`, and answer where `IntegrityError` says that it was there.",
                )
        if route.methods == ("PUT",):
            yield from (
                Fault(
                    node,
                    "PUT is repeated by clients and proxies, for it changes nothing the second time. This adds each time.",
                    "Set what the client wants it to be, `line.quantity = wanted.quantity`; what adds is a POST, which has an Idempotency-Key.",
                )
                for node in _added(module, route.node)
            )


def _is_webhook(module: Module, function: ast.AST) -> bool:
    """Return whether a handler knows who sends by a signature, as webhooks are."""
    return any(
        named(call, {"hmac.compare_digest", "secrets.compare_digest"})
        for call in module.calls_by_function.get(function, [])
    ) and any(
        isinstance(part, ast.Attribute) and "fastapi.Request.body" in module.value(part).names
        for part in inside(function)
    )


def _remembers(module: Module, function: ast.AST) -> bool:
    """Return whether a handler stores something of what came, or looks at what a statement changed."""
    return (
        is_settled(function)
        or any(
            is_session_call(call) and method(call) in {"add", "add_all", "merge"}
            for call in module.calls_by_function.get(function, [])
        )
        or any(
            isinstance(part, ast.Name | ast.Attribute) and "sqlalchemy.insert" in module.value(part).names
            for part in inside(function)
        )
    )


def _is_drawn(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and any(name.startswith(_FRESH) for name in module.value(node.func).names)


def _is_same_each_time(module: Module, call: Call, key: ast.expr | None) -> bool:
    """Return whether a loop of the same function goes round an effect, and nothing of the loop is in its key."""
    function = module.function_of(call.node)
    for loop in module.ancestors(call.node):
        if loop is function:
            return False
        if isinstance(loop, ast.For | ast.AsyncFor | ast.While) and not is_inside(
            call.node, getattr(loop, "iter", call.node) if isinstance(loop, ast.For | ast.AsyncFor) else loop.test
        ):
            changing = {
                part.id for part in inside(loop) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
            return key is None or not any(isinstance(part, ast.Name) and part.id in changing for part in inside(key))
    return False


def _added(module: Module, function: ast.AST) -> Iterator[ast.AST]:
    """Yield where what the client sent is added to what a row holds."""
    for node in inside(function):
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.target, ast.Attribute)
            and isinstance(node.op, ast.Add | ast.Sub)
        ):
            if ROW in module.value(node.target.value).labels and _is_input(module, node.value):
                yield node
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and ROW in module.value(node.targets[0].value).labels
        ):
            path = path_of(node.targets[0])
            for part in inside(node.value):
                if (
                    isinstance(part, ast.BinOp)
                    and isinstance(part.op, ast.Add | ast.Sub)
                    and path_of(part.left) == path
                    and _is_input(module, part.right)
                ):
                    yield node
        elif (
            isinstance(node, ast.keyword)
            and isinstance(node.value, ast.BinOp)
            and isinstance(node.value.op, ast.Add | ast.Sub)
        ):
            column = node.value.left
            if (
                isinstance(column, ast.Attribute)
                and column.attr == node.arg
                and any(module.is_table(name) for name in module.value(column.value).names)
                and _is_input(module, node.value.right)
            ):
                yield node.value


def _is_input(module: Module, node: ast.expr) -> bool:
    labels = module.value(node).labels
    return bool(labels & {INPUT, SHAPED}) and ROW not in labels


_VOID: Final = frozenset(
    {
        "sqlalchemy.exc.IntegrityError",
        "sqlalchemy.exc.SQLAlchemyError",
        "sqlalchemy.exc.DBAPIError",
        "sqlalchemy.exc.DatabaseError",
    }
)
_SENDING: Final = frozenset({"flush", "execute", "scalar", "scalars", "merge"})


@registry.rule("BW212", "A write that is never kept")
def undone(module: Module) -> Iterator[Fault]:
    """Point at writes right before an error that undoes them, and at transactions that go on after the database has ended them."""
    for node in module.walk(ast.Raise):
        for step in _steps_before(module, node) if _is_failure(module, node) else ():
            if _writes(module, step):
                yield Fault(
                    step,
                    "The error behind this undoes it: the service rolls back what comes with an answer of 400 or more. A count of failed tries stays at zero.",
                    "Return an answer that says no, `return Opened(open=False)`, where the write has to stay; or write nothing.",
                )
                yield Fault(
                    node,
                    "This error undoes the write before it.",
                    "Return an answer that says no where the write has to stay.",
                )
    for attempt in module.walk(ast.Try):
        for handler in attempt.handlers if isinstance(attempt, ast.Try) else ():
            if (
                handler.type is not None
                and kinds_of(module, [handler.type]) & _VOID
                and _goes_on_without_savepoint(module, attempt, handler)
            ):
                yield Fault(
                    handler,
                    "After this error the transaction is void: what follows fails, and what was written before is lost with it.",
                    "A savepoint for what may fail: `async with session.begin_nested(): session.add(row)` in the `try`; or `raise HTTPException(409, ...) from error`.",
                )


def _steps_before(module: Module, node: ast.AST) -> list[ast.stmt]:
    """Return the statements that stand before an error in the same block, whatever happens."""
    block = module.parents.get(node)
    for body in (getattr(block, name, None) for name in ("body", "orelse", "finalbody")):
        if isinstance(body, list) and node in body:
            return (
                list(body[: body.index(node)])
                if isinstance(block, ast.If | ast.ExceptHandler | ast.For | ast.While)
                or body is not getattr(block, "body", None)
                else []
            )
    return []


def _is_failure(module: Module, node: ast.AST) -> bool:
    """Return whether an error is answered with a status of 400 or more, as far as it says."""
    raised = node.exc if isinstance(node, ast.Raise) else None
    call = module.calls.get(raised) if isinstance(raised, ast.Call) else None
    if call is None or not named(call, {"fastapi.HTTPException"}):
        return False
    status = argument_node(call, 0, "status_code")
    said = module.value(status).constant if status is not None else None
    return said is None or not isinstance(said.value, int) or said.value >= _FAILURE


_FAILURE: Final = 400


def _writes(module: Module, step: ast.stmt) -> bool:
    """Return whether a statement changes a row, or adds one, or puts something into the outbox."""
    if isinstance(step, ast.AugAssign | ast.Assign):
        targets = (
            [step.target]
            if isinstance(step, ast.AugAssign)
            else [
                part for target in step.targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])
            ]
        )
        return any(isinstance(target, ast.Attribute) and ROW in module.value(target.value).labels for target in targets)
    for part in inside(step) if isinstance(step, ast.Expr) else ():
        call = module.calls.get(part) if isinstance(part, ast.Call) else None
        if call is not None and (
            (is_session_call(call) and method(call) in {"add", "add_all"})
            or "app.dependencies.Outbox.add" in call.names
        ):
            return True
        if call is not None and is_session_call(call) and method(call) == "execute":
            return any(
                isinstance(inner, ast.Call)
                and module.value(inner.func).names & {"sqlalchemy.update", "sqlalchemy.insert", "sqlalchemy.delete"}
                for inner in inside(call.node)
            )
    return False


def _goes_on_without_savepoint(module: Module, attempt: ast.AST, handler: ast.ExceptHandler) -> bool:
    if any(isinstance(part, ast.Raise) or _refuses(module, part) for part in inside(handler)) or any(
        _is_savepoint(parent) for parent in module.ancestors(handler)
    ):
        return False
    for part in (part for step in getattr(attempt, "body", []) for part in inside(step)):
        call = module.calls.get(part) if isinstance(part, ast.Call) else None
        if call is None or not is_session_call(call):
            continue
        if method(call) in _SENDING and not any(
            _is_savepoint(parent) for parent in module.ancestors(part) if is_inside(parent, attempt)
        ):
            return True
    return False


def _refuses(module: Module, part: ast.AST) -> bool:
    """Return whether a part of a handler answers with 400 or more, upon which the service rolls back, or does so itself."""
    if isinstance(part, ast.Call):
        status = next((keyword.value for keyword in part.keywords if keyword.arg == "status_code"), None)
        return name_of(part.func) == "rollback" or (status is not None and _is_error(module, status))
    return isinstance(part, ast.Assign) and name_of(part.targets[0]) == "status_code" and _is_error(module, part.value)


def _is_error(module: Module, status: ast.expr) -> bool:
    said = module.value(status).constant
    return said is not None and isinstance(said.value, int) and said.value >= _FAILURE


def _is_savepoint(node: ast.AST) -> bool:
    return isinstance(node, ast.AsyncWith | ast.With) and any(
        isinstance(part, ast.Call) and name_of(part.func) in {"begin_nested", "begin"}
        for item in node.items
        for part in inside(item.context_expr)
    )
