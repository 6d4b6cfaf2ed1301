"""Generated statements: whatever they combine, no row of another is read, changed or counted, and none of one's own is
lost.

``BREAKWATER_EXAMPLES=10000`` runs as many; a few hundred run with the suite.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ForeignKey, and_, create_engine, delete, exists, func, insert, or_, select, text, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)

from app.patterns.ownership import Owned, OwnerScope, bind, guard_engine, guard_sessions
from tests.support.wide import examples

EXAMPLES = int(os.environ.get("BREAKWATER_EXAMPLES", str(examples(150))))
SUBJECTS, TENANTS = ("ann", "ben"), ("north", "south")
CALLERS = [(subject, tenant) for tenant in TENANTS for subject in SUBJECTS]
ROWS = 3
"""Of each model and caller."""


class Base(DeclarativeBase):
    pass


class Box(Owned, Base):
    __tablename__ = "boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    items: Mapped[list[Item]] = relationship(back_populates="box")


class Item(Owned, Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    box_id: Mapped[int] = mapped_column(ForeignKey("boxes.id"))
    box: Mapped[Box] = relationship(back_populates="items")


class Shared(Base):
    __tablename__ = "shared"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]


class Guarded(Session):
    pass


guard_sessions(Guarded)
engine = create_engine("sqlite://")
guard_engine(engine)
Base.metadata.create_all(engine)


def fill() -> None:
    """Make every caller's rows anew. Items of one caller lie in boxes of all: a foreign key is no border."""
    with engine.begin() as connection:
        for table in ("items", "boxes", "shared"):
            connection.execute(text(f"DELETE FROM {table}"))
        for model, name in ((Box, "boxes"), (Item, "items")):
            rows: list[dict[str, Any]] = [
                {"id": number * 10 + row, "size": row, "o": subject, "t": tenant, "box": (number * 7 + row * 13) % 40}
                for number, (subject, tenant) in enumerate(CALLERS)
                for row in range(ROWS)
            ]
            for row in rows:
                row["box"] = (row["box"] // 10) * 10 + row["box"] % ROWS
            box, value = (", box_id", ", :box") if model is Item else ("", "")
            sql = f"INSERT INTO {name} (id, size, owner_id, tenant_id{box}) VALUES (:id, :size, :o, :t{value})"
            connection.execute(text(sql), rows)
        connection.execute(text("INSERT INTO shared (id, size) VALUES (1, 0), (2, 1), (3, 2)"))


def rows_of(table: str) -> dict[int, tuple[Any, ...]]:
    with engine.connect() as connection:
        return {row.id: tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))}


@dataclass(frozen=True)
class Caller:
    subject: str
    tenant: str
    reach: Any

    def sees(self, owner: str, tenant: str) -> bool:
        """Say independently of the code under test whose rows these are."""
        if self.reach == "all":
            return True
        if self.reach == "tenant":
            return tenant == self.tenant
        return self.reach == "own" and (owner, tenant) == (self.subject, self.tenant)

    def ids(self) -> set[int]:
        return {
            number * 10 + row
            for number, (subject, tenant) in enumerate(CALLERS)
            for row in range(ROWS)
            if self.sees(subject, tenant)
        }


callers = st.builds(
    Caller,
    st.sampled_from(SUBJECTS),
    st.sampled_from(TENANTS),
    st.sampled_from(["own", "own", "tenant", "all", "none"]),
)
models: st.SearchStrategy[Any] = st.sampled_from([Box, Item])


@st.composite
def conditions(draw: st.DrawFn, model: Any, depth: int = 2) -> Any:  # noqa: C901, PLR0911 - a case for each shape
    """Draw a condition on a model or an alias of it; many are true of everybody's rows."""
    kinds = ["size", "always", "owner", "id"]
    if depth:
        kinds += ["and", "or", "not", "in", "exists", "count", "max"]
    kind = draw(st.sampled_from(kinds))
    other = draw(models)
    match kind:
        case "size":
            return model.size >= draw(st.integers(-1, ROWS))
        case "always":
            return model.id > -1
        case "owner":
            return model.owner_id == draw(st.sampled_from(SUBJECTS))
        case "id":
            return model.id == draw(st.integers(0, 39))
        case "and":
            return and_(draw(conditions(model, depth - 1)), draw(conditions(model, depth - 1)))
        case "or":
            return or_(draw(conditions(model, depth - 1)), draw(conditions(model, depth - 1)))
        case "not":
            return ~draw(conditions(model, depth - 1))
        case "in":
            return model.size.in_(select(other.size).where(draw(conditions(other, depth - 1))))
        case "exists":
            inner = aliased(other)
            return exists(select(inner.id).where(draw(conditions(inner, depth - 1))))
        case "count":
            return select(func.count()).select_from(other).scalar_subquery() > draw(st.integers(-1, 12))
    return select(func.max(other.id)).scalar_subquery() >= draw(st.integers(-1, 40))


