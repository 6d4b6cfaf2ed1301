"""BW414, BW415: whose an object is, and who is calling, is the service's business."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.contract import input_parameters
from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, calls, method, name_of, named
from admission.source.rules.rows import is_query, is_session_call
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside
from admission.source.values import BODY, INPUT, ROW, SHAPED, TABLE
from admission.source.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, ClassInfo, Module

registry = Registry()

_PERSONAL_COLUMNS: Final = re.compile(
    r"^(owner|owner_id|user_id|customer_id|account_id|author|author_id|created_by|tenant_id|email|patient_id|employee_id|subject|member_id|recipient|sender|username|owner_subject)$"
)


@registry.rule("BW414", "An object fetched by id from a model that is not Owned")
def not_owned(module: Module) -> Iterator[Fault]:
    """Point at objects that a client reaches by guessing their id."""
    for call in calls(module):
        name = _fetched_class(module, call)
        if name is None or module.is_owned(name):
            continue
        somebodys = _is_somebodys(module, name, call)
        if somebodys is False or _compares_owner(module, call):
            continue
        shown = name.rpartition(".")[2]
        yield Fault(
            call.node,
            f"`{shown}` belongs to nobody, so whoever guesses an id gets it: the service scopes only what is `Owned`.",
            f"`class {shown}(Owned, Base):`, with `from app.models import Base, Owned`; another's object is then not found.",
            None if somebodys else "remark",
        )
    for call in calls(module):
        if (
            method(call) == "startswith"
            and len(call.node.args) == 1
            and call.args[0].names & _WHO
            and call.receiver.constant is None
        ):
            yield Fault(
                call.node,
                "A prefix is not whose it is: what belongs to `acme-labs` begins with `acme` too.",
                'With its separator: `path.startswith(f"{caller.tenant}/")`; better, a column that is equal: `Folder.tenant == caller.tenant`.',
            )


_WHO: Final = frozenset(
    f"app.dependencies.{kind}.{name}" for kind in ("Caller", "Identity") for name in ("tenant", "subject")
)


def _is_somebodys(module: Module, name: str, call: Call) -> bool | None:
    """Return whether a table holds what belongs to people: by its columns, its name, or by what is done; None: it may."""
    tables = [info for base in module.bases_of(name) if (info := module.class_of(base)) is not None]
    columns = {field for info in tables for field in (*info.fields, *info.assigned)}
    if _is_catalogued(tables):
        columns -= {"author"}  # who wrote a book, not whose row it is
    if any(_PERSONAL_COLUMNS.match(field) for field in columns):
        return True
    said = set(words(name.rpartition(".")[2]))
    if said & _COMMON:
        return False
    if said & _PERSONAL:
        return True
    conditional = any(
        isinstance(part, ast.Call) and "sqlalchemy.update" in module.value(part.func).names
        for part in inside(call.node)
    )
    return True if not conditional and _is_changed(module, name, call) else None


def _is_catalogued(tables: list[ClassInfo]) -> bool:
    """Return whether the key of a table is the number or word under which the world knows its rows: an ISBN, a SKU."""
    keys = {
        field
        for info in tables
        for field, declared in info.fields.items()
        if declared.value is not None
        and any(isinstance(part, ast.keyword) and part.arg == "primary_key" for part in inside(declared.value))
    }
    return bool(keys) and keys <= _PUBLIC_KEYS


_PUBLIC_KEYS: Final = frozenset(
    {
        "isbn",
        "issn",
        "ean",
        "gtin",
        "upc",
        "doi",
        "sku",
        "iata",
        "icao",
        "iso",
        "ticker",
        "locale",
        "language",
        "country",
        "currency",
        "version",
    }
)


def _is_changed(module: Module, name: str, call: Call) -> bool:
    """Return whether a row of this table is changed or deleted where the call stands, or where its function is called from."""
    home = module.function_of(call.node)
    functions = [
        function
        for function in {
            home,
            *(module.function_of(other.node) for other in module.calls.values() if home in other.functions),
        }
        if function is not None
    ]
    label = f"{TABLE}{name}"
    for function in functions:
        for part in inside(function):
            targets = (
                part.targets
                if isinstance(part, ast.Assign)
                else [part.target]
                if isinstance(part, ast.AugAssign)
                else []
            )
            if any(
                isinstance(target, ast.Attribute) and label in module.value(target.value).labels for target in targets
            ):
                return True
        for other in module.calls_by_function.get(function, []):
            if (
                is_session_call(other)
                and method(other) == "delete"
                and any(label in value.labels for value in other.args)
            ):
                return True
            if "sqlalchemy.delete" in other.names and any(name in value.names for value in other.args):
                return True
    return False


_COMMON: Final = frozenset(
    {
        *("product", "stock", "room", "seat", "show", "category", "event", "course", "plan", "article", "item", "menu"),
        *("inventory", "poll", "tag", "currency", "country", "warehouse", "venue", "sku", "station", "movie", "book"),
        *("shared", "catalog", "catalogue", "table", "slot", "vehicle", "car", "device", "product", "variant", "city"),
        *("price", "tariff", "shelf", "location", "department", "page", "screening", "flight", "class", "session"),
        *("coupon", "voucher", "quota", "counter", "resource", "equipment", "auction", "lot", "shift", "topic"),
    }
)
"""Words for what a service offers to all its callers."""

_PERSONAL: Final = frozenset(
    {
        *("note", "invoice", "document", "doc", "order", "message", "report", "file", "address", "profile", "ticket"),
        *("booking", "reservation", "payment", "draft", "task", "todo", "journal", "record", "subscription", "upload"),
        *("attachment", "card", "cart", "conversation", "letter", "statement", "contract", "claim", "prescription"),
        *("account", "user", "customer", "patient", "wallet", "transaction", "diary", "medication", "appointment"),
    }
)
"""Words for what belongs to somebody."""


def _fetched_class(module: Module, call: Call) -> str | None:
    """Return the table of this module or of the models that a call reads by an id of the client's choice."""
    if is_session_call(call) and method(call) in {"get", "get_one"} and len(call.args) > 1:
        table = next((name for name in call.args[0].names if module.is_table(name)), None)
        return table if table and call.args[1].all_labels() & {INPUT, SHAPED} else None
    if not is_query(call):
        return None
    parts = list(_statement_parts(module, call))
    for part in parts:
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "filter_by":
            for keyword in part.keywords:
                if keyword.arg in {"id", "uuid", "pk"} and module.value(keyword.value).all_labels() & {INPUT, SHAPED}:
                    names = (name for each in parts for name in module.value(each).names if module.is_table(name))
                    return next(names, None)
        if (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr == "in_"
            and isinstance(part.func.value, ast.Attribute)
            and part.func.value.attr in {"id", "uuid", "pk"}
            and part.args
        ):
            table = next((name for name in module.value(part.func.value.value).names if module.is_table(name)), None)
            if (
                table
                and module.value(part.args[0]).all_labels() & {INPUT, SHAPED}
                and ROW not in module.value(part.args[0]).all_labels()
            ):
                return table
        if (
            isinstance(part, ast.Compare)
            and isinstance(part.ops[0], ast.Eq)
            and isinstance(part.left, ast.Attribute)
            and (part.left.attr in {"id", "uuid", "pk", "public_id", "reference"} or part.left.attr.endswith("_uuid"))
        ):
            table = next((name for name in module.value(part.left.value).names if module.is_table(name)), None)
            if table and module.value(part.comparators[0]).all_labels() & {INPUT, SHAPED}:
                return table
    return None


