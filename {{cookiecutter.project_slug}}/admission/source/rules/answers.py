"""BW408, BW409: what leaves the service has a model that names it."""

from __future__ import annotations

import ast
import itertools
import re
from typing import TYPE_CHECKING, Final

from admission.source.contract import answer_models, answer_of, config_of, input_models
from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, name_of
from admission.source.module import is_function
from admission.source.routes import prefix_of
from admission.source.tree import inside
from admission.source.values import COLUMNS, ROW
from admission.source.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.annotations import Annotation
    from admission.source.module import Module
    from admission.source.routes import Route

registry = Registry()

_RAW: Final = frozenset(
    {"fastapi.responses.JSONResponse", "fastapi.responses.ORJSONResponse", "fastapi.responses.UJSONResponse"}
)
_OTHER: Final = frozenset(
    {
        "fastapi.Response",
        *(
            f"fastapi.responses.{kind}"
            for kind in (
                "StreamingResponse",
                "FileResponse",
                "RedirectResponse",
                "HTMLResponse",
                "PlainTextResponse",
                "EventSourceResponse",
            )
        ),
    }
)
_OPEN: Final = frozenset(
    {
        "typing.Any",
        "builtins.object",
        "builtins.dict",
        "typing.Dict",
        "builtins.list",
        "typing.List",
        "typing.Mapping",
        "collections.abc.Mapping",
        "sqlalchemy.Row",
        "sqlalchemy.engine.Row",
        "builtins.tuple",
    }
)
_HIDDEN: Final = frozenset(
    {
        "password",
        "passwd",
        "hash",
        "hashed",
        "ssn",
        "cvv",
        "cvc",
        "internal",
        "totp",
        "otp",
        "secret",
        "pwd",
        "passcode",
        "pin",
    }
)
_ABOUT: Final = frozenset(
    [
        "hint",
        "at",
        "set",
        "enabled",
        "count",
        "required",
        "expires",
        "type",
        "length",
        "limit",
        "attempts",
        "policy",
        "strength",
        "pattern",
        "algorithm",
        "ttl",
        "lifetime",
    ]
)
"""What `password_length` or `token_hash_algorithm` hold is not the secret."""

_HASHES: Final = frozenset({"hash", "hashed"})
_HASHED: Final = frozenset(
    {
        "token",
        "key",
        "code",
        "session",
        "pass",
        "credential",
        "credentials",
        "api",
        "login",
        "auth",
        "card",
        "email",
        "phone",
    }
)
"""Beside `hash`: of a secret, or of what few enough people have that its hash can be guessed back."""

_PEOPLE: Final = frozenset(
    {
        "user",
        "account",
        "member",
        "customer",
        "employee",
        "person",
        "profile",
        "login",
        "credential",
        "identity",
        "admin",
        "device",
        "session",
        "token",
        "key",
    }
)
_DIGITS: Final = frozenset({"pin", "otp", "totp", "cvv", "cvc", "passcode", "ssn", "internal"})
_HIDDEN_PAIRS: Final = (
    ("private", "key"),
    ("card", "number"),
    ("cost", "price"),
    ("social", "security"),
    ("credit", "card"),
    ("reset", "token"),
    ("refresh", "token"),
    ("is", "superuser"),
    ("risk", "score"),
    ("fraud", "score"),
    ("api", "key"),
    ("deleted", "at"),
    ("stripe", "id"),
    ("two", "factor"),
    ("mfa", "seed"),
)


@registry.rule("BW408", "An answer without a model")
def no_model(module: Module) -> Iterator[Fault]:
    """Point at routes whose answer may hold anything."""
    for route in module.routes:
        if _is_free_form(module, route):
            continue
        annotation = answer_of(module, route.node, route.options)
        filled = annotation.items if not annotation.container else None
        if _is_open(annotation) or (filled is not None and bool(filled.types) and _is_open(filled)):
            yield _fault(route)


def _fault(route: Route) -> Fault:
    model = _model_name(route)
    return Fault(
        route.registration,
        f"Nothing says what `{route.node.name}` answers. A column that is added to a table tomorrow goes out to every client, and OpenAPI promises nothing.",
        f"Name it: `async def {route.node.name}(...) -> {model}:`, with `class {model}(BaseModel)` that lists what may leave.",
    )


