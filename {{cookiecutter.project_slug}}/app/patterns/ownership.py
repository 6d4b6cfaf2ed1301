"""Ownership: every statement of a request reaches only what its caller may reach.

Threat: a handler fetches, lists, changes or counts by an id that the caller chose, and forgets to ask whose it is
(OWASP API1:2023, broken object level authorization). Or it takes the owner from the request.

What it does: a model that inherits :class:`Owned` has an owner and a tenant. A session is bound to one caller. From
then on each ORM statement of that session, whatever its shape, carries the condition that its rows are the caller's;
what is inserted is stamped with the caller; and owner and tenant can be neither set nor changed. Another's row is not
there: ``get`` returns None, and the handler's 404 is the same as for a row that never was.

What cannot be scoped is refused, with what to write instead: statements on the bare table, however it is made and
spelt; where the database has no row security of its own, texts that name an owned table or could undo the condition
of a statement (prefixes, hints, operators and unquoted names are texts too); ON CONFLICT DO UPDATE, the legacy bulk
methods, and flushing changes of an object that no scoped query has loaded. A session that nobody bound refuses every
statement.
For what goes past the session's events (the legacy bulk methods, a statement on ``session.connection()``) the engine
has to be guarded as well.

What it does not do: hide that a primary key is taken from who inserts the same one; stop code that works on a session
or an engine of its own. Behind it, on PostgreSQL, belongs row security.

Costs: a lookup in a cache and one condition a statement.

To lift it: needs ``sqlalchemy`` 2.1. ``class Order(Owned, Base)``; ``guard_sessions(MySession)`` once, and
``guard_engine(engine)`` for each engine, and ``bind(session, OwnerScope(...))`` for each request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Connection, Select, String, event
from sqlalchemy.orm import (
    Mapped,
    ORMExecuteState,
    Session,
    configure_mappers,
    declared_attr,
    mapped_column,
    with_loader_criteria,
)
from sqlalchemy.orm.exc import ObjectDeletedError
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.dml import Insert, Update, UpdateBase
from sqlalchemy.sql.elements import ColumnClause, TextClause, quoted_name
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.selectable import Alias, SelectBase, TableClause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy.engine import Engine, ExecutionContext
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Mapper, SessionTransaction, UOWTransaction

Reach = Literal["none", "own", "tenant", "all"]

MAX_NAME: Final = 255
"""Characters of an owner or a tenant: what identity providers promise for a subject (OpenID Connect Core, 2)."""

TRUSTED: Final = "ownership_trusted"
"""Execution option of statements of the service's own on a request's session, such as those on a protected table."""

_BINDING: Final = "ownership_binding"
_SCOPED: Final = "ownership_scoped"
_COLUMNS: Final = frozenset({"owner_id", "tenant_id"})


@dataclass(frozen=True, slots=True)
class OwnerScope:
    """Who asks, and how far it reaches.

    Attributes:
        subject: the caller; owner of what it inserts.
        tenant: its tenant, ``""`` for none.
        reach: ``none`` of the owned rows (nobody knows who asks), its ``own``, its ``tenant``'s, or ``all``.
    """

    subject: str
    tenant: str
    reach: Reach


class OwnershipError(Exception):
    """A statement or a change that cannot be held to its caller; the text says what to write instead."""


class OwnerNotYours(OwnershipError):
    """Code tried to set or change an owner or a tenant."""

    def __init__(self, model: str) -> None:
        super().__init__(f"{model}: owner_id and tenant_id are stamped by the service; remove them from your code")


class Unscoped(OwnershipError):
    """A statement on owned rows that is not bound to a caller."""


@dataclass(slots=True)
class _Binding:
    """A session's caller, and whether the session is flushing: its own statements are no handler's."""

    scope: OwnerScope
    flushing: bool = False


_protected: dict[str, re.Pattern[str]] = {}
"""Tables that no textual statement may name where the database does not guard them itself, with how they are found.

In lower case, because SQLite takes a name in any, with quotes too."""


def protect(table: str) -> None:
    """Have a table that is not :class:`Owned` treated like one: only trusted statements may name it."""
    _protected[table.lower()] = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(table)}(?![A-Za-z0-9_])", re.IGNORECASE)


def _stamp(field: str) -> Callable[[ExecutionContext], str]:
    """Return a column's default: the caller of the session whose connection inserts."""

    def stamp(context: ExecutionContext) -> str:
        binding: _Binding | None = context.execution_options.get(_BINDING)
        if binding is None or binding.scope.reach == "none":
            raise Unscoped("an owned row can only be inserted for a known caller, through the session of its request")
        return binding.scope.subject if field == "owner_id" else binding.scope.tenant

    return stamp


