"""BW213, BW214: one session for several tasks, and changes of rows that nobody chose."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.effects import SESSIONS
from admission.source.match import calls, method, name_of, named, origins
from admission.source.outbound import is_group
from admission.source.rules.rows import is_session_call
from admission.source.rules.sizes import only_sometimes, pieces_of
from admission.source.tree import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()


@registry.rule("BW213", "One session for several tasks")
def side_by_side(module: Module) -> Iterator[Fault]:
    """Point at tasks that run at once and ask the database by the same session."""
    message = "These run at once by one session, which has one connection: the second fails, or reads what belongs to the first."
    mend = "One after another, `first = await session.scalar(...)`, `second = await session.scalar(...)`; or one statement that answers both."
    groups: dict[str, list[Call]] = {}
    for call in calls(module):
        if named(call, {"asyncio.gather", "asyncio.wait"}) and _uses(module, call) > 1:
            yield Fault(call.node, message, mend)
        elif (
            method(call) in {"create_task", "start_soon"}
            and is_group(call)
            and any(_asks(module, argument) for argument in call.node.args)
        ):
            receiver = call.node.func.value if isinstance(call.node.func, ast.Attribute) else None
            groups.setdefault(f"{name_of(receiver)} {id(module.function_of(call.node))}", []).append(call)
    for started in groups.values():
        looped = any(
            isinstance(parent, ast.For | ast.comprehension | ast.ListComp)
            for parent in module.ancestors(started[0].node)
        )
        if len(started) > 1 or looped:
            yield Fault(started[-1].node, message, mend)


def _uses(module: Module, call: Call) -> int:
    """Return how many of the gathered ask by the request's session; of what a loop makes, two."""
    many = 0
    for argument in call.node.args:
        node = argument.value if isinstance(argument, ast.Starred) else argument
        pieces = origins(module, node) if isinstance(argument, ast.Starred) else [node]
        if any(_asks(module, piece) for piece in pieces):
            many += 2 if isinstance(argument, ast.Starred) else 1
    return many


def _asks(module: Module, node: ast.expr) -> bool:
    """Return whether an expression asks the database by a session, or hands one to what does."""
    for part in inside(node):
        call = module.calls.get(part) if isinstance(part, ast.Call) else None
        if call is None:
            continue
        if call.receiver.types & SESSIONS or any(
            value.types & SESSIONS for value in (*call.args, *call.keywords.values())
        ):
            return True
        if any(
            other.receiver.types & SESSIONS
            for function in call.functions
            for other in module.calls_by_function.get(function, [])
        ):
            return True
    return False


_CHOOSING: Final = frozenset({"where", "filter", "filter_by"})


@registry.rule("BW214", "A change of rows that nobody chose")
def unconditional(module: Module) -> Iterator[Fault]:
    """Point at statements that delete or change every row of a shared table, at least where no filter is given."""
    for call in calls(module):
        if not is_session_call(call) or method(call) not in {"execute", "scalar", "scalars"} or not call.node.args:
            continue
        pieces = pieces_of(module, call.node.args[0])
        parts = [part for piece in pieces for part in inside(piece) if isinstance(part, ast.Call)]
        verbs = {
            name.rpartition(".")[2]
            for part in parts
            for name in module.value(part.func).names
            if name in {"sqlalchemy.delete", "sqlalchemy.update"} and _is_shared(module, part)
        }
        if not verbs:
            continue
        chosen = [part for part in parts if isinstance(part.func, ast.Attribute) and part.func.attr in _CHOOSING]
        if any(not _may_be_none(module, part, call.node) for part in chosen) or (verbs == {"update"} and not chosen):
            continue
        yield Fault(
            call.node,
            "This reaches every row of a table that all share, at least when the client gives no filter.",
            'Ask for one: a filter without a default, or `if not filters: raise HTTPException(422, "Say which.")`.',
        )


def _is_shared(module: Module, made: ast.Call) -> bool:
    return any(
        module.is_table(name) and not module.is_owned(name)
        for argument in made.args[:1]
        for name in module.value(argument).names
    )


def _may_be_none(module: Module, chosen: ast.Call, query: ast.AST) -> bool:
    """Return whether a condition may be none at all: on a branch, or out of a list that begins empty and need not grow."""
    if only_sometimes(module, chosen, query):
        return True
    spread = [argument.value for argument in chosen.args if isinstance(argument, ast.Starred)]
    if len(spread) < len(chosen.args) or chosen.keywords or not spread:
        return False
    return all(isinstance(node, ast.Name) and _may_stay_empty(module, node) for node in spread)


def _may_stay_empty(module: Module, node: ast.Name) -> bool:
    function = module.function_of(node)
    given = module.given.get((function, node.id), [])
    if not given or not all(isinstance(each, ast.List) and not each.elts for each in given):
        return False
    for part in inside(function or module.tree):
        if (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr in {"append", "extend"}
            and name_of(part.func.value) == node.id
            and not any(isinstance(parent, ast.If) for parent in module.ancestors(part))
        ):
            return False
        if (
            isinstance(part, ast.If)
            and any(isinstance(step, ast.Raise) for step in part.body)
            and any(isinstance(inner, ast.Name) and inner.id == node.id for inner in inside(part.test))
        ):
            return False
    return True