def _model_name(route: Route) -> str:
    """Return a name for an answer's model: of the last constant part of the path, else of the handler."""
    said = [part for part in route.path.split("/") if re.fullmatch(r"[A-Za-z][A-Za-z_-]*", part)]
    parts = list(words(said[-1] if said else route.node.name))
    if (
        parts
        and said
        and len(parts[-1]) > _SHORTEST
        and parts[-1].endswith("s")
        and not parts[-1].endswith(("ss", "us", "is"))
    ):
        parts[-1] = f"{parts[-1][:-3]}y" if parts[-1].endswith("ies") else parts[-1][:-1]
    return f"{''.join(part.capitalize() for part in parts)}Out"


_SHORTEST: Final = 3
"""Letters. A shorter word that ends in `s` is no plural."""


def _is_free_form(module: Module, route: Route) -> bool:
    """Return whether a route answers something that has no model: nothing, a file, a stream, a page."""
    status = route.options.get("status_code")
    said = module.value(status)
    if (isinstance(status, ast.Constant) and status.value in {204, 205, 304}) or any(
        name.endswith("204_NO_CONTENT") for name in said.names
    ):
        return True
    if set(route.methods) <= {"OPTIONS", "HEAD"} and route.methods:
        return True
    response_class = route.options.get("response_class")
    if (
        response_class is not None
        and not (module.value(response_class).names | {module.resolve(response_class) or ""}) & _RAW
    ):
        return True
    returned = module.annotation(route.node.returns)
    if returned.types & _OTHER or any(
        kind.rpartition(".")[2].endswith("Response") and kind not in _RAW for kind in returned.types
    ):
        return not _returns_raw(module, route)
    return _is_none(route.node.returns) or (
        route.node.returns is None and "response_model" not in route.options and _answers_only(module, route)
    )


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _returned(route: Route, module: Module) -> list[ast.expr]:
    return [
        part.value
        for part in inside(route.node)
        if isinstance(part, ast.Return) and part.value is not None and module.function_of(part) is route.node
    ]


def _answers_only(module: Module, route: Route) -> bool:
    """Return whether everything a handler returns is a finished response of a kind without a model."""
    returned = _returned(route, module)
    return bool(returned) and all(module.value(node).types & _OTHER for node in returned)


def _returns_raw(module: Module, route: Route) -> bool:
    return any(module.value(node).types & _RAW for node in _returned(route, module))


def _is_open(annotation: Annotation) -> bool:
    if annotation.types & _RAW or not (annotation.types or annotation.optional):
        return True
    if annotation.types & _OPEN:
        parts = annotation.items
        return parts is None or not (parts.types or parts.optional) or _is_open(parts)
    return annotation.container and annotation.items is not None and _is_open(annotation.items)


@registry.rule("BW409", "An answer that leaks columns")
def leaks(module: Module) -> Iterator[Fault]:
    """Point at answer models with fields that nobody outside may see, and at rows that are sent as they are."""
    mend = "Leave it out of the model, or `Field(exclude=True)`; answer with a model that lists what may leave: `NoteOut.model_validate(note)`."
    for node, message in (
        *_hidden_fields(module),
        *_open_answers(module),
        *_hidden_keys(module),
        *_columns_filled_in(module),
    ):
        yield Fault(node, message, mend)
    yield from _staff_notes(module)


def _hidden_fields(module: Module) -> Iterator[tuple[ast.AST, str]]:
    kept = {name for route in module.routes for name in _excluded(route)}
    fresh = _fresh_fields(module)
    for name in sorted(answer_models(module)):
        yield from _computed(module, name, kept)
        for field, declared in module.classes[name].fields.items() if not module.is_table(name) else ():
            if (
                any(_is_hidden(said, name) for said in (field, *_aliases(declared.value)))
                and not _only_counts(module, field, declared)
                and field not in kept
                and not _is_excluded(declared.value)
                and (name, field) not in fresh
                and not (_is_for_staff(field) and _goes_to_roles(module, name))
            ):
                yield declared, f"`{field}` goes out to every client that may read this."


