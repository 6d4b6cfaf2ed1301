"""Small questions that many rules ask of a module."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.canonical import last, looks_like_class
from admission.source.tree import inside, is_inside
from admission.source.values import ROW, is_free

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from admission.source.module import Call, Module
    from admission.source.values import Value


def calls(module: Module) -> Iterator[Call]:
    """Yield every call that was reached, in the order of the source."""
    yield from module.ordered_calls


def named(call: Call, names: Collection[str]) -> str | None:
    """Return which of these names is called: dotted names, or ``?.method`` for a method of an unknown object."""
    return next((name for name in sorted(call.names) if name in names), None)


def within(call: Call, *prefixes: str) -> str | None:
    """Return what is called if it lives in one of these modules."""
    for name in sorted(call.names):
        for prefix in prefixes:
            if name == prefix or name.startswith(f"{prefix}."):
                return name
    return None


def method(call: Call) -> str:
    """Return the name of the method that is called, under whichever name it goes here, or an empty text."""
    if isinstance(call.node.func, ast.Attribute):
        return call.node.func.attr
    return next((last(name) for name in sorted(call.names) if "." in name[1:] and not name.startswith("builtins.")), "")


def methods(call: Call) -> set[str]:
    """Return the last parts of everything that may be called."""
    return {last(name) for name in call.names} | ({method(call)} - {""})


def free(value: Value | None, use: str = "") -> bool:
    """Return whether a value may be, or hold, text of the client's choice."""
    return value is not None and is_free(value.all_labels(), use)


_CONNECTIONS: Final = (
    "sqlalchemy.ext.",
    "sqlalchemy.orm.Session",
    "sqlalchemy.Engine",
    "sqlalchemy.engine.",
    "sqlalchemy.Connection",
)


def is_column(module: Module, node: ast.AST) -> bool:
    """Return whether an expression is SQL that the database computes: a column of a table, `func.lower(...)`."""
    value = module.value(node)
    if ROW in value.labels:
        return False  # what a query gave is a value of this process
    if any(name.startswith("sqlalchemy.") and not name.startswith(_CONNECTIONS) for name in value.names | value.types):
        return True
    owners = module.value(node.value).names if isinstance(node, ast.Attribute) else frozenset()
    return any(
        module.is_table(owner) or (owner.startswith("app.models.") and looks_like_class(owner)) for owner in owners
    )


def argument_node(call: Call, position: int | None, *keywords: str) -> ast.expr | None:
    """Return the expression of an argument by keyword or position."""
    for keyword in call.node.keywords:
        if keyword.arg in keywords:
            return keyword.value
    if position is not None and position < len(call.node.args):
        return call.node.args[position]
    return None


def is_constant(value: Value | None, *constants: object) -> bool:
    """Return whether a value is one of these constants."""
    return (
        value is not None
        and value.constant is not None
        and any(
            value.constant.value is constant
            or (value.constant.value == constant and type(constant) is type(value.constant.value))
            for constant in constants
        )
    )