def _statement_parts(module: Module, call: Call) -> Iterator[ast.AST]:
    node = argument_node(call, 0, "statement")
    if node is not None:
        for piece in pieces_of(module, node):
            yield from inside(piece)


def _compares_owner(module: Module, call: Call) -> bool:
    """Return whether the function looks at who is calling: `.where(Note.owner == caller.subject)`."""
    function = module.function_of(call.node)
    return function is not None and any(
        isinstance(part, ast.Attribute) and part.attr in {"subject", "tenant"} for part in inside(function)
    )


_SCHEMES: Final = ("fastapi.security.",)
_LIBRARIES: Final = (
    "jwt.",
    "joserfc.",
    "authlib.",
    "passlib.",
    "itsdangerous.",
    "fastapi_users.",
    "fastapi_login.",
    "bcrypt.",
    "argon2.",
    "google.oauth2.",
    "python_jose.",
    "jwcrypto.",
    "fastapi_jwt_auth.",
    "oauthlib.",
    "ldap3.",
)
_CREDENTIALS: Final = re.compile(
    r"^(authorization|x[-_]api[-_]key|api[-_]key|x[-_]auth[-_]token|x[-_]user[-_]id|x[-_]user|x[-_]role|x[-_]roles|x[-_]user[-_]roles?|x[-_]admin[-_]token|x[-_]token|x[-_]access[-_]token|x[-_]internal[-_]token|proxy[-_]authorization|x[-_]forwarded[-_]user|x[-_]admin|x[-_]admin[-_]key|x[-_]session|access[-_]token|session|session[-_]id|sessionid|auth[-_]token|x[-_]tenant[-_]id|x[-_]tenant)$",
    re.IGNORECASE,
)
_CALLERS: Final = frozenset(
    {
        *("user", "role", "roles", "tenant", "org", "organisation", "organization", "admin", "account", "customer"),
        *("member", "employee", "staff", "subject", "principal", "actor", "owner", "permissions", "scopes"),
    }
)
_ABOUT_CALLERS: Final = frozenset({"x", "id", "uuid", "name", "email", "is", "current", "acting", "active", "level"})
"""Words beside those for who is calling: a header of these alone, `X-Org-Id`, says nothing but who that is."""
_MEND: Final = (
    "Take this out, and ask for the caller by a parameter: `caller: Caller` (`from app.dependencies import Caller`). `caller.subject`, `caller.tenant`, `caller.roles` and "
    "`caller.permissions` were verified before the handler runs; who has no valid token never gets here, so no 401 is raised either. Who may call stands in `allow` in "
    "policy.toml, which is people's. A handler issues no tokens and checks no passwords: there is no login route. Who has no token, such as a webhook, is known by the signature "
    "of what it sends, compared by `hmac.compare_digest`."
)
_MESSAGE: Final = (
    "This decides by itself who is calling. It checks less than the service does, and is forgotten when that changes."
)


