"""What keeps other requests off a row: `FOR UPDATE`, on it or on the row by which it is found, and what the database decides."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.contract import dependencies_of
from admission.source.effects import SESSION_NAMES, SESSIONS
from admission.source.expressions import path_of
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside
from admission.source.values import LOCKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

_DECIDING: Final = frozenset(
    {"pg_advisory_xact_lock", "rowcount", "IntegrityError", "UniqueViolation", "StaleDataError"}
)
_READS: Final = 8
"""Expressions behind a row that are looked at."""


def is_settled(function: ast.AST) -> bool:
    """Return whether a function lets the database decide who was first: it looks at what a statement changed, or at a constraint."""
    for part in inside(function):
        name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
        if name in _DECIDING or name.startswith("on_conflict_do_"):
            return True
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "for update" in part.value.lower():
            return True
    return False


def locks(function: ast.AST) -> bool:
    """Return whether a function reads something `FOR UPDATE` itself."""
    return any(_locks(part) for part in inside(function))


def _locks(part: ast.AST) -> bool:
    if isinstance(part, ast.Call) and any(keyword.arg == "with_for_update" for keyword in part.keywords):
        return True
    return isinstance(part, ast.Attribute) and part.attr == "with_for_update"


def is_held(module: Module, function: ast.AST, row: ast.expr) -> bool:
    """Return whether no other request can change a row now.

    It was read `FOR UPDATE`, or it was found by what found a row that was: `Line.cart_id == cart.id` behind a locked
    cart. Where a function locks something and how this row was found is not seen, it is taken to be held.
    """
    callers = module.callers.get(function, [])
    position = _position(function, row) if callers else None
    if position is not None and isinstance(row, ast.Name):
        return all(
            (value := call.argument(position, row.id)) is not None and LOCKED in value.labels for call in callers
        )
    if LOCKED in module.value(row).labels:
        return True
    paths, rows = _held(module, function)
    if not paths and not rows:
        return False
    name = (path_of(row) or "").partition(".")[0].partition("[")[0]
    if name in rows:
        return True
    reads = _reads_of(module, function, name)
    return not reads or any(
        path in paths or path.partition(".")[0] in rows for read in reads for path in _paths(module, read)
    )


def _position(function: ast.AST, row: ast.expr) -> int | None:
    """Return at which place of a call a parameter is handed over; None for what is none."""
    arguments = getattr(function, "args", None)
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)] if arguments is not None else []
    return (
        names.index(row.id) - (names[0] in {"self", "cls"}) if isinstance(row, ast.Name) and row.id in names else None
    )


def _held(module: Module, function: ast.AST) -> tuple[set[str], set[str]]:
    """Return by which paths a function finds rows that it locks, and the names of locked rows."""
    paths: set[str] = set()
    rows: set[str] = set()
    for part in inside(function):
        if (
            isinstance(part, ast.Name)
            and LOCKED in module.value(part).labels
            and not any("sqlalchemy" in kind for kind in module.value(part).types)
        ):
            rows.add(part.id)
            paths |= {path for read in _reads_of(module, function, part.id) for path in _paths(module, read)}
        elif isinstance(part, ast.Call) and (_locks(part) or _locks(part.func)):
            paths |= {path for piece in pieces_of(module, part) for path in _paths(module, piece)}
            if isinstance(part.func, ast.Attribute) and part.func.attr == "refresh":
                rows |= {argument.id for argument in part.args if isinstance(argument, ast.Name)}
    for provider in dependencies_of(module, function) if rows else ():
        paths |= (
            {argument.arg for argument in (*provider.args.args, *provider.args.kwonlyargs)}
            if locks(provider)
            else set()
        )
    return paths - SESSION_NAMES, rows


def _reads_of(module: Module, function: ast.AST, name: str) -> list[ast.expr]:
    """Return what a name of a function is given, by assignment or by a loop, and what the names in that are given."""
    found: dict[ast.expr, None] = {}
    waiting = [name]
    seen: set[str] = set()
    while waiting and len(found) < _READS:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for made in (*module.given.get((function, current), ()), *module.taken_from.get((function, current), ())):
            found[made] = None
            waiting += [
                part.id for part in inside(made) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
            ]
    return list(found)


def _paths(module: Module, node: ast.AST) -> Iterator[str]:
    """Yield the names, with their attributes, by which an expression finds something: no classes, sessions and functions."""
    for part in inside(node):
        if not isinstance(part, ast.Name | ast.Attribute) or isinstance(module.parents.get(part), ast.Attribute):
            continue
        parent = module.parents.get(part)
        place = (
            part.value
            if isinstance(part, ast.Attribute) and isinstance(parent, ast.Call) and parent.func is part
            else part
        )
        path = path_of(place)
        if path is None or (isinstance(place, ast.Name) and isinstance(parent, ast.Call) and parent.func is place):
            continue
        value = module.value(place)
        if (
            not path[:1].isupper()
            and path.partition(".")[0] != "self"
            and not value.types & SESSIONS
            and not value.functions
            and path not in SESSION_NAMES
        ):
            yield path
