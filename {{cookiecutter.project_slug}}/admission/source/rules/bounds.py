"""BW401 to BW404, BW421: what clients send has a size."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.annotations import UNKNOWN, Annotation, calls_in
from admission.source.contract import (
    LENGTH,
    OPEN,
    UPPER,
    Taken,
    bounds_collection,
    bounds_number,
    bounds_of,
    bounds_text,
    is_helper,
    is_number,
    is_text,
    taken,
)
from admission.source.declare import Fault, Registry
from admission.source.match import calls, name_of, named
from admission.source.rules.sizes import is_measured
from admission.source.tree import inside, is_inside
from admission.source.validators import pattern_bounds
from admission.source.values import INPUT, ROW, SHAPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module
    from admission.source.values import Function

registry = Registry()

_PAGE: Final = re.compile(
    r"^(limit|page|page_size|pagesize|page_number|per_page|size|offset|skip|take|top|first|last|count|max_results|batch_size|num|n|page_no|rows|pagination_limit|max_items)$"
)
_VALIDATING: Final = frozenset(
    {"model_validate", "validate_python", "parse_obj", "model_validate_json", "validate_json"}
)
_BY_SERVER: Final = frozenset({"path", "header", "cookie"})
"""The server bounds the request line and the headers, so these texts are bounded too, if loosely."""


def _shown(item: Taken) -> str:
    return f"`{item.name}`"


@registry.rule("BW401", "A text without a bound")
def text(module: Module) -> Iterator[Fault]:
    """Point at texts that may have any length."""
    named: dict[ast.expr, None] = {}
    for item in taken(module):
        for part, inner in _parts(item):
            if not is_text(part) or (item.source == "file" and not part.types & {"builtins.bytes"}):
                continue
            if inner and _inner_bounded(module, part):
                continue
            if not inner and bounds_text(module, item):
                continue
            yield Fault(
                item.node,
                f"{_shown(item)} may be a text of any length. It is parsed, kept, compared and logged at the cost that the client chooses.",
                _text_mend(item),
                "remark" if item.source in _BY_SERVER else None,
            )
            named |= dict.fromkeys(_aliases(module, item)) if item.source not in _BY_SERVER else {}
            break
    named |= dict.fromkeys(_declared_for_others(module)) if is_helper(module) else {}
    for alias in named:
        yield Fault(
            alias,
            "What is declared so may be a text of any length.",
            "Bound it here, for all who use it: `Annotated[str, Field(max_length=200)]`.",
        )


def _declared_for_others(module: Module) -> Iterator[ast.expr]:
    """Yield the texts without a bound that a helper declares for what handlers take: with a validator or `Query()` in them."""
    for alias in module.aliases.values():
        said = module.annotation(alias) if isinstance(alias, ast.Subscript) else UNKNOWN
        taken_in = any((module.resolve(marker.func) or "").rpartition(".")[2] in _TAKING for marker in calls_in(said))
        if is_text(said) and taken_in and not _inner_bounded(module, said):
            yield alias


_TAKING: Final = frozenset(
    {
        "AfterValidator",
        "BeforeValidator",
        "WrapValidator",
        "PlainValidator",
        "StringConstraints",
        "Query",
        "Body",
        "Form",
    }
)


def _aliases(module: Module, item: Taken) -> Iterator[ast.expr]:
    """Yield what the names in an annotation stand for, where that is a text and says more than its type."""
    for part in (
        inside(item.node.annotation)
        if isinstance(item.node, ast.AnnAssign | ast.arg) and item.node.annotation is not None
        else ()
    ):
        alias = module.aliases.get(part.id) if isinstance(part, ast.Name) else None
        said = module.annotation(alias) if isinstance(alias, ast.Subscript | ast.Call) else UNKNOWN
        if alias is not None and is_text(said) and not _inner_bounded(module, said):
            yield alias


def _text_mend(item: Taken) -> str:
    """Return the line to write instead, which keeps the default that stands there."""
    default = getattr(item.node, "value", None)
    if isinstance(default, ast.Call):
        default = next(
            (keyword.value for keyword in default.keywords if keyword.arg == "default"),
            default.args[0] if default.args else None,
        )
    kept = ast.unparse(default) if isinstance(default, ast.Constant) and default.value is not ... else ""
    kind = "str | None" if kept == "None" else "str"
    field = f"{item.name}: {kind} = Field({f'default={kept}, ' if kept else ''}max_length=200)"
    return f"`{field}`; for a parameter `Annotated[str, Query(max_length=200)]`; in a list `list[Annotated[str, Field(max_length=50)]]`."


def _parts(item: Taken) -> Iterator[tuple[Annotation, bool]]:
    """Yield what an annotation says of the value and of its elements."""
    yield item.annotation, False
    waiting = [part for part in (item.annotation.items, item.annotation.keys) if part is not None]
    depth = 0
    while waiting and depth < 20:
        part = waiting.pop()
        depth += 1
        yield part, True
        waiting += [inner for inner in (part.items, part.keys) if inner is not None]


def _inner_bounded(module: Module, part: Annotation) -> bool:
    bounds = bounds_of(module, list(calls_in(part)))
    return bool(bounds.keys() & (LENGTH | UPPER | {"validator"})) or pattern_bounds(module, bounds)


@registry.rule("BW402", "A number without a bound")
def number(module: Module) -> Iterator[Fault]:
    """Point at numbers that may have any size."""
    for item in taken(module):
        for part, inner in _parts(item):
            if not is_number(part) or (not inner and _PAGE.match(item.name)) or part.types & {"builtins.bool"}:
                continue
            if (inner and _inner_bounded(module, part)) or (not inner and bounds_number(module, item)):
                if (
                    not inner
                    and item.source not in _BY_SERVER
                    and not item.bounds.keys() & {"ge", "gt", "validator", "multiple_of", "max_digits"}
                    and item.bounds.keys() & {"le", "lt"}
                ):
                    yield Fault(
                        item.node,
                        f"{_shown(item)} may be negative, as low as the client likes.",
                        f"`{item.name}: int = Field(ge=0, le=1000)`.",
                        None if _is_counted(module, item) else "remark",
                    )
                continue
            yield Fault(
                item.node,
                f"{_shown(item)} may be a number of any size. A column overflows, a multiplication grows, a loop runs as long as the client likes.",
                f"`{item.name}: int = Field(ge=0, le=1_000_000)`; for money `Decimal = Field(ge=0, max_digits=12, decimal_places=2)`.",
                "remark" if inner or item.source in _BY_SERVER else None,
            )
            break
    yield from _spans(module)


def _is_counted(module: Module, item: Taken) -> bool:
    """Return whether a number is taken off what a row holds, or put onto it: a negative one goes the other way.

    Unless the code looks at its sign somewhere.
    """
    for part in module.walk(ast.Compare):
        sides = [part.left, *part.comparators] if isinstance(part, ast.Compare) else []
        if any(name_of(side) == item.name for side in sides) and any(
            isinstance(side, ast.Constant) and side.value in {0, 1} for side in sides
        ):
            return False
    for part in module.walk(ast.BinOp, ast.AugAssign):
        if not isinstance(part, ast.BinOp | ast.AugAssign) or not isinstance(part.op, ast.Add | ast.Sub):
            continue
        held, by = (part.left, part.right) if isinstance(part, ast.BinOp) else (part.target, part.value)
        owners = module.value(held.value).names if isinstance(held, ast.Attribute) else frozenset()
        kept = isinstance(held, ast.Attribute) and (
            ROW in module.value(held.value).labels or any(module.is_table(name) for name in owners)
        )
        if kept and name_of(by) == item.name and module.value(by).labels & {INPUT, SHAPED}:
            return True
    return False


def _spans(module: Module) -> Iterator[Fault]:
    """Point at loops over all days between two that the client names, which may be thousands of years apart."""
    message = "How far these two are apart is the client's choice: from the year 1 to 9999 there are three and a half million days."
    mend = "Measure it first: `if not 0 <= (last - first).days < MAX_DAYS: raise HTTPException(422, ...)`."
    for call in calls(module):
        for part in (
            (part for argument in call.node.args for part in inside(argument))
            if named(call, {"builtins.range"})
            else ()
        ):
            if (
                isinstance(part, ast.BinOp)
                and isinstance(part.op, ast.Sub)
                and _are_days(module, part.left, part.right)
                and not _is_capped(module, part)
                and not is_measured(module, {name_of(part.left), name_of(part.right)})
            ):
                yield Fault(call.node, message, mend)
                for made in (module.statement_of(call.node),):
                    held = name_of(made.targets[0]) if isinstance(made, ast.Assign) else ""
                    yield from (
                        Fault(each.iter, message, mend)
                        for each in module.walk(ast.For, ast.comprehension)
                        if isinstance(each, ast.For | ast.comprehension)
                        and held
                        and name_of(each.iter) == held
                        and module.function_of(each.iter) is module.function_of(call.node)
                    )
    for loop in module.walk(ast.While):
        test = loop.test if isinstance(loop, ast.While) else None
        if (
            not isinstance(loop, ast.While)
            or not isinstance(test, ast.Compare)
            or not isinstance(test.left, ast.Name)
            or not isinstance(test.ops[0], ast.Lt | ast.LtE)
        ):
            continue
        steps = [
            part
            for step in loop.body
            for part in inside(step)
            if isinstance(part, ast.AugAssign | ast.Assign)
            and name_of(part.target if isinstance(part, ast.AugAssign) else part.targets[0]) == test.left.id
        ]
        begins = [
            given
            for given in module.given.get((module.function_of(loop), test.left.id), [])
            if _are_days(module, given, test.comparators[0])
        ]
        if steps and any(
            not is_measured(module, {name_of(given), name_of(test.comparators[0])})
            for given in begins
            if name_of(given)
        ):
            yield Fault(loop.test, message, mend)


def _is_capped(module: Module, node: ast.AST) -> bool:
    """`min((last - first).days, 60)`."""
    return any(
        isinstance(parent, ast.Call) and "builtins.min" in module.value(parent.func).names
        for parent in module.ancestors(node)
    )


def _are_days(module: Module, *nodes: ast.expr) -> bool:
    values = [module.value(node) for node in nodes]
    return all(
        value.labels & {INPUT, SHAPED}
        and ROW not in value.labels
        and value.types & {"datetime.date", "datetime.datetime", "pydantic.AwareDatetime"}
        for value in values
    )


@registry.rule("BW403", "A list without a bound")
def collection(module: Module) -> Iterator[Fault]:
    """Point at lists and dictionaries that may have any number of elements."""
    for item in taken(module):
        for part, inner in _parts(item):
            if (
                not part.container
                or part.types & {"builtins.tuple", "typing.Tuple"}
                or (item.source in {"header", "cookie", "path"})
            ):
                continue
            if (inner and _inner_bounded(module, part)) or (not inner and bounds_collection(module, item)):
                continue
            if part.items is None and part.types & OPEN:
                continue  # BW421 speaks of it
            yield Fault(
                item.node,
                f"{_shown(item)} may have any number of elements. Each costs validation, memory, and mostly a row or a call.",
                f"`{item.name}: list[Item] = Field(min_length=1, max_length=100)`; for a parameter `Annotated[list[Item], Body(max_length=100)]`.",
            )
            break


@registry.rule("BW404", "A page without a bound")
def page(module: Module) -> Iterator[Fault]:
    """Point at page sizes and offsets that may have any size."""
    for item in taken(module):
        if (
            is_number(item.annotation)
            and _PAGE.match(item.name)
            and not bounds_number(module, item)
            and item.source != "path"
        ):
            yield Fault(
                item.node,
                f"{_shown(item)} may have any size. One request then reads, and answers with, a whole table.",
                f"`{item.name}: Annotated[int, Query(ge=1, le=100)] = 20`; go on by key rather than by offset.",
            )


@registry.rule("BW421", "A body without a model")
def untyped(module: Module) -> Iterator[Fault]:
    """Point at bodies and fields that may be anything."""
    mend = 'Declare a model whose fields are bounded: `class NoteIn(BaseModel): model_config = ConfigDict(extra="forbid")`.'
    for item in taken(module):
        if item.source in {"path", "header", "cookie", "file"}:
            continue
        for part, _ in _parts(item):
            if (part.types & OPEN and (part.items is None or part.types & {"typing.Any", "builtins.object"})) or (
                item.source == "body" and part is item.annotation and part is UNKNOWN
            ):
                yield Fault(
                    item.node,
                    f"{_shown(item)} may be anything, nested as deeply and as large as the client likes.",
                    mend,
                )
                break
            if item.annotation.container and part.types & {"typing.Any", "builtins.object"}:
                yield Fault(item.node, f"What is in {_shown(item)} may be anything.", mend)
                break
    for call in calls(module):
        if named(call, {"fastapi.Request.json", "fastapi.Request.body"}) and not _is_validated(module, call.node):
            yield Fault(
                call.node,
                "This body is read past all models: anything may be in it, and whatever the code does not expect becomes a 500.",
                mend,
            )


def _is_validated(module: Module, node: ast.AST, seen: dict[tuple[ast.AST, str], bool] | None = None) -> bool:  # noqa: PLR0911 - one for each kind
    """Return whether what was read goes straight into a model, or is only weighed: signed, hashed, measured."""
    child, seen = node, {} if seen is None else seen
    for parent in module.ancestors(node):
        if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "decompress":
            return True  # BW407 asks for its bound
        if isinstance(parent, ast.Call) and any(
            name.startswith(("hmac.", "hashlib.", "builtins.len")) for name in module.value(parent.func).names
        ):
            return True  # a signature is over the bytes as they came; the body limit bounds them
        if (
            isinstance(parent, ast.Call)
            and child is not parent.func
            and any(
                _name_is_validated(module, made.node, taker, seen) for made, taker in _takers(module, parent, child)
            )
        ):
            return True
        if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr in _VALIDATING:
            return True
        if (
            isinstance(parent, ast.Call)
            and any(keyword.arg is None and is_inside(node, keyword.value) for keyword in parent.keywords)
            and any(name in module.classes and module.is_model(name) for name in module.value(parent.func).names)
        ):
            return True
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
            function = module.function_of(node)
            return function is not None and _name_is_validated(module, function, parent.targets[0].id, seen)
        child = parent
    return False


def _name_is_validated(module: Module, function: ast.AST, name: str, seen: dict[tuple[ast.AST, str], bool]) -> bool:
    """Return whether what a name of a function holds goes into a model, or every use of it is harmless."""
    if (function, name) not in seen:
        seen[function, name] = True  # a function that calls itself with it does nothing more
        uses = [
            part
            for part in inside(function)
            if isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
        ]
        seen[function, name] = any(_is_read_into_model(module, use) for use in uses) or (
            bool(uses) and all(_is_validated(module, use, seen) for use in uses)
        )
    return seen[function, name]


def _is_read_into_model(module: Module, use: ast.Name) -> bool:
    call = module.parents.get(use)
    return (
        isinstance(call, ast.Call)
        and use in call.args
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in _VALIDATING
    )


def _takers(module: Module, call: ast.Call, argument: ast.AST) -> Iterator[tuple[Function, str]]:
    """Yield the functions of this module that a call calls, each with the name under which it takes an argument."""
    for made in module.value(call.func).functions:
        names = [each.arg for each in (*made.node.args.posonlyargs, *made.node.args.args)][len(made.bound) :]
        for name, given in zip(names, call.args, strict=False):
            if given is argument:
                yield made, name
        for keyword in call.keywords:
            if keyword.arg and (keyword is argument or keyword.value is argument):
                yield made, keyword.arg
