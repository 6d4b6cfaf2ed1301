"""BW410, BW411: the client writes fields that are not its own."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.contract import config_of, input_models, taken
from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, assigned, calls, free, method, methods, named, origins
from admission.source.outbound import is_upstream
from admission.source.tree import inside
from admission.source.values import INPUT, ROW, SHAPED, TABLE
from admission.source.words import is_money, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.contract import Taken
    from admission.source.module import Call, Module

registry = Registry()

_DUMPING: Final = frozenset({"model_dump", "dict", "model_dump_json"})
_COPYING: Final = frozenset(
    {"builtins.dict", "builtins.vars", "fastapi.encoders.jsonable_encoder", "dataclasses.asdict"}
)
MAX_DEPTH: Final = 8
"""Steps from one name to the next that a dictionary is followed over."""

_MEND: Final = "Name each field: `Note(title=wanted.title, text=wanted.text)`; to change some, `if wanted.title is not None: note.title = wanted.title`."
_MESSAGE: Final = "Whatever the client sends becomes a column. A field that is added to the model tomorrow, a role or an owner, can then be set by everybody."


@registry.rule("BW410", "Mass assignment")
def mass_assignment(module: Module) -> Iterator[Fault]:
    """Point at input that becomes columns without being named."""
    for name in sorted(input_models(module)):
        extra = config_of(module, name).get("extra")
        said = module.value(extra).constant if extra is not None else None
        constant = extra.value if isinstance(extra, ast.Constant) else said.value if said is not None else None
        allowed = constant == "allow" or (extra is not None and (module.resolve(extra) or "").endswith("Extra.allow"))
        if extra is not None and allowed:
            yield Fault(
                extra,
                "This model keeps fields that it does not know. Whatever the client adds is carried on, and mostly into a table.",
                '`model_config = ConfigDict(extra="forbid")`.',
            )
    for call in calls(module):
        if _spreads(module, call) or _sets(call) or _updates(module, call):
            yield Fault(call.node, _MESSAGE, _MEND)
    for node in module.walk(ast.Assign):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Subscript)
            and isinstance(target.value, ast.Attribute)
            and target.value.attr == "__dict__"
            for target in node.targets
        ):
            yield Fault(node, _MESSAGE, _MEND)


def _spreads(module: Module, call: Call) -> bool:
    """`Note(**wanted.model_dump())`, `insert(Note).values(**data)`, `Note(**{**data, "owner": ...})`."""
    for keyword in call.node.keywords:
        if keyword.arg is None and _is_from_client(module, keyword.value) and _stores(module, call):
            return True
    if (
        method(call) == "values"
        and call.node.args
        and any("sqlalchemy" in kind for kind in (*call.names, *call.receiver.types))
    ):
        return _is_from_client(module, call.node.args[0])
    if (method(call) in {"execute", "scalars", "scalar"} and len(call.node.args) > 1) and any(
        isinstance(part, ast.Call) and module.value(part.func).names & {"sqlalchemy.insert", "sqlalchemy.update"}
        for part in inside(call.node.args[0])
    ):
        return _is_from_client(module, call.node.args[1])
    return method(call) in {"sqlmodel_update", "from_dict", "update_from_dict"} and any(
        free(value) for value in call.args
    )


def _is_from_client(module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Return whether a dictionary's keys are the client's, or all fields of an input model."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(node, ast.DictComp):
        sources = [generator.iter for generator in node.generators] if not _filters(node) else []
        return any(_is_model(module, source) or _is_from_client(module, source, depth + 1) for source in sources)
    if isinstance(node, ast.Call):
        return _call_is_from_client(module, node, depth)
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return _is_model(module, node.value)
    given = assigned(module, module.function_of(node) or module.tree, node.id) if isinstance(node, ast.Name) else []
    parts = given or list(_parts(node))
    if parts:
        return any(_is_from_client(module, part, depth + 1) for part in parts)
    return _is_open_dictionary(module, node)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions whose keys a dictionary, a union of two, or a list of some has."""
    if isinstance(node, ast.Dict):
        yield from (value for key, value in zip(node.keys, node.values, strict=True) if key is None)
    elif isinstance(node, ast.List | ast.Tuple):
        yield from node.elts
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield node.elt
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)


