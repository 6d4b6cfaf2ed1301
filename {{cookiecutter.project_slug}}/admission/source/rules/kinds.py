"""BW412, BW413: times without a zone, money in floats."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.contract import taken
from admission.source.declare import Fault, Registry
from admission.source.match import calls, is_constant, method, name_of, named
from admission.source.tree import inside
from admission.source.words import is_money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_UTC_NAIVE: Final = frozenset(
    {"datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp", "datetime.datetime.today"}
)
_NEEDS_ZONE: Final = {
    "datetime.datetime.now": 0,
    "datetime.datetime.fromtimestamp": 1,
    "datetime.datetime": 7,
    "datetime.datetime.combine": 2,
}
_MEND: Final = "`datetime.now(UTC)`, with `from datetime import UTC, datetime`."
_MESSAGE: Final = (
    "This time has no zone. Compared with one that has, it raises; stored and read elsewhere, it is off by hours."
)


@registry.rule("BW412", "A time without a zone")
def naive(module: Module) -> Iterator[Fault]:
    """Point at datetimes without a zone."""
    for call in calls(module):
        yield from _naive_call(module, call)
    for attribute in module.walk(ast.Attribute):
        # Handed on to be called later: `default=datetime.utcnow`.
        called = isinstance(module.parents.get(attribute), ast.Call)
        if isinstance(attribute, ast.Attribute) and module.resolve(attribute) in _UTC_NAIVE and not called:
            yield Fault(attribute, _MESSAGE, _MEND)
    for item in taken(module):
        mend = f"`{item.name}: AwareDatetime`, from pydantic."
        if "datetime.datetime" in item.annotation.types and "validator" not in item.bounds:
            yield Fault(item.node, f"`{item.name}` may come with or without a zone.", mend, "remark")
        elif "pydantic.NaiveDatetime" in item.annotation.types:
            zoned, wrong = _given_a_zone(module, item.name)
            if not zoned:
                yield Fault(item.node, _MESSAGE, mend)
            for given in wrong:
                message = "A time by somebody's clock on the wall is taken for UTC. It is off by the hours between, and by another number of them in summer."
                yield Fault(
                    given,
                    message,
                    "`wanted.local.replace(tzinfo=ZoneInfo(place.zone)).astimezone(UTC)`, with the zone of the place.",
                )


def _given_a_zone(module: Module, name: str) -> tuple[bool, list[ast.Call]]:
    """Return whether each use of a wall-clock time reads a part of it or gives it a zone, and where that zone is UTC."""
    zoned, wrong = False, []
    for use in module.walk(ast.Attribute, ast.Name):
        if not isinstance(use, ast.Attribute | ast.Name) or name_of(use) != name or not isinstance(use.ctx, ast.Load):
            continue
        read = module.parents.get(use)
        if not isinstance(read, ast.Attribute) or (read.attr not in _PARTS and not _gets_zone(module, use)):
            return False, []
        call = module.parents.get(read)
        zones = (
            [keyword.value for keyword in call.keywords if keyword.arg == "tzinfo"]
            if isinstance(call, ast.Call)
            else []
        )
        if isinstance(call, ast.Call) and any(module.value(zone).names & _UTC for zone in zones):
            wrong.append(call)
        zoned = zoned or (bool(zones) and call not in wrong)
    return zoned, wrong


_PARTS: Final = frozenset(
    {"year", "month", "day", "hour", "minute", "second", "microsecond", "weekday", "isoweekday", "date", "time", "fold"}
)
_UTC: Final = frozenset({"datetime.UTC", "datetime.timezone.utc"})


def _naive_call(module: Module, call: Call) -> Iterator[Fault]:
    handed = {name for value in (*call.args, *call.keywords.values()) for name in value.names}
    zoned = _gets_zone(module, call.node)
    name = named(call, _NEEDS_ZONE)
    if named(call, _UTC_NAIVE) or handed & _UTC_NAIVE or (handed & _HANDED and not _hands_zone(call)):
        if not zoned:
            yield Fault(call.node, _MESSAGE, _MEND)
    elif name is not None and not zoned and not _has_zone(call, _NEEDS_ZONE[name]):
        yield Fault(call.node, _MESSAGE, _MEND)
    elif named(call, {"datetime.datetime.strptime"}) and not zoned and "%z" not in _format(call):
        yield Fault(call.node, _MESSAGE, "`datetime.strptime(text, pattern).replace(tzinfo=UTC)`.")
    elif method(call) == "replace" and is_constant(call.keywords.get("tzinfo"), None):
        yield Fault(call.node, _MESSAGE, "Keep the zone; convert with `.astimezone(UTC)`.")
    elif named(call, {"datetime.date.today"}):
        message = "Which day it is depends on where this process runs."
        yield Fault(call.node, message, "`datetime.now(UTC).date()`.", "remark")


_HANDED: Final = frozenset({"datetime.datetime.now", "datetime.datetime.fromtimestamp", "datetime.datetime.combine"})


def _hands_zone(call: Call) -> bool:
    """Return whether a zone is handed on too: `partial(datetime.now, UTC)`, `map(datetime.fromtimestamp, seconds, repeat(UTC))`."""
    if not call.keywords.keys().isdisjoint({"tz", "tzinfo", "**"}):
        return True
    given = {
        name
        for value in call.args
        for part in (value, value.items)
        if part is not None
        for name in (*part.names, *part.types)
    }
    return any(
        name.startswith(("datetime.UTC", "datetime.timezone", "zoneinfo.", "itertools.repeat")) for name in given
    )


def _has_zone(call: Call, position: int) -> bool:
    said = call.argument(position, "tz", "tzinfo")
    return (said is not None and not is_constant(said, None)) or "**" in call.keywords


def _gets_zone(module: Module, node: ast.AST) -> bool:
    parent = module.parents.get(node)
    outer = module.parents.get(parent) if parent is not None else None
    if not isinstance(parent, ast.Attribute) or not isinstance(outer, ast.Call):
        return False
    if parent.attr == "replace":
        return any(
            keyword.arg == "tzinfo" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)
            for keyword in outer.keywords
        )
    return parent.attr == "astimezone"


def _format(call: Call) -> str:
    said = call.argument(1)
    return str(said.constant.value) if said is not None and said.constant is not None else ""


_FLOATS: Final = frozenset(
    {"builtins.float"}
    | {f"pydantic.{name}" for name in ("PositiveFloat", "NonNegativeFloat", "confloat", "FiniteFloat", "StrictFloat")}
)


@registry.rule("BW413", "Money in a float")
def float_money(module: Module) -> Iterator[Fault]:
    """Point at amounts of money in binary floating point."""
    message = "Money in a float loses cents: 0.1 + 0.2 is not 0.3, and sums of many do not add up."
    mend = "`Decimal`, with `Field(ge=0, max_digits=12, decimal_places=2)` and `Numeric(12, 2)`; or whole cents in an `int`."
    for node in (*_declared_floats(module), *_assigned_floats(module), *_computed_floats(module)):
        yield Fault(node, message, mend)


def _declared_floats(module: Module) -> Iterator[ast.AST]:
    """Yield fields, columns, parameters, and functions that give an amount."""
    for node in module.walk(ast.AnnAssign, ast.arg, ast.FunctionDef, ast.AsyncFunctionDef):
        name, annotation = _declared(node)
        if annotation is not None and is_money(name):
            said = module.annotation(annotation)
            parts = [said, said.items, said.items.items if said.items else None]
            if any(part is not None and part.types & _FLOATS for part in parts) or _is_float_column(module, node):
                yield node


def _assigned_floats(module: Module) -> Iterator[ast.AST]:
    """Yield what is given to a name, a keyword or a key."""
    for assign in module.walk(ast.Assign):
        if not isinstance(assign, ast.Assign) or not any(is_money(name_of(target)) for target in assign.targets):
            continue
        if _makes_float(module, assign.value) or _calls_float_column(module, assign.value):
            yield assign
    given = [(keyword.arg, keyword.value) for keyword in module.walk(ast.keyword) if isinstance(keyword, ast.keyword)]
    given += [
        (str(key.value), value)
        for value, key in module.keys.items()
        if isinstance(key, ast.Constant) and isinstance(value, ast.expr)
    ]
    yield from (value for name, value in given if name and is_money(name) and _makes_float(module, value))


def _computed_floats(module: Module) -> Iterator[ast.AST]:
    """Yield sums and products of an amount with a float, and amounts that are made floats."""
    for operation in module.walk(ast.BinOp):
        if isinstance(operation, ast.BinOp) and isinstance(operation.op, ast.Mult | ast.Div | ast.Add | ast.Sub):
            sides = (operation.left, operation.right)
            if any(_is_float_factor(module, side) for side in sides) and any(_is_amount(side) for side in sides):
                yield operation
    for call in calls(module):
        if named(call, {"builtins.float"}) and call.node.args and _is_amount(call.node.args[0]):
            yield call.node
        factors = _multiplied(call)
        if any(_is_amount(factor) for factor in factors) and any(
            _is_float_factor(module, part) for factor in factors for part in _elements(factor)
        ):
            yield call.node


def _multiplied(call: Call) -> list[ast.expr]:
    """Return what `reduce(operator.mul, factors, price)` and `math.prod(factors, start=price)` multiply or add."""
    if (
        named(call, {"functools.reduce"})
        and call.args
        and call.args[0].names & {"operator.mul", "operator.truediv", "operator.add"}
    ):
        return call.node.args[1:]
    if named(call, {"math.prod", "builtins.sum", "math.sumprod"}):
        return [*call.node.args, *(keyword.value for keyword in call.node.keywords)]
    return []


def _elements(node: ast.expr) -> list[ast.expr]:
    """Return what stands in a list or comprehension; else the expression itself."""
    if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
        return [node.elt]
    return node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else [node]


def _declared(node: ast.AST) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.annotation
    if isinstance(node, ast.arg):
        return node.arg, node.annotation
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name, node.returns
    return "", None


def _is_float_column(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and node.value is not None and _calls_float_column(module, node.value)


def _calls_float_column(module: Module, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    floats = {"sqlalchemy.Float", "sqlalchemy.REAL", "sqlalchemy.Double", "sqlalchemy.FLOAT", "sqlalchemy.types.Float"}
    return any(
        (module.resolve(part) or "") in floats
        for argument in node.args
        for part in inside(argument)
        if isinstance(part, ast.Name | ast.Attribute)
    )


def _is_float(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def _is_float_factor(module: Module, node: ast.expr) -> bool:
    """A float as it stands or under a name, `RATE = 0.19`, or a quotient, `1 - percent / 100`; not one whose value nobody knows, which may be a time."""
    said = module.value(node).constant
    return _is_float(node) or (said is not None and isinstance(said.value, float)) or _is_quotient(module, node)


def _is_quotient(module: Module, node: ast.expr) -> bool:
    """Return whether a number is divided with `/`, which gives a float unless one side is exact."""
    if not isinstance(node, ast.BinOp):
        return False
    if isinstance(node.op, ast.Div) and not _is_amount(node.left):
        return not any(_is_exact(module, part) for part in inside(node))
    return isinstance(node.op, ast.Add | ast.Sub | ast.Mult) and (
        _is_quotient(module, node.left) or _is_quotient(module, node.right)
    )


def _is_exact(module: Module, node: ast.AST) -> bool:
    """Return whether an expression is, or may be, a number or path that `/` leaves exact: a Decimal, a Fraction, a column."""
    value = module.value(node)
    kinds = value.types | value.names
    return (
        any(
            kind.startswith(("decimal.", "fractions.", "pathlib.", "datetime.", "sqlalchemy.", "app."))
            for kind in kinds
        )
        or "row" in value.labels
    )


def _makes_float(module: Module, node: ast.expr) -> bool:
    if _is_float(node):
        return True
    if isinstance(node, ast.Call):
        names = module.value(node.func).names
        if "builtins.float" in names:
            return True
        if "builtins.round" in names or "builtins.sum" in names:
            return any(_makes_float(module, each) for argument in node.args for each in _elements(argument)) or any(
                isinstance(part, ast.expr) and _is_float(part) for argument in node.args for part in inside(argument)
            )
    if isinstance(node, ast.BinOp):
        return _makes_float(module, node.left) or _makes_float(module, node.right)
    return "builtins.float" in module.value(node).types and not isinstance(node, ast.Constant)


def _is_amount(node: ast.expr) -> bool:
    while isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    if isinstance(node, ast.BinOp):
        return _is_amount(node.left) or _is_amount(node.right)
    return is_money(name_of(node))