class Owned:
    """Mixin of a model whose rows belong to somebody: ``class Order(Owned, Base)``."""

    @declared_attr
    def owner_id(cls) -> Mapped[str]:  # noqa: N805 - SQLAlchemy calls it on the class
        """The subject who inserted the row."""
        return mapped_column(String(MAX_NAME), default=_stamp("owner_id"), nullable=False)

    @declared_attr
    def tenant_id(cls) -> Mapped[str]:  # noqa: N805
        """The tenant of that subject, ``""`` for none."""
        return mapped_column(String(MAX_NAME), default=_stamp("tenant_id"), nullable=False)


@event.listens_for(Owned, "mapper_configured", propagate=True)
def _configured(mapper: Mapper[Any], model: type[Any]) -> None:
    """Protect the table, and refuse every assignment to the two columns, a constructor's keyword included."""
    for table in mapper.tables:
        protect(table.name)

    def refuse(_target: object, _value: object, _old: object, _initiator: object) -> None:
        raise OwnerNotYours(model.__name__)

    for column in _COLUMNS:
        event.listen(getattr(model, column), "set", refuse)


def bind(session: Session | AsyncSession, scope: OwnerScope) -> None:
    """Bind a session to a caller, for as long as it lives.

    Raises:
        OwnershipError: it is bound to another one.
    """
    # Else the first query through a model would do it, and text that comes before knew of no protected table.
    configure_mappers()
    if session.info.setdefault(_BINDING, _Binding(scope)).scope != scope:
        raise OwnershipError("the session is bound to another caller")


def guard_sessions(session_class: type[Session]) -> None:
    """Hold every session of a class to its caller. Once a class; sessions of other classes are not affected."""
    event.listen(session_class, "after_begin", _begun)
    event.listen(session_class, "do_orm_execute", _before_statement)
    event.listen(session_class, "before_flush", _before_flush)
    event.listen(session_class, "after_flush_postexec", _flushed)
    event.listen(session_class, "after_soft_rollback", _flushed)


def guard_engine(engine: Engine) -> None:
    """Refuse what reaches owned tables past the hooks of a session; for databases without row security of their own.

    Args:
        engine: of sessions that are guarded; of an asynchronous one its ``sync_engine``.
    """
    event.listen(engine, "before_cursor_execute", _before_cursor)


def _binding_of(session: Session) -> _Binding:
    binding: _Binding | None = session.info.get(_BINDING)
    if binding is None:
        raise Unscoped("the session is not bound to a caller")
    return binding