def _staff_notes(module: Module) -> Iterator[Fault]:
    """Yield what the staff noted about somebody, in an answer: to that person if the path says so, else perhaps to the staff."""
    said_by_clients = {
        field for name in input_models(module) if name in module.classes for field in module.classes[name].fields
    }
    own = {
        name
        for route in module.routes
        if _OWN_PATH.search(f"{prefix_of(module, route)}{route.path}")
        for name in answer_models(module, route)
    }
    for name in sorted(answer_models(module)):
        for field, declared in module.classes[name].fields.items() if not module.is_table(name) else ():
            parts = words(field)
            if (
                set(parts[:-1]) & _STAFF
                and parts[-1] in _NOTES
                and field not in said_by_clients
                and not _is_excluded(declared.value)
            ):
                yield Fault(
                    declared,
                    f"`{field}` is what the staff noted{', and this answers whom it is about' if name in own else '. If this answers whom it is about, they read it'}.",
                    "Leave it out of this model; give the staff a model and a route of their own.",
                    None if name in own else "remark",
                )


_STAFF: Final = frozenset(
    {
        "recruiter",
        "recruiting",
        "staff",
        "admin",
        "interviewer",
        "agent",
        "support",
        "moderator",
        "adjuster",
        "underwriter",
        "backoffice",
        "hr",
        "hiring",
        "screening",
    }
)
_NOTES: Final = frozenset({"note", "notes", "memo", "memos"})
_OWN_PATH: Final = re.compile(r"/(my|me|mine)(?=[/_-]|$)")