def _call_is_from_client(module: Module, node: ast.Call, depth: int) -> bool:
    if isinstance(node.func, ast.Attribute) and node.func.attr in _DUMPING:
        named_fields = any(keyword.arg == "include" for keyword in node.keywords)
        return not named_fields and bool(module.value(node.func.value).labels & {INPUT, SHAPED})
    if isinstance(node.func, ast.Attribute) and node.func.attr in {"items", "copy"}:
        return _is_from_client(module, node.func.value, depth + 1)
    if module.value(node.func).names & _COPYING:
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)]
        return any(_is_model(module, part) or _is_from_client(module, part, depth + 1) for part in given)
    return _is_open_dictionary(module, node)


def _is_open_dictionary(module: Module, node: ast.expr) -> bool:
    """A dictionary that the client sent as it is; of what is not known to be one, only a bare name is taken for it."""
    value = module.value(node)
    if INPUT not in value.labels or isinstance(node, ast.Constant | ast.Dict):
        return False
    open_types = {"builtins.dict", "typing.Dict", "fastapi.Request.json()"}
    return bool(value.types & open_types) or (isinstance(node, ast.Name) and not value.types)


def _filters(node: ast.DictComp) -> bool:
    return any(
        isinstance(condition, ast.Compare) and isinstance(condition.ops[0], ast.In)
        for generator in node.generators
        for condition in generator.ifs
    )


