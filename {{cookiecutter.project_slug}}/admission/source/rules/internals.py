"""BW307: the inside of the service in what clients see."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, calls, named
from admission.source.module import is_function
from admission.source.tree import inside
from admission.source.values import ERROR, INTERNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

registry = Registry()

_ANSWERS: Final = ("fastapi.responses.", "fastapi.Response", "fastapi.HTTPException", "starlette.responses.")
_MEND: Final = (
    "Say what the client can do, in constant words, and keep the cause for the log: `raise "
    'HTTPException(502, "The payment could not be made.") from error`.'
)


@registry.rule("BW307", "The inside of the service in an answer")
def internals(module: Module) -> Iterator[Fault]:
    """Point at answers that hold exception texts, tracebacks, settings or environment."""
    said: set[int] = set()
    for call in calls(module):
        if any(name.startswith(_ANSWERS) for name in call.names) or _is_http_exception(module, call.names):
            for node in (
                *call.node.args,
                *(keyword.value for keyword in call.node.keywords if keyword.arg != "status_code"),
            ):
                value = module.value(node.value if isinstance(node, ast.Starred) else node)
                if value.all_labels() & {ERROR, INTERNAL}:
                    yield _fault(node, value.all_labels())
                    said.add(node.lineno)
        if named(call, {"traceback.print_exc"}):
            continue
    for route in module.routes:
        for function in _reached(module, route.node):
            for part in inside(function):
                if (
                    isinstance(part, ast.Return | ast.Yield)
                    and part.value is not None
                    and module.function_of(part) is function
                    and part.lineno not in said
                ):
                    labels = module.value(part.value).all_labels()
                    if labels & {ERROR, INTERNAL} and (function is route.node or _is_answered(module, part)):
                        yield _fault(_culprit(module, part.value), labels)
    for function in module.functions.values():
        if _is_exception_handler(module, function):
            for part in inside(function):
                if isinstance(part, ast.Return) and part.value is not None and part.lineno not in said:
                    labels = module.value(part.value).all_labels()
                    if labels & {ERROR, INTERNAL}:
                        yield _fault(part.value, labels)


def _is_http_exception(module: Module, names: frozenset[str]) -> bool:
    return any(name in module.classes and module.is_a(name, "fastapi.HTTPException") for name in names)


def _reached(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for part in inside(node):
        if part is not node and is_function(part):
            yield part


def _is_answered(module: Module, node: ast.AST) -> bool:
    """A generator inside a handler streams what it yields."""
    return isinstance(node, ast.Yield) and module.function_of(node) is not None


def _is_exception_handler(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return (
        any(
            isinstance(decorator, ast.Call)
            and isinstance(decorator.func, ast.Attribute)
            and decorator.func.attr == "exception_handler"
            for decorator in function.decorator_list
        )
        and module is not None
    )


def _culprit(module: Module, node: ast.expr) -> ast.expr:
    """Return the smallest part of an answer that holds the inside: a line of a dictionary, say."""
    for part in inside(node):
        if isinstance(part, ast.Dict):
            for value in part.values:
                if module.value(value).all_labels() & {ERROR, INTERNAL}:
                    return value
        if isinstance(part, ast.Call):
            for argument in (*part.args, *(keyword.value for keyword in part.keywords)):
                if module.value(argument).all_labels() & {ERROR, INTERNAL} and argument.lineno != node.lineno:
                    return argument
    return node


def _fault(node: ast.AST, labels: frozenset[str]) -> Fault:
    what = "The text of an exception" if ERROR in labels else "Settings, environment or versions of the service"
    return Fault(
        node,
        f"{what} goes to the client. It names tables, hosts, paths and libraries: a map for whoever attacks.",
        _MEND,
    )


__all__ = ["argument_node"]