@st.composite
def selects(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw a SELECT of ids of one model, in some disguise."""
    model = draw(models)
    target = aliased(model) if draw(st.booleans()) else model
    statement = select(target.id).where(draw(conditions(target)))
    match draw(st.sampled_from(["plain", "join", "outer", "subquery", "cte", "union", "group", "distinct", "shared"])):
        case "join":
            far = target.items if model is Box else target.box
            statement = statement.join(far)
        case "outer":
            far = target.items if model is Box else target.box
            statement = statement.outerjoin(far)
        case "subquery":
            statement = select(statement.subquery().c.id)
        case "cte":
            statement = select(statement.cte("c").c.id)
        case "union":
            statement = select(statement.union_all(select(model.id)).subquery().c.id)
        case "group":
            statement = statement.group_by(target.id).having(func.count() > 0)
        case "distinct":
            statement = statement.distinct()
        case "shared":
            statement = statement.join(Shared, Shared.size == target.size)
    return model, statement


def visible(caller: Caller, model: Any, ids: Any) -> None:
    assert set(ids) <= caller.ids(), f"{caller} saw rows of {model.__name__} that it must not"


def check_objects(caller: Caller, boxes: list[Box]) -> None:
    for box in boxes:
        assert caller.sees(box.owner_id, box.tenant_id)
        for item in box.items:
            assert caller.sees(item.owner_id, item.tenant_id)
            assert item.box is None or caller.sees(item.box.owner_id, item.box.tenant_id)


def read(session: Session, caller: Caller, data: st.DataObject) -> None:
    model, statement = data.draw(selects())
    kind = data.draw(st.sampled_from(["ids", "count", "objects", "get", "load", "everything"]))
    match kind:
        case "ids":
            visible(caller, model, session.scalars(statement).all())
        case "count":
            count = session.scalar(select(func.count(statement.subquery().c.id.distinct()))) or 0
            assert count <= len(caller.ids())
        case "objects":
            found = session.scalars(select(model).where(data.draw(conditions(model)))).all()
            visible(caller, model, [each.id for each in found])
        case "get":
            found = [session.get(model, number) for number in data.draw(st.lists(st.integers(0, 39), max_size=6))]
            visible(caller, model, [each.id for each in found if each is not None])
        case "load":
            loader = data.draw(st.sampled_from([joinedload, selectinload, subqueryload]))
            check_objects(caller, list(session.scalars(select(Box).options(loader(Box.items))).unique()))
        case "everything":
            # What is one's own is all there: a guard that hides everything is no guard.
            assert set(session.scalars(select(model.id))) == caller.ids()
            assert session.scalar(select(func.count()).select_from(model)) == len(caller.ids())


def write(session: Session, caller: Caller, data: st.DataObject) -> None:
    model = data.draw(models)
    condition = data.draw(conditions(model))
    sync = data.draw(st.sampled_from(["auto", "fetch", False]))
    match data.draw(
        st.sampled_from(["update", "update returning", "delete", "delete returning", "object", "insert", "copy"])
    ):
        case "update":
            session.execute(update(model).where(condition).values(size=99).execution_options(synchronize_session=sync))
        case "update returning":
            visible(caller, model, session.scalars(update(model).where(condition).values(size=99).returning(model.id)))
        case "delete":
            session.execute(delete(Item).where(data.draw(conditions(Item))).execution_options(synchronize_session=sync))
        case "delete returning":
            visible(caller, Item, session.scalars(delete(Item).where(data.draw(conditions(Item))).returning(Item.id)))
        case "object":
            for each in session.scalars(select(model).where(condition)):
                each.size = 99
        case "insert" if caller.reach != "none":
            session.add(Box(id=100, size=0))
        case "copy" if caller.reach != "none":
            chosen = select(model.id + 200, model.size).where(condition)
            session.execute(insert(Box).from_select(["id", "size"], chosen))
    session.commit()


seen: Counter[str] = Counter()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(callers, st.sampled_from([read, write]), st.data())
def generated(caller: Caller, act: Any, data: st.DataObject) -> None:
    fill()
    before = {table: rows_of(table) for table in ("boxes", "items")}
    with Guarded(engine) as session:
        bind(session, OwnerScope(caller.subject, caller.tenant, caller.reach))
        act(session, caller, data)
    seen[act.__name__] += 1
    for table, rows in before.items():
        after = rows_of(table)
        for number, row in rows.items():
            if number not in caller.ids():
                assert after.get(number) == row, f"{caller} changed another's row of {table}"
        for number in after.keys() - rows.keys():
            assert {caller.subject, caller.tenant} <= set(after[number])
            assert number < 200 or number - 200 in caller.ids()


def test_no_statement_crosses_the_line() -> None:
    generated()
    assert min(seen["read"], seen["write"]) > EXAMPLES // 5