def _is_model(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    return bool(value.labels & {INPUT}) and any(
        kind in module.classes and module.is_model(kind) for kind in value.types
    )


def _stores(module: Module, call: Call) -> bool:
    """Return whether a call makes a row: a table of this module, a class from elsewhere, or `values()`."""
    if method(call) in {"values", "filter_by", "update"}:
        return method(call) == "values"
    for name in call.names:
        if name in module.classes:
            if module.is_table(name):
                return True
            continue
        end = name.rpartition(".")[2]
        if (
            end[:1].isupper()
            and not name.startswith(
                ("fastapi.", "pydantic.", "datetime.", "httpx.", "typing.", "collections.", "builtins.")
            )
            and "Out" not in end
            and "Response" not in end
        ):
            return True
    return False


def _sets(call: Call) -> bool:
    """`for name, value in wanted.model_dump().items(): setattr(note, name, value)`."""
    if not named(call, {"builtins.setattr", "builtins.object.__setattr__"}) or len(call.args) < 2:
        return False
    return call.args[1].constant is None and bool(
        call.args[-1].all_labels() & {INPUT, SHAPED} or call.args[1].all_labels() & {INPUT, SHAPED}
    )


def _updates(module: Module, call: Call) -> bool:
    """`note.__dict__.update(data)`, `vars(note).update(data)`."""
    node = call.node.func
    if not isinstance(node, ast.Attribute) or node.attr != "update" or not methods(call):
        return False
    base = node.value
    own = (isinstance(base, ast.Attribute) and base.attr == "__dict__") or (
        isinstance(base, ast.Call) and "builtins.vars" in module.value(base.func).names
    )
    return own and any(free(value) for value in call.args)


_OWNER: Final = re.compile(
    r"^(owner|owner_?id|tenant|tenant_?id|owned_by|created_by|created_by_id|author_id|owner_subject|organi[sz]ation_id|org_id)$"
)
_POWER: Final = re.compile(
    r"^(role|roles|is_admin|is_superuser|is_staff|admin|superuser|permissions|scopes|is_verified|verified|email_verified|access_level|privileges|is_owner|is_active_admin|user_role|approved|is_approved|approved_by|credit_limit|is_paid|paid|balance)$"
)
_PRICE: Final = re.compile(
    r"^(price|unit_price|total|total_price|total_amount|subtotal|line_total|discount|discount_percent|discount_rate|price_cents|unit_price_cents|total_cents|amount_due|item_price|unit_cost)$"
)
_AMOUNT: Final = re.compile(r"^(amount|amount_cents|cents|fare|fee|cost)$")
"""Of a row of an order; elsewhere an amount may be the client's to choose, such as that of a donation."""

_PRICE_MEND: Final = "Take it out, and look the price up: `price = (await session.scalars(select(Product.price).where(Product.sku == wanted.sku))).one()`."
_CHARGING: Final = frozenset({"charge", "pay", "authorize", "authorise", "capture", "debit", "hold"})
_ORDERING: Final = frozenset(
    {"order", "cart", "checkout", "purchase", "basket", "booking", "reservation", "line", "ticket"}
)
_USER: Final = re.compile(
    r"^(user|user_?id|customer|customer_?id|account_?id|member_id|subject|username|userid|client_id|profile_id)$"
)


@registry.rule("BW411", "Role, owner or price from the client")
def privileged(module: Module) -> Iterator[Fault]:
    """Point at input fields that the service has to know by itself."""
    told: set[str] = set()
    for item in taken(module):
        if item.source in {"path", "header", "cookie"}:
            continue
        what = _privilege(module, item)
        if what is None:
            continue
        told.add(item.name)
        mend = {
            "owner": (
                "Take it out: the service stamps the caller as owner; where you need it, `caller.subject` of `caller: Caller`."
            ),
            "power": "Take it out: roles come from the token, permissions from policy.toml.",
            "price": _PRICE_MEND,
        }[what]
        yield Fault(
            item.node,
            f"The client chooses `{item.name}`. It will choose what suits it: another's, a higher, a lower one.",
            mend,
        )
        if what == "price":
            for part in module.walk(ast.BinOp):
                if (
                    isinstance(part, ast.BinOp)
                    and isinstance(part.op, ast.Mult)
                    and any(
                        isinstance(side, ast.Attribute)
                        and side.attr == item.name
                        and module.value(side).labels & {INPUT, SHAPED}
                        for side in (part.left, part.right)
                    )
                ):
                    yield Fault(
                        part,
                        f"The client chooses `{item.name}`, and this is what it pays. It will choose less.",
                        _PRICE_MEND,
                    )
    yield from _stored_powers(module, told)
    yield from _said_in_anothers_name(module)
    yield from _decided_by_client(module)
    yield from _foreign_owner(module)
    yield from _stored_prices(module)
    yield from _charged(module, {item.name for item in taken(module) if _PRICE.match(item.name)} - told)


def _charged(module: Module, prices: set[str]) -> Iterator[Fault]:
    """Point at prices that the client names and that another service is then told to charge, whatever the model is called."""
    for call in calls(module) if prices else ():
        if not is_upstream(call):
            continue
        amount = argument_node(call, 0 if method(call) in _CHARGING else None, "amount", "amount_cents", "unit_amount")
        if amount is None:
            continue
        parts = [part for part in origins(module, amount) if module.value(part).all_labels() & {INPUT, SHAPED}]
        for name in sorted(prices):
            if any(_reads(part, name) for part in parts):
                yield Fault(
                    amount,
                    f"The client chooses `{name}`, and this is what is charged. It will choose less.",
                    _PRICE_MEND,
                )
                break


def _stored_powers(module: Module, told: set[str]) -> Iterator[Fault]:
    """Point at roles, approvals and their like of a row that are what the client said, under whichever name it says them."""
    items = {(item.owner, item.name): item for item in taken(module)}
    for column, value in _columns_set(module):
        sources = (
            [part for part in (value, *_given(module, value)) if isinstance(part, ast.Attribute)]
            if _POWER.match(column)
            else []
        )
        for part in sources:
            owners = [
                info.node
                for kind in module.value(part.value).types
                for base in module.bases_of(kind)
                if (info := module.classes.get(base)) is not None
            ]
            item = next((items[owner, part.attr] for owner in owners if (owner, part.attr) in items), None)
            if (
                item is not None
                and item.name not in told
                and not _administers(module, item)
                and _may_be_power(item)
                and not _looks_at_roles(module, value)
            ):
                yield Fault(
                    value,
                    f"The client chooses `{column}`, as `{item.name}`. It will choose what suits it.",
                    "Take it out: roles come from the token, permissions from policy.toml.",
                )


_SPEAKER: Final = frozenset(
    {"author", "author_id", "sender", "sender_id", "posted_by", "written_by", "sent_by", "signed_by", "actor"}
)
_SAID: Final = frozenset(
    {
        "message",
        "post",
        "comment",
        "reply",
        "review",
        "chat",
        "mail",
        "note",
        "entry",
        "answer",
        "thread",
        "audit",
        "event",
        "vote",
        "reaction",
    }
)
"""Words for what somebody says or does: who did is who calls."""


def _said_in_anothers_name(module: Module) -> Iterator[Fault]:
    """Point at messages and their like whose author is what the client said, though the handler knows who is calling."""
    if "app.dependencies.Caller" not in module.imports.values():
        return
    for call in calls(module):
        if not any(module.is_table(name) and set(words(name.rpartition(".")[2])) & _SAID for name in call.names):
            continue
        for keyword in call.node.keywords:
            if (
                keyword.arg in _SPEAKER
                and module.value(keyword.value).labels & {INPUT, SHAPED}
                and ROW not in module.value(keyword.value).labels
            ):
                yield Fault(
                    keyword.value,
                    f"The client chooses `{keyword.arg}`, and speaks in anybody's name.",
                    "`caller.subject` of `caller: Caller`: who is calling was verified.",
                )


_DECIDED: Final = frozenset({"approved", "verified", "paid"})


def _decided_by_client(module: Module) -> Iterator[Fault]:
    """Point at the state of somebody's own row that is what the client said, where what others decide is among what it may say."""
    for node in module.walk(ast.Assign):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if (
            not isinstance(node, ast.Assign)
            or not isinstance(target, ast.Attribute)
            or target.attr not in {"status", "state"}
            or not isinstance(node.value, ast.Attribute)
        ):
            continue
        owned = any(
            label.startswith(TABLE) and module.is_owned(label.removeprefix(TABLE))
            for label in module.value(target.value).labels
        )
        item = next(
            (
                item
                for item in taken(module)
                if item.name == node.value.attr
                and item.source == "field"
                and module.value(node.value).labels & {INPUT, SHAPED}
            ),
            None,
        )
        if (
            not owned
            or item is None
            or not _choices(module, item) & _DECIDED
            or _administers(module, item)
            or _looks_at_roles(module, node)
            or _looks_at_state(module, node, target)
        ):
            continue
        yield Fault(
            node,
            f"The client chooses `{target.attr}`, `{min(_choices(module, item) & _DECIDED)}` among it, whatever the state is now.",
            'Take only what the client may ask for, `Literal["submitted"]`, and only from the state before: `if claim.status != "draft": raise HTTPException(409, "Not now.")`.',
        )


def _choices(module: Module, item: Taken) -> set[str]:
    """Return what a field may say: the words of a `Literal`, or the values of an enumeration."""
    kinds = [
        info
        for kind in item.annotation.types
        if (info := module.classes.get(kind)) is not None and module.is_a(kind, "enum.Enum", "enum.StrEnum")
    ]
    return {str(choice).lower() for choice in item.annotation.choices} | {
        str(value.value).lower()
        for info in kinds
        for value in info.assigned.values()
        if isinstance(value, ast.Constant)
    }


def _looks_at_state(module: Module, node: ast.AST, target: ast.Attribute) -> bool:
    """Return whether a function asks in which state the row is before it sets another."""
    function = module.function_of(node)
    reads = [
        part
        for part in inside(function or module.tree)
        if isinstance(part, ast.Attribute)
        and part.attr == target.attr
        and isinstance(part.ctx, ast.Load)
        and ROW in module.value(part.value).labels
    ]
    return any(part.lineno <= getattr(node, "lineno", 0) for part in reads)


def _columns_set(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is set of rows, and the expression: `profile.role = ...`, `Profile(role=...)`, `setattr(profile, "role", ...)`."""
    for node in module.walk(ast.Assign):
        if isinstance(node, ast.Assign):
            yield from (
                (target.attr, node.value)
                for target in node.targets
                if isinstance(target, ast.Attribute) and _is_of_table(module, target.value)
            )
    for call in calls(module):
        if any(module.is_table(name) for name in call.names) or (
            method(call) == "values" and any("sqlalchemy" in kind for kind in call.receiver.types)
        ):
            yield from ((keyword.arg, keyword.value) for keyword in call.node.keywords if keyword.arg)
        elif (
            named(call, {"builtins.setattr"})
            and len(call.node.args) > 2
            and call.args[1].constant is not None
            and _is_of_table(module, call.node.args[0])
        ):
            yield str(call.args[1].constant.value), call.node.args[2]


def _is_of_table(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    return ROW in value.labels or any(module.is_table(kind) for kind in value.types)


def _may_be_power(item: Taken) -> bool:
    """Return whether a field may say more than which kind of customer somebody is: of a few known words one is `admin` or its like."""
    choices = {str(choice).lower() for choice in item.annotation.choices}
    return not choices or bool({word for choice in choices for word in words(choice)} & _POWERFUL)


_POWERFUL: Final = frozenset(
    {
        "admin",
        "administrator",
        "owner",
        "manager",
        "staff",
        "superuser",
        "root",
        "moderator",
        "editor",
        "operator",
        "maintainer",
        "approved",
        "verified",
    }
)


def _looks_at_roles(module: Module, node: ast.AST) -> bool:
    function = module.function_of(node)
    return function is not None and any(
        isinstance(part, ast.Attribute) and part.attr in {"roles", "permissions"} for part in inside(function)
    )


def _stored_prices(module: Module) -> Iterator[Fault]:
    """Point at rows of orders, bookings and their like whose price is what the client said, as it said it."""
    for call in calls(module):
        tables = [name for name in call.names if module.is_table(name)]
        orders = any(set(words(name.rpartition(".")[2])) & _ORDERING for name in tables)
        bought = any(_is_bought(module, name) for name in tables) and not _looks_at_roles(module, call.node)
        for keyword in call.node.keywords if orders or bought else ():
            if not keyword.arg or not (_PRICE.match(keyword.arg) or (orders and _AMOUNT.match(keyword.arg))):
                continue
            sources = [
                part for part in (keyword.value, *_given(module, keyword.value)) if isinstance(part, ast.Attribute)
            ]
            if any(
                module.value(part).labels & {INPUT, SHAPED}
                and ROW not in module.value(part).labels
                and _is_model_field(module, part)
                for part in sources
            ):
                yield Fault(
                    keyword.value,
                    f"The client chooses `{keyword.arg}`, and this is what the order costs. It will choose less.",
                    _PRICE_MEND,
                )


def _is_bought(module: Module, name: str) -> bool:
    """Return whether the rows of a table belong to who pays for them: they are `Owned`, and know the charge that paid for them."""
    columns = {
        field for base in module.bases_of(name) if (info := module.class_of(base)) is not None for field in info.fields
    }
    return module.is_owned(name) and bool(columns & _PAID_BY) and not set(words(name.rpartition(".")[2])) & _SELLING


_PAID_BY: Final = frozenset({"charge_id", "charged_at", "payment_id", "payment_intent_id"})
_SELLING: Final = frozenset(
    {
        "listing",
        "offer",
        "product",
        "article",
        "advert",
        "ad",
        "auction",
        "bid",
        "invoice",
        "quote",
        "donation",
        "gift",
        "tip",
        "pledge",
        "plan",
        "lesson",
        "course",
        "event",
        "service",
        "item",
        "expense",
    }
)
"""Words for what has its price from who sells it, or gives it."""


def _given(module: Module, node: ast.expr) -> list[ast.expr]:
    return module.given.get((module.function_of(node), node.id), []) if isinstance(node, ast.Name) else []


def _is_model_field(module: Module, node: ast.Attribute) -> bool:
    """Return whether an attribute is a field of an input, read as it is."""
    return bool(module.value(node.value).types & input_models(module))


def _privilege(module: Module, item: Taken) -> str | None:
    if _OWNER.match(item.name):
        return "owner" if item.source != "query" or _is_used_as_owner(module, item.name) else None
    if _POWER.match(item.name) and item.source in {"field", "body", "form"} and not _administers(module, item):
        return "power"
    if (
        (_PRICE.match(item.name) or _is_price_of_one(item.name))
        and item.source == "field"
        and isinstance(item.owner, ast.ClassDef)
    ):
        fields = {
            part.target.id
            for part in item.owner.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        }
        line = bool(
            fields & {"quantity", "qty"}
            and fields & {"sku", "product_id", "item_id", "product", "article_id", "variant_id"}
        )
        orders = line or (_PRICE.match(item.name) is not None and bool(set(words(item.owner.name)) & _ORDERING))
        return "price" if orders and _can_have_effects(module) else None
    if _USER.match(item.name) and _is_used_as_owner(module, item.name):
        return "owner"
    return None


def _is_price_of_one(name: str) -> bool:
    """Return whether a name says what one of something costs: `unit_cents`, `price_each`."""
    return is_money(name) and bool(set(words(name)) & {"unit", "each", "per", "single", "item"})


def _can_have_effects(module: Module) -> bool:
    """Return whether a handler can store or send anything: a preview that only calculates may be told any price."""
    return any(
        name.startswith("sqlalchemy.")
        or (name.startswith("app.") and name.rpartition(".")[2] not in {"Caller", "Identity"})
        for name in module.imports.values()
    )


def _administers(module: Module, item: Taken) -> bool:
    """A model or route that is about roles and approvals, which the policy grants to few."""
    said = set(words(getattr(item.owner, "name", "")))
    paths = " ".join(route.path for route in module.routes)
    return bool(
        said
        & {"role", "admin", "invite", "invitation", "grant", "member", "membership", "review", "approval", "verify"}
    ) or bool(re.search(r"/(admin|roles?|invitations?|members)\b", paths))


def _is_used_as_owner(module: Module, name: str) -> bool:
    """Return whether a field of this name decides whose row is written or read."""
    for part in module.walk(ast.keyword, ast.Compare, ast.Assign):
        if isinstance(part, ast.keyword) and part.arg and (_OWNER.match(part.arg) or _USER.match(part.arg)):
            if part.arg == name == "subject":
                continue  # the subject of a letter, a quote, a ticket
            if (
                _reads(part.value, name)
                and bool(module.value(part.value).labels & {INPUT, SHAPED})
                and _is_row_call(module, module.parents.get(part))
            ):
                return True
        elif (
            isinstance(part, ast.Compare)
            and isinstance(part.left, ast.Attribute)
            and (_OWNER.match(part.left.attr) or _USER.match(part.left.attr))
            and isinstance(part.left.value, ast.Name)
            and part.left.value.id[:1].isupper()
        ):
            if _reads(part.comparators[0], name) and bool(module.value(part.comparators[0]).labels & {INPUT, SHAPED}):
                return True
        elif (
            isinstance(part, ast.Assign)
            and isinstance(part.targets[0], ast.Attribute)
            and _OWNER.match(part.targets[0].attr)
            and _reads(part.value, name)
        ):
            return True
    return False


def _is_row_call(module: Module, node: ast.AST | None) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return any(
        (name in module.classes and module.is_table(name))
        or (
            name not in module.classes
            and name.rpartition(".")[2][:1].isupper()
            and not name.startswith(("fastapi.", "pydantic."))
        )
        or name.endswith((".values", ".filter_by"))
        for name in module.value(node.func).names
    )


def _reads(node: ast.expr, name: str) -> bool:
    return any(
        (isinstance(part, ast.Attribute) and part.attr == name) or (isinstance(part, ast.Name) and part.id == name)
        for part in inside(node)
    )


def _foreign_owner(module: Module) -> Iterator[Fault]:
    """Point at owners that are set from input where no model declares them: `data["owner_id"]`."""
    for part in module.walk(ast.keyword):
        if (
            isinstance(part, ast.keyword)
            and part.arg
            and _OWNER.match(part.arg)
            and _is_row_call(module, module.parents.get(part))
            and module.value(part.value).labels & {INPUT, SHAPED}
        ):
            yield Fault(
                part.value,
                f"The client chooses `{part.arg}`, and with it whose this is.",
                "Leave it out: the service stamps the caller as owner.",
            )
