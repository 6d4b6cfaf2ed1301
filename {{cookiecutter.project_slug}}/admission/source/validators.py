"""Whether what checks a value bounds it: its pattern, and the functions that pydantic calls with it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.canonical import canonical, looks_like_class
from admission.source.effects import SHAPING
from admission.source.module import FUNCTIONS
from admission.source.patterns import longest_match
from admission.source.tree import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module
    from admission.source.values import FunctionNode

MAX_TEXT: Final = 100_000
"""Characters. A bound above this bounds nothing: the body limit is lower."""

_CALLS: Final = 3
"""Helpers behind a validator that are looked into."""

_MATCHING: Final = frozenset({"match", "fullmatch", "search"})
_CUTTING: Final = frozenset({"textwrap.shorten", "builtins.min"}) | {
    name for name in SHAPING if not name.startswith("builtins.") and name != "decimal.Decimal"
}
"""What gives a short value, or refuses a long one; what only makes a number of it does not."""


def text_said(module: Module, node: ast.expr | None) -> str | None:
    """Return the constant text that an expression stands for, a compiled pattern's too; None if it is not known."""
    if isinstance(node, ast.Name) and node.id in module.aliases:
        return text_said(module, module.aliases[node.id])
    if isinstance(node, ast.Call) and module.resolve(node.func) == "re.compile" and node.args:
        return text_said(module, node.args[0])
    said = node.value if isinstance(node, ast.Constant) else None
    known = module.value(node).constant
    said = known.value if said is None and known is not None else said
    return said if isinstance(said, str) else None


def pattern_bounds(module: Module, bounds: dict[str, ast.expr]) -> bool:
    """Return whether a pattern among the bounds lets through nothing but texts of a bounded length."""
    said = (text_said(module, bounds.get(name)) for name in ("pattern", "regex"))
    return any(pattern is not None and longest_match(pattern) <= MAX_TEXT for pattern in said)


def may_bound(module: Module, marker: ast.Call) -> bool:
    """Return whether `AfterValidator(check)` and its like may bound a value; of a function that is not known it is taken to."""
    node = (
        marker.args[0]
        if marker.args
        else next((keyword.value for keyword in marker.keywords if keyword.arg == "func"), None)
    )
    return node is None or _function_bounds(module, node, 0)


def _function_bounds(module: Module, node: ast.expr, depth: int) -> bool:
    found = list(_functions(module, node))
    if found:
        return any(_bounds(module, part, depth) for function in found for part in inside(function))
    if isinstance(node, ast.Call):  # `partial(check, limit=5)`
        return (
            any(_function_bounds(module, argument, depth) for argument in node.args[:1])
            if depth < _CALLS and node.args
            else True
        )
    name = module.resolve(node) or ""
    return not name.startswith("builtins.")  # `str.strip` and `str` refuse nothing


def _functions(module: Module, node: ast.expr) -> Iterator[FunctionNode]:
    if isinstance(node, ast.Lambda):
        yield node
    elif isinstance(node, ast.Name) and node.id in module.functions:
        yield module.functions[node.id]
    elif isinstance(node, ast.Name) and isinstance(alias := module.aliases.get(node.id), ast.Name | ast.Attribute):
        yield from _functions(module, alias)
    elif (
        isinstance(node, ast.Call)
        and (called := module.method_of(module.resolve(node.func) or "", "__call__")) is not None
    ):
        yield called
    elif (
        isinstance(node, ast.Attribute)
        and (method := module.method_of(module.resolve(node.value) or "", node.attr)) is not None
    ):
        yield method
    else:
        yield from (function.node for function in module.value(node).functions)


def _bounds(module: Module, part: ast.AST, depth: int) -> bool:
    """Return whether a part of a validator looks at how long or how large a value is, or makes another of it that is short."""
    if isinstance(part, ast.Compare):
        return not (
            isinstance(part.left, ast.Constant) and isinstance(part.ops[0], ast.In | ast.NotIn)
        ) and not isinstance(part.ops[0], ast.Is | ast.IsNot)
    if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Load):
        return (
            part.slice.upper is not None or part.slice.lower is not None
            if isinstance(part.slice, ast.Slice)
            else not isinstance(part.slice, ast.Constant)
        )
    if isinstance(part, ast.Call):
        return _call_bounds(module, part, depth)
    return isinstance(part, ast.Match)


def _call_bounds(module: Module, call: ast.Call, depth: int) -> bool:
    name = canonical(module.resolve(call.func) or "")
    if isinstance(module.parents.get(call), ast.Raise):
        return False  # what is raised says nothing of when
    if isinstance(call.func, ast.Attribute) and call.func.attr in _MATCHING:
        pattern = call.args[0] if name.startswith("re.") and call.args else call.func.value
        said = text_said(module, pattern)
        whole = f"^(?:{said})$" if call.func.attr == "fullmatch" else f"{said}"
        return said is None or longest_match(whole) <= MAX_TEXT
    if name in _CUTTING or looks_like_class(name) or name.startswith("app."):
        return True
    helpers = any(isinstance(function, FUNCTIONS) for function in _functions(module, call.func))
    return helpers and depth < _CALLS and _function_bounds(module, call.func, depth + 1)
