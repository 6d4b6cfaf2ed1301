"""Whatever shape a statement has, its rows are the caller's; what cannot be held to that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    DDL,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    column,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    literal_column,
    quoted_name,
    select,
    table,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError, InvalidRequestError, StatementError
from sqlalchemy.orm import (
    Bundle,
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    column_property,
    contains_eager,
    join,
    joinedload,
    make_transient_to_detached,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
    undefer,
)
from sqlalchemy.orm.exc import ObjectDeletedError

from app.patterns.ownership import (
    Owned,
    OwnerNotYours,
    OwnerScope,
    OwnershipError,
    Unscoped,
    bind,
    guard_engine,
    guard_sessions,
    protect,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


class Base(DeclarativeBase):
    pass


class Parcel(Owned, Base):
    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))
    labels: Mapped[list[Label]] = relationship(back_populates="parcel")
    shelf: Mapped[Shelf | None] = relationship(back_populates="parcels")


class Label(Owned, Base):
    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    parcel_id: Mapped[int] = mapped_column(ForeignKey("parcels.id"))
    parcel: Mapped[Parcel] = relationship(back_populates="labels")


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    parcels: Mapped[list[Parcel]] = relationship(back_populates="shelf")
    count: Mapped[int] = column_property(
        select(func.count(Parcel.id))
        .where(Parcel.shelf_id == id)  # noqa: A003 - the column above
        .correlate_except(Parcel)
        .scalar_subquery(),
        deferred=True,
    )


class Guarded(Session):
    pass


guard_sessions(Guarded)
ALICE = OwnerScope("alice", "acme", "own")
CALLERS = {
    "alice": ALICE,
    "bob": OwnerScope("bob", "acme", "own"),
    "alice of another tenant": OwnerScope("alice", "umbrella", "own"),
    "mallory": OwnerScope("mallory", "umbrella", "own"),
}


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    guard_engine(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Shelf(id=1))
        session.commit()
    for number, caller in enumerate(CALLERS.values(), start=1):
        with Guarded(engine) as session:
            bind(session, caller)
            parcel = Parcel(id=number * 10, name=f"parcel {number}", shelf_id=1)
            parcel.labels = [Label(id=number * 10 + 1, text="x")]
            session.add(parcel)
            session.commit()
    yield engine
    engine.dispose()


def as_(engine: Engine, scope: OwnerScope = ALICE) -> Guarded:
    session = Guarded(engine)
    bind(session, scope)
    return session


@pytest.fixture
def alice(engine: Engine) -> Iterator[Guarded]:
    with as_(engine) as session:
        yield session


def untouched(engine: Engine, *, but: int = 10) -> list[tuple[int, str, str]]:
    """Return the parcels that are not alice's, as they are in the database."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, name, owner_id FROM parcels WHERE id <> :but ORDER BY id"), {"but": but}
        )
        return [tuple(row) for row in rows]


OTHERS = [(20, "parcel 2", "bob"), (30, "parcel 3", "alice"), (40, "parcel 4", "mallory")]