@registry.rule("BW415", "Authentication of its own")
def own_authentication(module: Module) -> Iterator[Fault]:
    """Point at tokens, passwords and credentials that a handler judges itself."""
    for call in calls(module):
        name = next((name for name in sorted(call.names) if name.startswith(_SCHEMES)), None)
        if (
            (
                name is not None
                and name.rpartition(".")[2]
                not in {"SecurityScopes", "HTTPAuthorizationCredentials", "HTTPBasicCredentials"}
            )
            or (
                any(name.startswith(_LIBRARIES) for name in call.names)
                and not any(name.rpartition(".")[2].endswith(("Error", "Exception")) for name in call.names)
            )
            or (
                method(call) in {"get", "getlist"}
                and BODY in call.receiver.labels
                and call.args
                and call.args[0].constant is not None
                and _is_credential(call.node.func, str(call.args[0].constant.value))
            )
            or (
                named(call, {"fastapi.HTTPException"})
                and _says_401(module, call)
                and not _is_signature(module, call.node)
            )
        ):
            yield Fault(call.node, _MESSAGE, _MEND)
    for node in module.walk(ast.Subscript):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and _is_credential(node, str(node.slice.value))
            and BODY in module.value(node.value).labels
        ):
            yield Fault(node, _MESSAGE, _MEND)
    for _, parameter in input_parameters(module):
        if parameter.source not in {"header", "cookie"}:
            continue
        if _is_of_caller(_alias(parameter.markers()) or parameter.name):
            yield Fault(parameter.node, _MESSAGE, _MEND)
        for kind in sorted(parameter.annotation.types & module.classes.keys()):
            for base in module.bases_of(kind):
                info = module.classes.get(base)
                fields = info.fields.items() if info is not None else ()
                yield from (Fault(declared, _MESSAGE, _MEND) for field, declared in fields if _is_of_caller(field))


def _is_credential(node: ast.expr, name: str) -> bool:
    """Return whether what is read by this name tells who is calling; of a body only what can be nothing else."""
    source = name_of(node.value) if isinstance(node, ast.Attribute | ast.Subscript) else ""
    return _is_of_caller(name) if source in {"headers", "cookies"} else bool(_CREDENTIALS.match(name))


def _is_of_caller(name: str) -> bool:
    """Return whether a header or cookie of this name says who is calling, or what that one may do."""
    said = set(words(name))
    return bool(_CREDENTIALS.match(name)) or (bool(said & _CALLERS) and said <= _CALLERS | _ABOUT_CALLERS)


def _alias(markers: Iterator[ast.Call]) -> str | None:
    for marker in markers:
        for keyword in marker.keywords:
            if keyword.arg == "alias" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return None


def _says_401(module: Module, call: Call) -> bool:
    node = argument_node(call, 0, "status_code")
    value = module.value(node)
    return (value.constant is not None and value.constant.value == 401) or any("401" in name for name in value.names)


def _is_signature(module: Module, node: ast.AST) -> bool:
    """A webhook is told by its signature: no bearer of a token sends it."""
    function = module.function_of(node)
    return function is not None and any(
        isinstance(part, ast.Attribute | ast.Name)
        and (part.attr if isinstance(part, ast.Attribute) else part.id)
        in {"compare_digest", "hmac", "verify_signature"}
        for part in inside(function)
    )