def _aliases(node: ast.expr | None) -> Iterator[str]:
    """Yield the columns that a field is read from under another name: `Field(validation_alias="password_hash")`."""
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        if keyword.arg in {"alias", "validation_alias"}:
            yield from (
                part.value
                for part in inside(keyword.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def _computed(module: Module, name: str, kept: set[str]) -> Iterator[tuple[ast.AST, str]]:
    """Yield what a model computes for its answer out of a field that nobody may see, excluded or not."""
    for method in module.classes[name].methods.values():
        decorators = {name_of(part.func if isinstance(part, ast.Call) else part) for part in method.decorator_list}
        if not decorators & _ANSWERING or method.name in kept:
            continue
        if (
            "computed_field" in decorators
            and _is_hidden(method.name, name)
            and not module.annotation(method.returns).types & {"builtins.bool", "builtins.int"}
        ):
            yield method, f"`{method.name}` goes out to every client that may read this."
        for part in inside(method):
            if (
                isinstance(part, ast.Attribute)
                and name_of(part.value) == "self"
                and _is_hidden(part.attr, name)
                and _is_given_out(module, part, method)
            ):
                yield part, f"`{part.attr}` goes out to every client that may read this, by `{method.name}`."


_ANSWERING: Final = frozenset({"computed_field", "model_serializer", "field_serializer"})
"""Decorators of methods whose result is part of the answer."""


def _is_given_out(module: Module, node: ast.AST, method: ast.AST) -> bool:
    """Return whether a method returns an expression as it is, or in a text; not a test, a part or a hash of it."""
    child = node
    for parent in module.ancestors(node):
        if isinstance(parent, ast.Return):
            return True
        if (
            isinstance(parent, ast.Call)
            and child is not parent.func
            and not module.value(parent.func).names
            & {"builtins.str", "builtins.repr", "builtins.dict", "builtins.format"}
            and name_of(parent.func) not in {"join", "format"}
        ):
            return False
        if (
            isinstance(parent, ast.Compare | ast.UnaryOp | ast.Subscript)
            or (isinstance(parent, ast.IfExp) and child is parent.test)
            or parent is method
        ):
            return False
        child = parent
    return False


def _fresh_fields(module: Module) -> set[tuple[str, str]]:
    """Return model and field where every answer holds a secret that was made for it a moment ago: it is told once to who asked for it."""
    filled: dict[tuple[str, str], list[bool]] = {}
    for call in module.ordered_calls:
        for name in call.names & module.classes.keys():
            for keyword in call.node.keywords:
                if keyword.arg and set(words(keyword.arg)) & {"secret", "key"}:
                    filled.setdefault((name, keyword.arg), []).append(_is_fresh(module, keyword.value))
            read = any(keyword.arg is None for keyword in call.node.keywords) or bool(call.node.args)
            if read:
                filled.setdefault((name, ""), []).append(False)
        for dotted in call.names:
            owner, _, verb = dotted.rpartition(".")
            if verb in {"model_validate", "model_construct", "from_orm"}:
                filled.setdefault((owner, ""), []).append(False)
    return {key for key, told in filled.items() if key[1] and all(told) and (key[0], "") not in filled}


def _is_fresh(module: Module, node: ast.expr) -> bool:
    """Return whether a value was drawn from `secrets` in the same function."""
    pieces = [node, *(module.given.get((module.function_of(node), node.id), []) if isinstance(node, ast.Name) else [])]
    return any(
        isinstance(part, ast.Call) and any(name.startswith("secrets.token_") for name in module.value(part.func).names)
        for piece in pieces
        for part in inside(piece)
    )


def _hidden_keys(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield keys of a JSON answer that is put together by hand: no model looks at what goes out."""
    for call in module.calls.values():
        if not any(name.endswith("JSONResponse") for name in call.names):
            continue
        content = argument_node(call, 0, "content")
        for pair in (part for part in inside(content) if isinstance(part, ast.Dict)) if content is not None else ():
            for key, value in zip(pair.keys, pair.values, strict=True):
                if (
                    isinstance(key, ast.Constant)
                    and isinstance(key.value, str)
                    and _is_hidden(key.value)
                    and module.value(value).constant is None
                ):
                    yield key, f"`{key.value}` goes out to every client that may read this."


def _open_answers(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield answers that are a table, a row, or a model that lets everything through."""
    for route in module.routes:
        annotation = answer_of(module, route.node, route.options)
        types = annotation.types | (annotation.items.types if annotation.items is not None else frozenset())
        if any(module.is_table(kind) for kind in types):
            said = route.options.get("response_model") or route.node.returns or route.registration
            yield said, "This answers with the table itself: every column goes out, tomorrow's too."
        for kind in annotation.types & module.classes.keys():
            extra = config_of(module, kind).get("extra")
            if isinstance(extra, ast.Constant) and extra.value == "allow":
                yield extra, "This answer lets through whatever it is given: columns that nobody listed go out."
        for node in (*_rows_sent(module, route), *_columns_returned(module, route)):
            yield node, "This turns a row into an answer as it is: every column goes out, tomorrow's too."


def _columns_returned(module: Module, route: Route) -> Iterator[ast.AST]:
    """Yield what a route without a model of this module answers with, if it holds every column of a row."""
    if answer_of(module, route.node, route.options).types & module.classes.keys():
        return
    for part in inside(route.node):
        if isinstance(part, ast.Return) and part.value is not None and COLUMNS in module.value(part.value).all_labels():
            yield part.value


def _columns_filled_in(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield where every column of a row goes into a field that takes anything, and where they are read."""
    message = "Every column of a row goes out here, tomorrow's too."
    models = answer_models(module)
    found = False
    for call in module.ordered_calls:
        for name in call.names & models:
            for keyword in call.node.keywords:
                declared = module.field_of(name, keyword.arg) if keyword.arg else None
                if (
                    declared is not None
                    and COLUMNS in module.value(keyword.value).all_labels()
                    and not _is_filtered(module, module.annotation(declared.annotation))
                ):
                    found = True
                    yield keyword.value, message
    for call in module.ordered_calls if found else ():
        if "builtins.getattr" in call.names and COLUMNS in call.result.labels:
            yield call.node, message


def _is_filtered(module: Module, annotation: Annotation) -> bool:
    """Return whether a field is a model, or some of them: of what it is given it takes what it lists."""
    while annotation.items is not None and annotation.container:
        annotation = annotation.items
    return any(module.is_model(kind) for kind in annotation.types)


def _excluded(route: Route) -> set[str]:
    said = route.options.get("response_model_exclude")
    return (
        {part.value for part in inside(said) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        if said is not None
        else set()
    )


def _is_hidden(field: str, owner: str = "") -> bool:
    parts = words(field)
    if parts and (parts[-1] in _ABOUT or parts[0] in {"min", "max", "num"}) and parts[-2:] != ("deleted", "at"):
        return False
    if any(pair in _HIDDEN_PAIRS for pair in itertools.pairwise(parts)):
        return True
    told = set(parts) & _HIDDEN
    if told and told <= _HASHES and not set(parts) & _HASHED and not set(words(owner)) & _PEOPLE:
        return False  # of what it is a hash, nothing says: of a place, a file, a commit
    return bool(told) and not set(parts) & {"content", "commit", "file", "etag", "has"}


def _is_for_staff(field: str) -> bool:
    """Return whether a field is hidden from those whom it is about, and from nobody else: no secret."""
    return set(words(field)) & _HIDDEN == {"internal"}


def _goes_to_roles(module: Module, name: str) -> bool:
    """Return whether a model is made only for callers whose roles or permissions were looked at."""
    made = [call.node for call in module.ordered_calls if name in call.names or f"{name}.model_validate" in call.names]
    return bool(made) and all(_is_asked_for_roles(module, node) for node in made)


def _is_asked_for_roles(module: Module, node: ast.AST) -> bool:
    child = node
    for parent in module.ancestors(node):
        body = getattr(parent, "body", None)
        if (
            isinstance(parent, ast.If)
            and child in parent.body
            and _reads_roles(parent.test)
            and not _says_no(parent.test)
        ):
            return True
        for step in body if isinstance(body, list) else ():
            if step is child:
                break
            if isinstance(step, ast.If) and _reads_roles(step.test) and isinstance(step.body[-1], ast.Raise):
                return True
        child = parent
    return False


def _says_no(test: ast.expr) -> bool:
    """Return whether a test asks for what is not so: `"support" not in caller.roles`."""
    return any(
        (isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not))
        or (isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.NotIn))
        for part in inside(test)
    )


def _reads_roles(test: ast.expr) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in {"roles", "permissions"} for part in inside(test))


def _only_counts(module: Module, field: str, declared: ast.AnnAssign) -> bool:
    """Return whether a field is a number or a truth about a secret: the secret itself is a text, or digits such as a PIN."""
    annotation = module.annotation(declared.annotation)
    if not annotation.types or annotation.types - {"builtins.int", "builtins.bool"}:
        return False
    parts = words(field)
    return not set(parts) & _DIGITS and not any(pair in _HIDDEN_PAIRS for pair in itertools.pairwise(parts))


def _is_excluded(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and any(
        keyword.arg == "exclude" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in node.keywords
    )


def _rows_sent(module: Module, route: Route) -> Iterator[ast.AST]:
    """Yield `row.__dict__`, `vars(row)`, `dict(row._mapping)` and loops over a table's columns in what is returned."""
    answer = answer_of(module, route.node, route.options)
    if any(
        kind in module.classes
        for kind in answer.types | (answer.items.types if answer.items is not None else frozenset())
    ):
        return
    for part in inside(route.node):
        if not isinstance(part, ast.Return | ast.Yield) or part.value is None or (is_function(part)):
            continue
        for node in _with_assigned(module, part.value):
            for inner in inside(node):
                if (
                    (isinstance(inner, ast.Attribute) and inner.attr in {"__dict__", "_mapping", "__table__"})
                    or (
                        isinstance(inner, ast.Call)
                        and module.value(inner.func).names & {"builtins.vars"}
                        and inner.args
                        and ROW in module.value(inner.args[0]).labels
                    )
                    or (
                        isinstance(inner, ast.Call)
                        and isinstance(inner.func, ast.Attribute)
                        and inner.func.attr in {"mappings", "_asdict"}
                        and ROW in module.value(inner.func.value).labels
                    )
                ):
                    yield inner


def _with_assigned(module: Module, node: ast.expr) -> Iterator[ast.expr]:
    yield node
    function = module.function_of(node)
    for part in inside(node):
        if isinstance(part, ast.Name) and function is not None:
            for other in inside(function):
                if isinstance(other, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id == part.id for target in other.targets
                ):
                    yield other.value
        elif isinstance(part, ast.Call):
            for made in module.value(part.func).functions:
                if not isinstance(made.node, ast.Lambda):
                    yield from (
                        inner.value
                        for inner in inside(made.node)
                        if isinstance(inner, ast.Return) and inner.value is not None
                    )
