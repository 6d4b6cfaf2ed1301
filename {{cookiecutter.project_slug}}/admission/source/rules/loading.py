"""BW422, BW423: what is made once and not each time, and checks that are never asked."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.contract import listed_dependencies
from admission.source.declare import Fault, Registry
from admission.source.match import calls
from admission.source.module import is_definition, is_function
from admission.source.routes import is_registration
from admission.source.tree import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module
    from admission.source.routes import Route
    from admission.source.values import FunctionNode, Value

registry = Registry()

_MADE: Final = frozenset(
    {
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        *("datetime.date.today", "time.time", "time.time_ns", "time.monotonic", "uuid.uuid1", "uuid.uuid4"),
        *(f"secrets.{name}" for name in ("token_hex", "token_urlsafe", "token_bytes", "choice", "randbelow")),
        *(f"random.{name}" for name in ("random", "randint", "choice", "choices", "randbytes", "getrandbits")),
    }
)


@registry.rule("BW422", "A default made when the module is loaded")
def made_once(module: Module) -> Iterator[Fault]:
    """Point at times and random values that stand as a default: they are made once, and every request gets the same."""
    for call in calls(module):
        if call.names & _MADE and _is_default(module, call.node):
            yield Fault(
                call.node,
                "This is made once, when the module is loaded: every request gets the same time, the same id, the same token.",
                "Hand over what makes it: `default=lambda: datetime.now(UTC) + LIFETIME`, `default_factory=uuid4`; for a parameter `None`, and make it in the function.",
            )


def _is_default(module: Module, node: ast.AST) -> bool:
    """Return whether an expression is a default of a parameter, a field or a column, and is evaluated with the module."""
    child = node
    for parent in module.ancestors(node):
        if is_function(parent) or (
            isinstance(parent, ast.keyword) and (parent.arg or "").startswith(("example", "json_schema", "description"))
        ):
            return False
        if isinstance(parent, ast.arguments):
            owner = module.parents.get(parent)
            return not isinstance(owner, ast.Lambda) or any(child is default for default in parent.defaults)
        if isinstance(parent, ast.AnnAssign | ast.Assign):
            home = module.parents.get(parent)
            return (
                isinstance(home, ast.ClassDef)
                and child is parent.value
                and (module.is_model(f".{home.name}") or module.is_table(f".{home.name}"))
            )
        child = parent
    return False


@registry.rule("BW423", "A check that is never asked")
def unasked(module: Module) -> Iterator[Fault]:
    """Point at decorators above a route, which the route does not have, and at dependencies whose answer nobody reads."""
    for route in module.routes:
        decorators = route.node.decorator_list
        place = next((number for number, decorator in enumerate(decorators) if decorator is route.registration), 0)
        for decorator in decorators[:place]:
            named = module.resolve(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
            if not is_registration(module, decorator) and not named.startswith(("typing", "warnings.")):
                yield Fault(
                    decorator,
                    "The route below registers the function as it is, without this: it never runs for a request.",
                    "Put it under the route's decorator; better, ask in the handler or a dependency, which raises.",
                )
        for node in listed_dependencies(module, route.options):
            if any(_only_tells(module, function) for function in _providers(module.value(node))):
                yield _unread(node)
        for parameter in route.parameters:
            if (
                parameter.depends is not None
                and not _is_read(route, parameter.name)
                and any(_only_tells(module, function) for function in _providers(module.value(parameter.depends)))
            ):
                yield _unread(parameter.node)
    for node in _never_awaited(module):
        yield Fault(
            node,
            "Nobody awaits this, and a coroutine is always true: whatever it would answer, it is never asked.",
            "`if not await may_edit(...):`, with `await` before the call.",
        )


def _never_awaited(module: Module) -> Iterator[ast.expr]:
    """Yield coroutines that stand where a yes or no is asked for: each is true, whatever it would answer."""
    for node in module.walk(ast.If, ast.While, ast.IfExp, ast.Assert, ast.BoolOp, ast.UnaryOp, ast.comprehension):
        asked: list[ast.expr] = []
        if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            asked = [node.test]
        elif isinstance(node, ast.BoolOp):
            asked = node.values[:-1]  # the last is what it gives, whoever asks that
        elif isinstance(node, ast.UnaryOp):
            asked = [node.operand] if isinstance(node.op, ast.Not) else []
        elif isinstance(node, ast.comprehension):
            asked = node.ifs
        for each in asked:
            last = each.values[-1] if isinstance(each, ast.BoolOp) else each
            call = module.calls.get(last) if isinstance(last, ast.Call) else None
            if (
                call is not None
                and call.functions
                and all(isinstance(made, ast.AsyncFunctionDef) and not _is_generator(made) for made in call.functions)
            ):
                yield last


def _is_generator(function: ast.AsyncFunctionDef) -> bool:
    return any(isinstance(part, ast.Yield) for part in inside(function))


def _unread(node: ast.AST) -> Fault:
    return Fault(
        node,
        "This dependency answers yes or no, and nobody reads the answer: every caller passes.",
        'Let it raise: `if not allowed: raise HTTPException(403, "Not yours.")`. Who may call a route at all stands in policy.toml.',
    )


def _providers(value: Value) -> Iterator[FunctionNode]:
    yield from (made.node for made in value.functions if is_definition(made.node))


def _is_read(route: Route, name: str) -> bool:
    return any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
        for step in route.node.body
        for part in inside(step)
    )


def _only_tells(module: Module, function: FunctionNode) -> bool:
    """Return whether a function answers a truth and raises nothing, itself or in what it calls."""
    if not is_definition(function) or not module.annotation(function.returns).types & {"builtins.bool"}:
        return False
    if any(
        name.startswith("app.") and not name.startswith("app.dependencies.")
        for call in module.calls_by_function.get(function, [])
        for name in call.names
    ):
        return False  # a helper of another module may raise
    reached = [function, *(other for call in module.calls_by_function.get(function, []) for other in call.functions)]
    return not any(isinstance(part, ast.Raise | ast.Yield) for each in reached for part in inside(each))