def text_of(node: ast.AST) -> str:
    """Return the constant text inside an expression, joined."""
    return " ".join(
        part.value for part in inside(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def source_of(node: ast.AST, limit: int = 60) -> str:
    """Return an expression as text, for a message."""
    try:
        said = ast.unparse(node)
    except (ValueError, RecursionError):
        return "this"
    said = " ".join(said.split())
    return said if len(said) <= limit else f"{said[: limit - 1]}…"


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield the identifiers in an expression: names, attributes, keyword and constant keys."""
    for part in inside(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def name_of(node: ast.AST | None) -> str:
    """Return the name under which an expression is at hand: `key`, `self.key` and `row["key"]` are all `key`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


def touched(call: Call) -> Iterator[tuple[str, bool]]:
    """Yield what is called, and what is handed on to be called: ``to_thread(os.system, line)``.

    Yields:
        a dotted name, and whether this very call calls it.
    """
    for name in sorted(call.names):
        yield name, True
    for value in (*call.args, *call.keywords.values()):
        for part in (value, value.items):
            for name in sorted(part.names) if part is not None else ():
                if "()" not in name:  # what a call gave is a result, and nothing to call
                    yield name, False


def first_touched(call: Call, names: Collection[str], prefixes: tuple[str, ...] = ()) -> str | None:
    """Return which of these names, or of what lives in these modules, a call calls or hands on."""
    for name, _ in touched(call):
        if name in names or any(name.startswith(f"{prefix}.") for prefix in prefixes):
            return name
    return None


def is_bare(value: Value, use: str = "") -> bool:
    """Return whether a value may be text of the client's choice with nothing put before or behind it."""
    return is_free(value.bare if value.composed else value.labels, use)


def constant_prefix(module: Module, node: ast.AST, depth: int = 0, use: str = "") -> str:  # noqa: PLR0911 - one for each kind
    """Return the constant text with which an expression begins on each of its branches, as far as it can be seen."""
    if depth > _DEPTH or is_bare(module.value(node), use):
        return ""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        told = ""
        for part in node.values:
            piece = constant_prefix(
                module, part.value if isinstance(part, ast.FormattedValue) else part, depth + 1, use
            )
            told += piece
            if not isinstance(part, ast.Constant):
                break
        return told
    if isinstance(node, ast.BinOp):
        return constant_prefix(module, node.left, depth + 1, use)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return constant_prefix(module, node.func.value, depth + 1, use).partition("{")[0]
    value = module.value(node)
    if value.constant is not None and isinstance(value.constant.value, str):
        return value.constant.value
    told_by = [constant_prefix(module, made, depth + 1, use) for made in value.composed if made is not node]
    return min(told_by, key=len) if told_by else ""


_DEPTH = 6


def stays_on_host(prefix: str) -> bool:
    """Return whether a URL that begins so has its host fixed by this text."""
    if prefix.startswith("/"):
        return len(prefix) > 1 and prefix[1] not in "/\\"
    scheme, _, rest = prefix.partition("://")
    return bool(scheme) and "/" in rest and not rest.startswith("/")


def assigned(module: Module, scope: ast.AST, name: str) -> list[ast.expr]:
    """Return everything that a name is given in a scope and in the functions in it, in the order of the source."""
    return [value for value in module.given_anywhere.get(name, ()) if is_inside(value, scope)]


def origins(module: Module, node: ast.expr) -> list[ast.expr]:
    """Return an expression, and what its names were given: by assignment, or as arguments of their function."""
    found: dict[ast.expr, None] = {}
    waiting = [node]
    while waiting and len(found) < _ORIGINS:
        piece = waiting.pop(0)
        if piece not in found:
            found[piece] = None
            names = [part for part in inside(piece) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)]
            waiting += [given for name in names for given in _given(module, name)][:_ORIGINS]
    return list(found)


_ORIGINS = 40
"""Expressions behind one that are looked at."""


def _given(module: Module, name: ast.Name) -> list[ast.expr]:
    """Return what a name is given where it stands, or what callers hand over for it."""
    function = module.function_of(name)
    found = module.given.get((function, name.id), [])
    if function is None or found:
        return found
    parameters = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    if name.id not in {*parameters, *(argument.arg for argument in function.args.kwonlyargs)}:
        return []
    if parameters[:1] == ["self"]:
        parameters = parameters[1:]
    position = parameters.index(name.id) if name.id in parameters else None
    handed = [argument_node(call, position, name.id) for call in module.callers.get(function, [])[:_ORIGINS]]
    return [each for each in handed if each is not None and not isinstance(each, ast.Starred)]


def free_parts(module: Module, node: ast.AST) -> Iterator[ast.expr]:
    """Yield the parts of a text that bring the client's text in, where they stand on lines of their own."""
    line = getattr(node, "lineno", 0)
    for part in inside(node):
        if not isinstance(part, ast.expr) or part.lineno == line or not free(module.value(part)):
            continue
        if isinstance(module.parents.get(part), ast.FormattedValue | ast.BinOp | ast.Call | ast.List):
            yield part


def put_together(module: Module, node: ast.expr, use: str = "") -> list[ast.AST]:
    """Return where the client's text was put into what an expression holds, on other lines than its own."""
    found = {made: None for part in inside(node) for made in module.value(part).composed}
    return [made for made in found if getattr(made, "lineno", 0) != node.lineno and free(module.value(made), use)]


_WRAPPING = frozenset(
    f"builtins.{name}" for name in ("enumerate", "frozenset", "iter", "list", "reversed", "set", "sorted", "tuple")
)
"""What gives the elements of its first argument, in another order or container."""


def unwrapped(module: Module, node: ast.expr) -> ast.expr:
    """Return what an expression goes through behind `list(...)`, `reversed(...)`, `enumerate(...)` and their like."""
    while isinstance(node, ast.Call) and node.args and module.value(node.func).names & _WRAPPING:
        node = node.args[0]
    return node
