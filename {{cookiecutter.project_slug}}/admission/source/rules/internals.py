"""BW307: the inside of the service in what clients see."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.contract import answer_models
from admission.source.declare import Fault, Registry
from admission.source.match import calls
from admission.source.module import is_definition, is_function
from admission.source.tree import inside
from admission.source.values import ERROR, INTERNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

registry = Registry()

_ANSWERS: Final = ("fastapi.responses.", "fastapi.Response", "fastapi.HTTPException", "starlette.responses.")
_MEND: Final = 'Say what the client can do, in constant words, and keep the cause for the log: `raise HTTPException(502, "The payment could not be made.") from error`.'


@registry.rule("BW307", "The inside of the service in an answer")
def internals(module: Module) -> Iterator[Fault]:
    """Point at answers that hold exception texts, tracebacks, settings or environment."""
    made = list(_made(module))
    yield from made
    said = {getattr(fault.node, "lineno", 0) for fault in made}
    functions = [function for route in module.routes for function in _reached(route.node)]
    functions += [function for function in module.functions.values() if _is_exception_handler(function)]
    returned = [fault for function in functions for fault in _returned(module, function, said)]
    yield from returned
    if made or returned:
        yield from _filled_in(module)


def _filled_in(module: Module) -> Iterator[Fault]:
    """Point at where the inside is put into a model of an answer, in a helper say, once it is known to go out."""
    models = answer_models(module)
    for call in calls(module):
        for node in (
            (*call.node.args, *(keyword.value for keyword in call.node.keywords)) if call.names & models else ()
        ):
            labels = module.value(node).all_labels()
            if labels & {ERROR, INTERNAL}:
                yield _fault(_culprit(module, node), labels)


def _made(module: Module) -> Iterator[Fault]:
    """Point at responses and HTTP errors that are given the inside."""
    for call in calls(module):
        if not any(name.startswith(_ANSWERS) for name in call.names) and not _is_http_exception(module, call.names):
            continue
        keywords = [keyword.value for keyword in call.node.keywords if keyword.arg != "status_code"]
        for node in (*call.node.args, *keywords):
            labels = module.value(node.value if isinstance(node, ast.Starred) else node).all_labels()
            if labels & {ERROR, INTERNAL}:
                yield _fault(node, labels)


def _returned(module: Module, function: ast.AST, said: set[int]) -> Iterator[Fault]:
    """Point at what a handler returns, or a generator inside of it yields; lines that were named already are not."""
    is_handler = is_definition(function)
    for part in inside(function):
        if not isinstance(part, ast.Return | ast.Yield) or part.value is None or part.lineno in said:
            continue
        labels = module.value(part.value).all_labels()
        answers = isinstance(part, ast.Yield) or (is_handler and not _is_nested(module, function))
        if answers and module.function_of(part) is function and labels & {ERROR, INTERNAL}:
            yield _fault(_culprit(module, part.value), labels)


def _is_nested(module: Module, function: ast.AST) -> bool:
    return module.function_of(function) is not None


def _is_http_exception(module: Module, names: frozenset[str]) -> bool:
    return any(name in module.classes and module.is_a(name, "fastapi.HTTPException") for name in names)


def _reached(node: ast.AST) -> Iterator[ast.AST]:
    yield from (part for part in inside(node) if is_function(part))


def _is_exception_handler(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "exception_handler"
        for decorator in function.decorator_list
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