def _begun(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    connection.execution_options(**{_BINDING: _binding_of(session)})


def _before_statement(state: ORMExecuteState) -> None:
    """Give a statement its condition, or refuse it."""
    scope = _binding_of(state.session).scope
    state.update_execution_options(**{_SCOPED: True})
    if state.execution_options.get(TRUSTED):
        return
    if not (state.is_relationship_load or state.is_column_load):
        _check(state, textual=state.session.get_bind().dialect.name != "postgresql")
    if scope.reach != "all":
        state.statement = state.statement.options(_criteria(scope))
        mapper = state.bind_mapper
        if state.is_column_load and mapper is not None and issubclass(mapper.class_, Owned):
            # What is loaded into an object that is there already is asked for without those criteria, and code may
            # have made such an object up.
            loading: Any = state.statement
            state.statement = loading.where(*_condition(scope, mapper.class_))


def _condition(scope: OwnerScope, model: type[Owned]) -> Iterator[Any]:
    """Yield what the rows of a model have to be, to be the caller's."""
    if scope.reach == "none":
        yield model.owner_id.is_(None)
        return
    yield model.tenant_id == scope.tenant
    if scope.reach == "own":
        yield model.owner_id == scope.subject


@lru_cache(maxsize=1024)
def _criteria(scope: OwnerScope) -> Any:
    """Return the condition that goes with every statement, into its subqueries and into what it loads later."""
    subject, tenant = scope.subject, scope.tenant
    if scope.reach == "own":
        return with_loader_criteria(
            Owned,
            lambda cls: (cls.owner_id == subject) & (cls.tenant_id == tenant),
            include_aliases=True,
            propagate_to_loaders=True,
        )
    if scope.reach == "tenant":
        return with_loader_criteria(
            Owned, lambda cls: cls.tenant_id == tenant, include_aliases=True, propagate_to_loaders=True
        )
    return with_loader_criteria(
        Owned, lambda cls: cls.owner_id.is_(None), include_aliases=True, propagate_to_loaders=True
    )


def _check(state: ORMExecuteState, *, textual: bool) -> None:
    """Refuse what a condition does not reach.

    Raises:
        OwnershipError: with what to write instead.
    """
    statement = state.statement
    if isinstance(statement, ExecutableDDLElement):
        raise Unscoped("tables and views are made by migrations: remove the statement")
    found = _scopes(statement)
    for scope in found:
        if bare := scope.bare - scope.mapped:
            raise Unscoped(f"a statement on the bare table {min(bare)!r} has no owner: use the model's class")
    if textual:
        owned = any(scope.mapped for scope in found)
        for scope in found:
            for text, condition in scope.texts:
                _check_text(text)
                if owned and not (_NUMBER if condition else _PLAIN).fullmatch(text):
                    raise Unscoped(
                        f"text ({text[:60]!r}) may undo the condition of a statement on owned rows: "
                        "use the model's columns"
                    )
    if isinstance(statement, UpdateBase):
        _check_write(state, statement)


_PLAIN: Final = re.compile(r"[\w\s.,*]*+(?:\([\w\s.,*]*+\)[\w\s.,*]*+)*+")
"""Text that can stand in a list of columns or an order and do no more: names, numbers, calls; no comment, no quote."""

_NUMBER: Final = re.compile(r"[0-9]+|\*")
"""Text that SQLAlchemy itself puts into conditions: the 1 of an EXISTS, the * of a count."""


@dataclass(slots=True)
class _Scope:
    """What one SELECT, or the statement itself, names.

    Attributes:
        mapped: protected tables that are there as mapped classes, and so get their condition.
        sources: tables that are there by themselves or by a column of theirs, and aliases of them.
        bare: the protected ones among these.
        texts: what is there as text, and whether it stands where conditions stand.
    """

    mapped: set[str] = field(default_factory=set)
    sources: list[Any] = field(default_factory=list)
    bare: set[str] = field(default_factory=set)
    texts: list[tuple[str, bool]] = field(default_factory=list)


def _scopes(statement: Any) -> list[_Scope]:
    """Return what each SELECT of a statement names, without looking into what belongs to a mapped class."""
    outermost = _Scope()
    found, stack = [outermost], [(statement, outermost, False)]
    aliases: set[int] = set()
    while stack:
        element, scope, condition = stack.pop()
        entity = element._annotations.get("parententity")  # noqa: SLF001 - no public way to ask
        if entity is not None:
            if entity.is_mapper:
                scope.mapped.update({table.name.lower() for table in entity.tables} & _protected.keys())
            else:
                aliases.add(id(entity.selectable))
                scope.mapped.add("")  # an alias of a class: there is a condition that text could undo
            continue
        if isinstance(element, SelectBase):
            scope = _Scope()
            found.append(scope)
        _note(element, scope, condition=condition)
        stack.extend((child, scope, conditional or condition) for child, conditional in _children(element))
    for scope in found:
        scope.bare.update(
            {_table_name(table) for table in scope.sources if id(table) not in aliases} & _protected.keys()
        )
    return found


@lru_cache(maxsize=4096)
def _has(kind: Any, name: str) -> bool:
    return hasattr(kind, name)


def _part(element: Any, name: str, default: Any = ()) -> Any:
    """Return an attribute that an element has itself, or has from its class.

    ``getattr`` of a column goes on to ask what compares columns of its type, which does not have it either, and takes
    longer to say so than all the rest of a check.
    """
    kind: Any = type(element)
    if name in element.__dict__ or _has(kind, name):
        return getattr(element, name, default)
    return default


def _note(element: Any, scope: _Scope, *, condition: bool) -> None:
    """Note what one element is, if it is a table, a column of one, or text."""
    operator = _part(element, "operator", None)
    if isinstance(operator, custom_op) and not (_SIGNS if operator.precedence > 0 else _OPERATOR).fullmatch(
        operator.opstring
    ):
        scope.texts.append((operator.opstring, True))
    scope.texts.extend((text, True) for text in _annexes(element))
    name = _part(element, "name", None)
    if isinstance(name, quoted_name) and name.quote is False:
        scope.texts.append((str(name), True))  # goes into the statement as it is
    if isinstance(element, TableClause):  # a Table, or what table() makes
        scope.sources.append(element)
    elif isinstance(element, TextClause):
        scope.texts.append((element.text, condition))
    elif isinstance(element, ColumnClause):
        if element.is_literal:
            scope.texts.append((element.name, condition))
        elif "parentmapper" not in element._annotations:  # noqa: SLF001 - else it came from a class, by its relationship
            scope.sources.append(element.table)


_SIGNS: Final = re.compile(r"""(?:(?!--|/\*)[^\w\s()'"`;\[\],])+""")
_OPERATOR: Final = re.compile(rf"{_SIGNS.pattern}|[a-z]+(?:\s[a-z]+)*", re.IGNORECASE)
"""An operator of somebody's own that is one: signs, which bind closer than AND, or words, which stay in the brackets
that are put round them, unless a precedence was given: OR would then stand without."""


def _annexes(element: Any) -> Iterator[str]:
    """Yield the texts that a statement was given before, behind and between its parts."""
    for name in ("_prefixes", "_suffixes"):
        yield from (str(getattr(annex, "text", annex)) for annex, *_ in _part(element, name))
    yield from (text for _, text in _part(element, "_statement_hints"))
    yield from dict(_part(element, "_hints")).values()


def _table_name(source: Any) -> str:
    """Return the name of the table that a column's source is, or is an alias of; empty for anything else."""
    while isinstance(source, Alias):
        source = source.element
    return source.name.lower() if isinstance(source, TableClause) else ""


def _children(element: Any) -> Iterator[tuple[Any, bool]]:
    """Yield the parts of an element, and whether each stands where conditions stand."""
    if isinstance(element, ColumnClause):
        return
    conditions = {id(part) for name in _CONDITIONS for part in _part(element, name)}
    joins = _part(element, "_setup_joins")
    conditions |= {id(onclause) for _, onclause, *_ in joins}
    named = {id(part) for name in ("_raw_columns", "_from_obj") for part in _part(element, name)}
    named |= {id(target) for target, *_ in joins}
    for child in element.get_children():
        # A SELECT also lists the tables that follow from its columns and joins; it is these that are judged.
        if isinstance(element, Select) and id(child) not in named and _table_name(child):
            continue
        yield child, id(child) in conditions


_CONDITIONS: Final = ("_where_criteria", "_having_criteria")


def _check_text(text: str) -> None:
    for name, pattern in _protected.items():
        if pattern.search(text):
            raise Unscoped(f"a textual statement on {name!r} cannot be scoped here: use select() on the model's class")


def _check_write(state: ORMExecuteState, statement: UpdateBase) -> None:
    """Refuse writes that name an owner, or that find their rows by another way than a condition."""
    mapper = state.bind_mapper
    if mapper is None or not issubclass(mapper.class_, Owned):
        return
    if _COLUMNS & _written(state, statement):
        raise OwnerNotYours(mapper.class_.__name__)
    if isinstance(statement, Insert) and hasattr(statement._post_values_clause, "update_values_to_set"):  # noqa: SLF001
        raise Unscoped("ON CONFLICT DO UPDATE may change another's row: insert in a savepoint, or select and change")
    if isinstance(statement, Update) and state.is_executemany:
        raise Unscoped("an update by a list of primary keys has no condition: use update().where(), or change objects")


def _written(state: ORMExecuteState, statement: UpdateBase) -> set[str]:
    """Return the names of the columns to which a statement or its parameters give a value."""
    values: list[Any] = [*(getattr(statement, "_values", None) or ())]
    for pairs in getattr(statement, "_multi_values", None) or ():
        for row in pairs:
            values += row if isinstance(row, dict) else ()
    values += [name for name, _ in getattr(statement, "_ordered_values", None) or ()]
    values += getattr(statement, "_select_names", None) or ()
    parameters = state.parameters
    rows: Iterable[Any] = parameters if isinstance(parameters, list | tuple) else [parameters or {}]
    return {getattr(value, "key", value) for value in values} | {name for row in rows for name in row}


def _before_flush(session: Session, _context: UOWTransaction, _instances: object) -> None:
    """Let a flush change only rows that the caller may reach.

    Raises:
        OwnershipError: an object is not the caller's, or says whose it is.
    """
    binding = _binding_of(session)
    for instance in session.new:
        if isinstance(instance, Owned) and _COLUMNS & instance.__dict__.keys():
            raise OwnerNotYours(type(instance).__name__)
    for instance in (*session.dirty, *session.deleted):
        if isinstance(instance, Owned) and not _reaches(binding.scope, instance):
            raise Unscoped(
                f"this {type(instance).__name__} is not one that the caller may change: load it by a query first"
            )
    binding.flushing = True


def _reaches(scope: OwnerScope, instance: Owned) -> bool:
    try:
        owner, tenant = instance.owner_id, instance.tenant_id  # from a scoped query, now if not before
    except ObjectDeletedError:
        return False
    match scope.reach:
        case "all":
            return True
        case "tenant":
            return tenant == scope.tenant
        case "own":
            return tenant == scope.tenant and owner == scope.subject
    return False


def _flushed(session: Session, *_: object) -> None:
    _binding_of(session).flushing = False


def _before_cursor(
    _connection: Connection,
    _cursor: object,
    statement: str,
    _values: object,
    context: ExecutionContext | None,
    _many: bool,  # noqa: FBT001
) -> None:
    options = context.execution_options if context is not None else {}
    binding: _Binding | None = options.get(_BINDING)
    if binding is None or binding.flushing or options.get(_SCOPED):
        return
    _check_text(statement)
