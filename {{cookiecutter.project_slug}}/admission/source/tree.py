"""Walks of the syntax tree, indexed once: the rules ask thousands of times what stands inside of what."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_INDEX: Final = "_breakwater_index"
_SHARED: Final = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)
"""One object of these stands in many places of a tree, and no rule looks for them."""


def index(tree: ast.AST, max_nodes: int, max_depth: int) -> dict[ast.AST, ast.AST] | str:
    """Note at each node what stands inside of it, and return the parent of each; or say why the tree is too large.

    Walks without recursion: a deep tree must not end our own stack.
    """
    order: list[ast.AST] = []
    parents: dict[ast.AST, ast.AST] = {}
    waiting: list[tuple[ast.AST, int, bool]] = [(tree, 0, False)]
    starts: dict[ast.AST, int] = {}
    while waiting:
        node, depth, left = waiting.pop()
        if left:
            setattr(node, _INDEX, (order, starts[node], len(order)))
            continue
        if depth > max_depth:
            return f"expressions or blocks are nested more than {max_depth} deep"
        if len(order) >= max_nodes:
            return f"the file has more than {max_nodes} expressions and statements"
        starts[node] = len(order)
        order.append(node)
        waiting.append((node, depth, True))
        for child in reversed(list(ast.iter_child_nodes(node))):
            if not isinstance(child, _SHARED):
                parents[child] = node
                waiting.append((child, depth + 1, False))
    return parents


def inside(node: ast.AST) -> Sequence[ast.AST]:
    """Return a node and everything in it, in the order of the source."""
    found: tuple[list[ast.AST], int, int] | None = getattr(node, _INDEX, None)
    if found is None:
        return list(ast.walk(node))
    order, start, end = found
    return order[start:end]


def is_inside(node: ast.AST, outer: ast.AST) -> bool:
    """Return whether a node is another one, or stands in it."""
    here: tuple[list[ast.AST], int, int] | None = getattr(node, _INDEX, None)
    there: tuple[list[ast.AST], int, int] | None = getattr(outer, _INDEX, None)
    if here is None or there is None:
        return node in set(ast.walk(outer))
    return there[1] <= here[1] < there[2]
