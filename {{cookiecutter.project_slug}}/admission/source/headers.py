"""Which headers an answer is given: by whichever name its headers go, and out of whichever dictionary."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.match import argument_node, calls, method
from admission.source.tree import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module
    from admission.source.values import Value

_PUTTING: Final = frozenset({"setdefault", "append", "add", "__setitem__"})
_SPREADS: Final = 4
"""Dictionaries spread within one another that are followed."""

_MERGING: Final = frozenset({"update", "__ior__"})


def is_answer_headers(module: Module, node: ast.AST) -> bool:
    """Return whether an expression is the headers of an answer: `response.headers`, or a name for them."""
    if _are_headers(module.value(node)):
        return True
    if not isinstance(node, ast.Attribute) or node.attr != "headers":
        return False
    base = module.value(node.value)
    return any("Response" in kind for kind in base.types) or (
        isinstance(node.value, ast.Name) and node.value.id in {"response", "resp"}
    )


def _are_headers(value: Value) -> bool:
    return any(name.startswith("fastapi.") and name.endswith("Response.headers") for name in value.names)


def headers_set(module: Module) -> Iterator[tuple[str, ast.AST, ast.expr]]:
    """Yield name, place and value of every header that an answer is given, as far as the name is constant."""
    for node in module.walk(ast.Assign, ast.Delete):
        for target in node.targets if isinstance(node, ast.Assign | ast.Delete) else ():
            if isinstance(target, ast.Subscript) and _is_meant(module, target.value):
                value = node.value if isinstance(node, ast.Assign) else target
                yield from ((name, node, value) for name in _names(module, target.slice))
    for node in module.walk(ast.AugAssign):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr) and _is_meant(module, node.target):
            yield from _in_dictionary(module, node.value)
    yield from _set_by_calls(module)


def _set_by_calls(module: Module) -> Iterator[tuple[str, ast.AST, ast.expr]]:
    for call in calls(module):
        headers = argument_node(call, None, "headers")
        if headers is not None and any("Response" in name or "HTTPException" in name for name in call.names):
            yield from _in_dictionary(module, headers)
        if not _is_method_of_headers(module, call):
            continue
        if method(call) in _PUTTING and len(call.node.args) > 1:
            yield from ((name, call.node, call.node.args[1]) for name in _names(module, call.node.args[0]))
        elif method(call) in _MERGING and call.node.args:
            yield from _in_dictionary(module, call.node.args[0])


def _is_meant(module: Module, node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "headers") or _are_headers(module.value(node))


def _is_method_of_headers(module: Module, call: Call) -> bool:
    if isinstance(call.node.func, ast.Attribute) and _is_meant(module, call.node.func.value):
        return True
    return any(
        name.startswith("fastapi.") and name.rpartition(".")[0].endswith("Response.headers") for name in call.names
    )


def _names(module: Module, key: ast.expr) -> Iterator[str]:
    """Yield what a key may be: a constant, or one after another what a loop takes from a constant collection."""
    said = module.value(key).constant
    if said is not None:
        yield str(said.value).lower()
        return
    if not isinstance(key, ast.Name):
        return
    for loop in module.ancestors(key):
        if isinstance(loop, ast.For) and any(
            isinstance(part, ast.Name) and part.id == key.id for part in inside(loop.target)
        ):
            first = (
                loop.target.elts[0]
                if isinstance(loop.target, ast.Tuple | ast.List) and loop.target.elts
                else loop.target
            )
            if isinstance(first, ast.Name) and first.id == key.id:
                yield from (name.lower() for name in _keys(module, loop.iter))
            return


def _keys(module: Module, node: ast.expr) -> Iterator[str]:
    """Yield the constant keys of a dictionary, of its `items()`, of pairs, or the first of what is zipped."""
    if isinstance(node, ast.Call) and "builtins.zip" in module.value(node.func).names and node.args:
        node = node.args[0]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"items", "keys"}:
        node = node.func.value
    value = module.value(node)
    if "builtins.dict" in value.types:
        yield from (name for name, _ in value.fields)
        return
    for _, element in value.fields if value.types & {"builtins.list", "builtins.tuple"} else ():
        said = (element.field("0") or element).constant
        if said is not None:
            yield str(said.value)


def _in_dictionary(module: Module, node: ast.expr, depth: int = 0) -> Iterator[tuple[str, ast.AST, ast.expr]]:
    shown = node
    if isinstance(node, ast.Name):
        made = module.given.get((module.function_of(node), node.id)) or module.given.get((None, node.id))
        shown = made[0] if made else node
    if isinstance(shown, ast.Dict):
        for key, value in zip(shown.keys, shown.values, strict=True):
            said = module.value(key).constant if key is not None else None
            if said is not None:
                yield str(said.value).lower(), key or value, value
            elif key is None and depth < _SPREADS:
                yield from _in_dictionary(module, value, depth + 1)
        return
    yield from ((name.lower(), node, node) for name in _keys(module, node))