other = aliased(Parcel)
sub = select(Parcel).subquery()
READS: dict[str, Callable[[Session], Any]] = {
    "entity": lambda s: [p.id for p in s.scalars(select(Parcel))],
    "column": lambda s: s.scalars(select(Parcel.id)).all(),
    "another column first": lambda s: [row[1] for row in s.execute(select(Parcel.name, Parcel.id))],
    "count": lambda s: [10] * s.scalars(select(func.count()).select_from(Parcel)).one(),
    "count of a column": lambda s: [10] * s.scalars(select(func.count(Parcel.id))).one(),
    "a literal from": lambda s: [10] * len(s.scalars(select(literal_column("1")).select_from(Parcel)).all()),
    "alias": lambda s: [p.id for p in s.scalars(select(other))],
    "alias of a subquery": lambda s: [p.id for p in s.scalars(select(aliased(Parcel, sub)))],
    "subquery": lambda s: s.scalars(select(sub.c.id)).all(),
    "CTE": lambda s: s.scalars(select(select(Parcel.id).cte("c").c.id)).all(),
    "union": lambda s: list(set(s.scalars(union_all(select(Parcel.id), select(Parcel.id))).all())),
    "scalar subquery": lambda s: [s.scalar(select(select(func.max(Parcel.id)).scalar_subquery()))],
    "in": lambda s: s.scalars(select(Parcel.id).where(Parcel.id.in_(select(Parcel.id)))).all(),
    "exists": lambda s: [10] if s.scalar(select(exists().where(Parcel.id == 10))) else [],
    "does not exist": lambda s: [10] if not s.scalar(select(exists().where(Parcel.id == 20))) else [],
    "or true": lambda s: s.scalars(select(Parcel.id).where((Parcel.id == 10) | (Parcel.id > 0))).all(),
    "an order in text": lambda s: s.scalars(select(Parcel.id).order_by(text("name desc, max(id, 1)"))).all(),
    "join": lambda s: s.scalars(select(Parcel.id).join(Parcel.labels)).all(),
    "join the other way": lambda s: s.scalars(select(Parcel.id).join(Label, Label.parcel_id == Parcel.id)).all(),
    "outer join": lambda s: [
        row[1] for row in s.execute(select(Shelf.id, Parcel.id).outerjoin(Shelf.parcels)) if row[1]
    ],
    "joins of aliases": lambda s: s.scalars(select(other.id).join(other.labels)).all(),
    "any": lambda s: s.scalars(select(Parcel.id).where(Parcel.labels.any(Label.text == "x"))).all(),
    "any of an alias": lambda s: s.scalars(select(other.id).where(other.labels.any())).all(),
    "has": lambda s: [label.id - 1 for label in s.scalars(select(Label).where(Label.parcel.has(Parcel.id > 0)))],
    "self join": lambda s: s.scalars(select(Parcel.id).join(other, other.id >= Parcel.id)).all(),
    "a mapped join": lambda s: s.scalars(select(Parcel.id).select_from(join(Shelf, Parcel))).all(),
    "a mapped join by its relationship": lambda s: s.scalars(
        select(Parcel.id).select_from(join(Shelf, Parcel, Shelf.parcels))
    ).all(),
    "joinedload": lambda s: [
        p.id for p in s.scalars(select(Shelf).options(joinedload(Shelf.parcels))).unique().one().parcels
    ],
    "selectinload": lambda s: [
        p.id for p in s.scalars(select(Shelf).options(selectinload(Shelf.parcels))).one().parcels
    ],
    "subqueryload": lambda s: [
        p.id for p in s.scalars(select(Shelf).options(subqueryload(Shelf.parcels))).one().parcels
    ],
    "lazy load": lambda s: [p.id for p in s.scalars(select(Shelf)).one().parcels],
    "lazy load after get": lambda s: [p.id for p in s.get_one(Shelf, 1).parcels],
    "contains_eager": lambda s: [
        p.id
        for p in s.scalars(select(Shelf).join(Shelf.parcels).options(contains_eager(Shelf.parcels)))
        .unique()
        .one()
        .parcels
    ],
    "column property": lambda s: [10] * s.scalars(select(Shelf).options(undefer(Shelf.count))).one().count,
    "deferred column": lambda s: [10] * s.get_one(Shelf, 1).count,
    "bundle": lambda s: [b.id for b in s.scalars(select(Bundle[Any]("b", Parcel.id, Parcel.name)))],
    "from_statement": lambda s: [p.id for p in s.scalars(select(Parcel).from_statement(select(Parcel)))],
    "get": lambda s: [p.id for p in (s.get(Parcel, number) for number in (10, 20, 30, 40)) if p is not None],
    "get with lock": lambda s: [
        p.id for p in (s.get(Parcel, n, with_for_update=True) for n in (10, 20)) if p is not None
    ],
    "query": lambda s: [p.id for p in s.query(Parcel)],
    "query get": lambda s: [p.id for p in s.query(Parcel).filter_by(name="parcel 1")],
    "query count": lambda s: [10] * s.query(Parcel).count(),
    "label's parcel": lambda s: [label.parcel.id for label in s.scalars(select(Label))],
    "bare columns of a mapped select": lambda s: s.scalars(select(Parcel.id).where(Parcel.__table__.c.id > 0)).all(),
    "yield_per": lambda s: [p.id for p in s.scalars(select(Parcel).execution_options(yield_per=1))],
    "partitions": lambda s: [p.id for part in s.scalars(select(Parcel)).partitions(2) for p in part],
    "ordered": lambda s: s.scalars(select(Parcel.id).order_by(Parcel.name.desc()).limit(10)).all(),
    "grouped": lambda s: s.scalars(select(func.max(Parcel.id)).group_by(Parcel.owner_id)).all(),
    "having": lambda s: s.scalars(select(func.max(Parcel.id)).group_by(Parcel.name).having(func.count() > 0)).all(),
    "window": lambda s: [row[0] for row in s.execute(select(Parcel.id, func.row_number().over(order_by=Parcel.id)))],
    "correlated": lambda s: [
        row[0]
        for row in s.execute(
            select(Parcel.id, select(func.count(other.id)).where(other.id != Parcel.id).scalar_subquery())
        )
        if row[1] == 0
    ],
    "lateral": lambda s: s.scalars(select(select(Parcel.id).where(Parcel.id > 0).subquery().c.id)).all(),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_returns_what_is_the_callers_and_nothing_else(alice: Guarded, name: str) -> None:
    assert list(READS[name](alice)) == [10]


@pytest.mark.parametrize("name", sorted(READS.keys() - {"exists", "query get", "correlated"}))
def test_the_same_read_without_a_guard_returns_more(engine: Engine, name: str) -> None:
    # Without the three whose own condition finds one row either way.
    with Session(engine) as session:
        assert sorted(READS[name](session)) != [10]


WRITES: dict[str, Callable[[Session], Any]] = {
    "update all": lambda s: s.execute(update(Parcel).values(name="changed")),
    "update one": lambda s: s.execute(update(Parcel).where(Parcel.id == 20).values(name="changed")),
    "update fetched": lambda s: s.execute(
        update(Parcel).values(name="changed").execution_options(synchronize_session="fetch")
    ),
    "update unsynchronized": lambda s: s.execute(
        update(Parcel).values(name="changed").execution_options(synchronize_session=False)
    ),
    "update returning": lambda s: s.scalars(update(Parcel).values(name="changed").returning(Parcel.id)).all(),
    "update by subquery": lambda s: s.execute(
        update(Parcel).where(Parcel.id.in_(select(Parcel.id))).values(name="changed")
    ),
    "update from": lambda s: s.execute(
        update(Parcel).where(Parcel.id == Label.parcel_id, Label.text == "x").values(name="changed")
    ),
    "update by parameters": lambda s: s.execute(update(Parcel), {"name": "changed"}),
    "query update": lambda s: s.query(Parcel).update({"name": "changed"}),
    "delete labels and all": lambda s: (s.execute(delete(Label)), s.execute(delete(Parcel))),
    "delete returning": lambda s: s.scalars(delete(Label).returning(Label.id)).all(),
    "query delete": lambda s: s.query(Label).delete(),
    "change an object": lambda s: setattr(s.get_one(Parcel, 10), "name", "changed"),
    "merge": lambda s: s.merge(Parcel(id=10, name="changed")),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_changes_what_is_the_callers_and_nothing_else(engine: Engine, name: str) -> None:
    with as_(engine) as session:
        WRITES[name](session)
        session.commit()
    assert untouched(engine) == OTHERS
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM labels WHERE owner_id || tenant_id <> 'aliceacme'")) == 3


def test_returning_tells_nothing_of_others(alice: Guarded) -> None:
    assert alice.scalars(update(Parcel).values(name="changed").returning(Parcel.id)).all() == [10]
    assert alice.scalars(delete(Label).returning(Label.id)).all() == [11]


def test_a_row_count_tells_nothing_of_others(alice: Guarded) -> None:
    assert alice.execute(update(Parcel).values(name="changed")).rowcount == 1  # type: ignore[attr-defined]


def test_merging_anothers_row_does_not_change_it(engine: Engine) -> None:
    with as_(engine) as session:
        session.merge(Parcel(id=20, name="changed"))
        with pytest.raises(IntegrityError):
            session.commit()
    assert untouched(engine) == OTHERS


INSERTS: dict[str, Callable[[Session], Any]] = {
    "add": lambda s: s.add(Parcel(id=50, name="new")),
    "add_all": lambda s: s.add_all([Parcel(id=50, name="new")]),
    "insert values": lambda s: s.execute(insert(Parcel).values(id=50, name="new")),
    "insert many values": lambda s: s.execute(insert(Parcel).values([{"id": 50, "name": "new"}])),
    "insert parameters": lambda s: s.execute(insert(Parcel), {"id": 50, "name": "new"}),
    "insert a list": lambda s: s.execute(insert(Parcel), [{"id": 50, "name": "new"}, {"id": 51, "name": "new"}]),
    "insert returning": lambda s: s.scalars(insert(Parcel).returning(Parcel), [{"id": 50, "name": "new"}]).all(),
    "insert from select": lambda s: s.execute(
        insert(Parcel).from_select(["id", "name"], select(Parcel.id + 40, Parcel.name))
    ),
    "insert or nothing": lambda s: s.execute(sqlite.insert(Parcel).values(id=50, name="new").on_conflict_do_nothing()),
    "by a relationship": lambda s: s.add(Parcel(id=50, name="new", shelf=s.get_one(Shelf, 1))),
}


@pytest.mark.parametrize("name", INSERTS)
def test_what_is_inserted_is_the_callers(engine: Engine, name: str) -> None:
    with as_(engine) as session:
        INSERTS[name](session)
        session.commit()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT DISTINCT owner_id, tenant_id FROM parcels WHERE id >= 50")).all()
        count = connection.scalar(text("SELECT count(*) FROM parcels WHERE id >= 50"))
    assert [tuple(row) for row in rows] == [("alice", "acme")]
    assert count == (2 if name == "insert a list" else 1)


def _with_an_owner_slipped_in(session: Session) -> None:
    parcel = Parcel(name="x")
    session.add(parcel)
    parcel.__dict__["owner_id"] = "bob"
    session.flush()


OWNERS: dict[str, Callable[[Session], Any]] = {
    "constructor": lambda _s: Parcel(name="x", owner_id="bob"),
    "tenant in the constructor": lambda _s: Parcel(name="x", tenant_id="umbrella"),
    "attribute": lambda s: setattr(s.get_one(Parcel, 10), "owner_id", "bob"),
    "own name": lambda s: setattr(s.get_one(Parcel, 10), "owner_id", "alice"),
    "dictionary": _with_an_owner_slipped_in,
    "insert values": lambda s: s.execute(insert(Parcel).values(name="x", owner_id="bob")),
    "insert values by column": lambda s: s.execute(insert(Parcel).values({Parcel.name: "x", Parcel.owner_id: "bob"})),
    "insert many values": lambda s: s.execute(insert(Parcel).values([{"name": "x", "owner_id": "bob"}])),
    "insert parameters": lambda s: s.execute(insert(Parcel), {"name": "x", "owner_id": "bob"}),
    "insert a list": lambda s: s.execute(insert(Parcel), [{"name": "x"}, {"name": "y", "tenant_id": "umbrella"}]),
    "insert from select": lambda s: s.execute(
        insert(Parcel).from_select(["name", "owner_id"], select(Parcel.name, Parcel.name))
    ),
    "update values": lambda s: s.execute(update(Parcel).values(owner_id="bob")),
    "update by column": lambda s: s.execute(update(Parcel).values({Parcel.tenant_id: "umbrella"})),
    "update in order": lambda s: s.execute(update(Parcel).ordered_values((Parcel.owner_id, "bob"))),
    "update parameters": lambda s: s.execute(update(Parcel), {"owner_id": "bob"}),
    "query update": lambda s: s.query(Parcel).update({"owner_id": "bob"}),
}


@pytest.mark.parametrize("name", OWNERS)
def test_code_can_neither_set_nor_change_an_owner(engine: Engine, name: str) -> None:
    with as_(engine) as session, pytest.raises(OwnerNotYours, match="remove them from your code"):
        OWNERS[name](session)
    assert untouched(engine) == OTHERS


bare: Any = Parcel.__table__
by_name: Any = table("parcels", column("id"), column("name"))
REFUSED: dict[str, Callable[[Session], Any]] = {
    "bare table": lambda s: s.execute(select(bare)),
    "bare column": lambda s: s.execute(select(bare.c.id)),
    "bare table in a function": lambda s: s.execute(select(func.count(bare.c.id))),
    "bare table in from": lambda s: s.execute(select(literal_column("1")).select_from(bare)),
    "bare table in where": lambda s: s.execute(select(Shelf.id).where(exists().where(bare.c.owner_id == "bob"))),
    "bare table in a subquery": lambda s: s.execute(select(Parcel.id).where(Parcel.id.in_(select(bare.c.id)))),
    "bare count beside a mapped class": lambda s: s.execute(
        select(Parcel.id, select(func.count(bare.c.id)).correlate(None).scalar_subquery())
    ),
    "bare column of an alias": lambda s: s.execute(select(bare.alias().c.id)),
    "bare alias": lambda s: s.execute(select(bare.alias())),
    "bare insert": lambda s: s.execute(insert(bare).values(name="x")),
    "bare update": lambda s: s.execute(update(bare).values(name="changed")),
    "bare delete": lambda s: s.execute(delete(bare)),
    "a table by its name": lambda s: s.execute(select(by_name.c.id)),
    "a table by its name in another case": lambda s: s.execute(select(table("Parcels", column("id")))),
    "a table by its name in from": lambda s: s.execute(select(column("id")).select_from(by_name)),
    "an alias of a table by its name": lambda s: s.execute(select(by_name.alias())),
    "a table of another metadata": lambda s: s.execute(select(Table("PARCELS", MetaData(), Column("id", Integer)))),
    "a table by its name in a union": lambda s: s.execute(select(Shelf.id).union(select(by_name.c.id))),
    "a table by its name, returned": lambda s: s.execute(
        insert(Shelf).values(id=9).returning(select(by_name.c.name).where(by_name.c.id == 20).scalar_subquery())
    ),
    "objects of a table by its name": lambda s: s.execute(select(Parcel).from_statement(select(by_name))),
    "an update of a table by its name": lambda s: s.execute(update(by_name).values(name="changed")),
    "a delete of a table by its name": lambda s: s.execute(delete(by_name)),
    "a suffix that is a condition": lambda s: s.execute(select(Parcel.id).suffix_with("OR 1 = 1")),
    "a suffix that is a statement": lambda s: s.execute(select(Shelf.id).suffix_with("UNION SELECT id FROM parcels")),
    "a prefix": lambda s: s.execute(select(Shelf.id).prefix_with("(SELECT count(*) FROM parcels),")),
    "a hint": lambda s: s.execute(select(Parcel.id).with_statement_hint("OR 1 = 1")),
    "a hint for a table": lambda s: s.execute(select(Shelf.id).with_hint(Shelf, "JOIN parcels", "sqlite")),
    "an operator that is more": lambda s: s.execute(select(Parcel.id).where(Parcel.id.op("> 0) OR (1 =")(1))),
    "an operator that asks for no brackets": lambda s: s.execute(
        select(Parcel.id).where(Parcel.id.op("OR", precedence=100)(1))
    ),
    "an operator with a comment": lambda s: s.execute(select(Parcel.id).where(Parcel.id.op("/*")(1))),
    "an operator with a query": lambda s: s.execute(
        select(Shelf.id.op("+ (SELECT count(*) FROM parcels) +")(literal_column("0")))
    ),
    "a name without quotes": lambda s: s.execute(
        select(column(quoted_name("(SELECT count(*) FROM parcels)", quote=False)))
    ),
    "a view": lambda s: s.execute(DDL("CREATE VIEW v AS SELECT * FROM parcels")),  # type: ignore[no-untyped-call]
    "text": lambda s: s.execute(text("SELECT id FROM parcels")),
    "quoted text": lambda s: s.execute(text('SELECT id FROM "PARCELS"')),
    "text with a schema": lambda s: s.execute(text("SELECT id FROM main.parcels")),
    "text that writes": lambda s: s.execute(text("UPDATE parcels SET name = 'changed'")),
    "text as columns": lambda s: s.execute(text("SELECT id FROM parcels").columns(Parcel.id)),
    "text in from_statement": lambda s: s.execute(select(Parcel).from_statement(text("SELECT * FROM parcels"))),
    "text in where": lambda s: s.execute(select(Shelf.id).where(text("EXISTS (SELECT 1 FROM parcels)"))),
    "text as a condition": lambda s: s.execute(select(Parcel.id).where(text("1 = 1 OR 2 = 2"))),
    "text that comments the rest out": lambda s: s.execute(select(Parcel.id).where(text("1 = 1 /*"))),
    "text in having": lambda s: s.execute(select(func.max(Parcel.id)).group_by(Parcel.id).having(text("1 = 1 OR 1"))),
    "text in on": lambda s: s.execute(select(Parcel.id).join(Label, text("1 = 1 OR 1 = 1"))),
    "text in a condition of a subquery": lambda s: s.execute(
        select(Parcel.id).where(Parcel.shelf_id.in_(select(Shelf.id).where(text("1) OR (1 = 1"))))
    ),
    "an order that is more": lambda s: s.execute(
        select(Parcel.id).where(Parcel.shelf_id.in_(select(Shelf.id).order_by(text("1) OR (1 = 1"))))
    ),
    "an order with a comment": lambda s: s.execute(select(Parcel.id).order_by(text("name /*"))),
    "a literal column as a condition": lambda s: s.execute(select(Parcel.id).where(literal_column("1 OR 1"))),
    "update with text": lambda s: s.execute(update(Parcel).where(text("1 = 1 OR 1")).values(name="changed")),
    "delete with text": lambda s: s.execute(delete(Parcel).where(text("1 = 1 OR 1"))),
    "a join of bare tables": lambda s: s.execute(select(Shelf.id).select_from(Shelf.__table__.join(bare))),
    "a join to a bare table": lambda s: s.execute(select(Shelf.id).join(bare, bare.c.shelf_id == Shelf.id)),
    "literal column": lambda s: s.execute(select(literal_column("(SELECT count(*) FROM parcels)"))),
    "upsert": lambda s: s.execute(
        sqlite.insert(Parcel)
        .values(id=20, name="changed")
        .on_conflict_do_update(index_elements=[Parcel.id], set_={"name": "changed"})
    ),
    "update by primary keys": lambda s: s.execute(update(Parcel), [{"id": 20, "name": "changed"}]),
    "bulk mappings": lambda s: s.bulk_update_mappings(Parcel, [{"id": 20, "name": "changed"}]),
    "bulk insert": lambda s: s.bulk_insert_mappings(Parcel, [{"name": "x", "owner_id": "bob", "tenant_id": "acme"}]),
    "bulk objects": lambda s: s.bulk_save_objects([Parcel(name="x")]),
    "the connection": lambda s: s.connection().execute(select(Parcel)),
    "the driver": lambda s: s.connection().exec_driver_sql("SELECT * FROM parcels"),
    "a made-up row": lambda s: setattr(_made_up(s), "name", "changed"),
    "a made-up row, deleted": lambda s: s.delete(_made_up(s)),
}


def _made_up(session: Session) -> Parcel:
    parcel = Parcel(id=20)
    make_transient_to_detached(parcel)
    session.add(parcel)
    return parcel


def attempt(session: Session, name: str) -> None:
    REFUSED[name](session)
    session.commit()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scoped_is_refused(engine: Engine, name: str) -> None:
    with as_(engine) as session, pytest.raises(OwnershipError):
        attempt(session, name)
    assert untouched(engine) == OTHERS


def test_an_object_that_code_made_up_is_not_filled_with_anothers_row(engine: Engine) -> None:
    loads: list[Callable[[Session, Parcel], object]] = [Session.refresh, lambda _, parcel: parcel.name]
    for load in loads:
        with as_(engine) as session:
            parcel = _made_up(session)
            with pytest.raises((InvalidRequestError, ObjectDeletedError)):
                load(session, parcel)
        reaches: list[Any] = ["tenant", "all"]
        for reach in reaches:
            with as_(engine, OwnerScope("alice", "acme", reach)) as session:
                parcel = _made_up(session)
                load(session, parcel)
                assert parcel.name == "parcel 2"


def test_what_is_the_callers_is_loaded_again(alice: Guarded) -> None:
    parcel = alice.scalars(select(Parcel)).one()
    alice.refresh(parcel)
    alice.expire(parcel)
    assert (parcel.name, parcel.owner_id) == ("parcel 1", "alice")


def test_an_operator_that_is_one_may_be_written(alice: Guarded) -> None:
    joined = select(Parcel.id).where(Parcel.name.op("||")("x") == "parcel 1x", Parcel.name.op("NOT LIKE")("x"))
    assert alice.scalars(joined).all() == [10]


def test_an_update_by_primary_keys_is_refused_before_the_database_is_asked(engine: Engine) -> None:
    with as_(engine) as session, pytest.raises(Unscoped, match="list of primary keys"):
        session.execute(update(Parcel), [{"id": 10, "name": "changed"}])


@pytest.mark.parametrize(
    ("reach", "seen"), [("none", []), ("own", [10]), ("tenant", [10, 20]), ("all", [10, 20, 30, 40])]
)
def test_a_caller_sees_as_far_as_it_reaches(engine: Engine, reach: Any, seen: list[int]) -> None:
    with as_(engine, OwnerScope("alice", "acme", reach)) as session:
        assert session.scalars(select(Parcel.id).order_by(Parcel.id)).all() == seen
        assert [n for n in (10, 20, 30, 40) if session.get(Parcel, n)] == seen


def test_whoever_reaches_further_changes_more_but_no_owner(engine: Engine) -> None:
    with as_(engine, OwnerScope("root", "acme", "tenant")) as session:
        session.get_one(Parcel, 20).name = "changed"
        session.add(Parcel(id=60, name="new"))
        session.commit()
    assert untouched(engine) == [(20, "changed", "bob"), *OTHERS[1:], (60, "new", "root")]


def test_an_unknown_caller_inserts_nothing_owned(engine: Engine) -> None:
    with as_(engine, OwnerScope("anonymous@127.0.0.1", "", "none")) as session:
        session.add(Parcel(name="x"))
        with pytest.raises(StatementError, match="only be inserted for a known caller"):
            session.flush()


def test_a_session_that_nobody_bound_refuses_everything(engine: Engine) -> None:
    with Guarded(engine) as session:
        with pytest.raises(Unscoped):
            session.scalars(select(Parcel)).all()
        session.add(Shelf(id=2))
        with pytest.raises(Unscoped):
            session.flush()


def test_a_session_is_bound_once(engine: Engine) -> None:
    with as_(engine) as session:
        bind(session, ALICE)
        with pytest.raises(OwnershipError):
            bind(session, OwnerScope("bob", "acme", "own"))


def test_a_model_is_protected_before_anybody_has_used_it() -> None:
    """Mappers are configured by the first query through them; what comes before it may be text."""

    class Fresh(DeclarativeBase):
        pass

    class Diary(Owned, Fresh):
        __tablename__ = "diary_before_use"
        id: Mapped[int] = mapped_column(primary_key=True)

    engine = create_engine("sqlite://")
    guard_engine(engine)
    Fresh.metadata.create_all(engine)
    for statement in (text("SELECT * FROM diary_before_use"), select(Diary).order_by(literal_column("1=1"))):
        with as_(engine) as session, pytest.raises(Unscoped):
            session.execute(statement)
    with pytest.raises(OwnerNotYours):
        Diary(owner_id="bob")
    engine.dispose()


def test_a_protected_table_is_for_trusted_statements_only(engine: Engine) -> None:
    protect("shelves")
    try:
        with as_(engine) as session:
            assert session.scalars(select(Shelf.id)).all() == [1]  # a mapped class that is nobody's
            with pytest.raises(Unscoped):
                session.execute(select(Shelf.__table__))
            trusted = session.execute(select(Shelf.__table__), execution_options={"ownership_trusted": True})
            assert len(trusted.all()) == 1
    finally:
        from app.patterns import ownership

        del ownership._protected["shelves"]


def test_what_is_nobodys_is_everybodys(alice: Guarded) -> None:
    assert alice.scalars(select(Shelf.id)).all() == [1]
    assert alice.execute(text("SELECT id FROM shelves")).scalars().all() == [1]
    assert alice.execute(select(Shelf.__table__)).all()


def test_a_flush_that_failed_leaves_the_door_closed(engine: Engine) -> None:
    with as_(engine) as session:
        with session.begin_nested():
            session.add(Parcel(id=20, name="x"))
            with pytest.raises(IntegrityError):
                session.flush()
        with pytest.raises(OwnershipError):
            session.connection().exec_driver_sql("SELECT * FROM parcels")


def test_each_statement_asks_the_database_once(engine: Engine) -> None:
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: said.append(statement))
    with as_(engine) as session:
        session.scalars(select(Parcel)).all()
        session.get(Parcel, 20)
    assert len(said) == 2
