"""What a database says is told apart by its codes, on both databases, from errors that they really raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from app.patterns.database_errors import Fault, classify, translate_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres_server import PostgresServer

METADATA = MetaData()
PARENT = Table("parent", METADATA, Column("id", Integer, primary_key=True))
CHILD = Table(
    "child",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(5), unique=True, nullable=False),
    Column("parent_id", ForeignKey("parent.id")),
    Column("kept_by", ForeignKey("parent.id", ondelete="RESTRICT")),
    Column("number", Integer, CheckConstraint("number > 0")),
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    url = make_url(database_url.replace("+aiosqlite", ""))
    arguments = {"timeout": 0.05} if url.get_backend_name() == "sqlite" else {}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True)
    translate_values(engine)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(CHILD).values(id=1, name="a"))
    yield engine
    engine.dispose()


def fault(engine: Engine, statement: Any, values: dict[str, Any] | None = None) -> Fault | None:
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(statement, values or {})
    return classify(caught.value)


def test_a_row_that_is_there_or_one_that_is_not_is_a_conflict(engine: Engine) -> None:
    assert fault(engine, insert(CHILD).values(id=1, name="b")) is Fault.CONFLICT
    assert fault(engine, insert(CHILD).values(id=2, name="a")) is Fault.CONFLICT
    if engine.dialect.name == "postgresql":  # SQLite checks them where the service's engine says so
        assert fault(engine, insert(CHILD).values(id=2, name="b", parent_id=7)) is Fault.CONFLICT
        with engine.begin() as connection:
            connection.execute(insert(PARENT), [{"id": 1}, {"id": 2}])
            connection.execute(insert(CHILD), [{"id": 3, "name": "c", "parent_id": 1, "kept_by": 2}])
        for number in (1, 2):  # with RESTRICT PostgreSQL 18 has a code of its own
            assert fault(engine, delete(PARENT).where(PARENT.c.id == number)) is Fault.CONFLICT


def test_a_mistake_of_ours_is_no_fault_of_the_callers(engine: Engine) -> None:
    assert fault(engine, insert(CHILD).values(id=2)) is None
    assert fault(engine, insert(CHILD).values(id=2, name="b", number=0)) is None
    assert fault(engine, text("SELECT nothing FROM child")) is None
    assert fault(engine, text("SELEKT 1")) is None


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400], ids=["2^63", "-2^63-1", "10^400"])
def test_a_number_that_fits_no_column_is_invalid(engine: Engine, value: int) -> None:
    assert fault(engine, insert(CHILD).values(id=value, name="b")) is Fault.INVALID


def test_a_text_that_fits_no_column_is_invalid(engine: Engine) -> None:
    assert fault(engine, insert(CHILD).values(id=2, name="\ud800")) is Fault.INVALID
    if engine.dialect.name == "postgresql":
        assert fault(engine, insert(CHILD).values(id=2, name="a\0b")) is Fault.INVALID
        assert fault(engine, insert(CHILD).values(id=2, name="sixsix")) is Fault.INVALID


def test_nothing_of_a_refused_value_is_in_the_error(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(insert(CHILD).values(id=10**400, name="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_a_lock_that_another_holds_is_busy(engine: Engine) -> None:
    with engine.connect() as holder, engine.connect() as waiter:
        if engine.dialect.name == "sqlite":
            holder.execute(text("BEGIN IMMEDIATE"))
            wanted: Any = insert(CHILD).values(id=2, name="b")
        else:
            holder.execute(select(CHILD).where(CHILD.c.id == 1).with_for_update())
            waiter.execute(text("SET LOCAL lock_timeout = 50"))
            wanted = select(CHILD).where(CHILD.c.id == 1).with_for_update()
        with pytest.raises(SQLAlchemyError) as caught:
            waiter.execute(wanted)
        assert classify(caught.value) is Fault.BUSY


def test_an_exhausted_pool_is_busy(database_url: str) -> None:
    engine = create_engine(database_url.replace("+aiosqlite", ""), pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect(), pytest.raises(SQLAlchemyError) as caught:
        engine.connect()
    engine.dispose()
    assert classify(caught.value) is Fault.BUSY


def test_a_statement_that_takes_too_long_is_told(postgres_url: str) -> None:
    engine = create_engine(postgres_url, connect_args={"options": "-c statement_timeout=50"})
    assert fault(engine, text("SELECT pg_sleep(10)")) is Fault.TIMEOUT
    engine.dispose()


def test_a_server_that_is_away_or_goes_is_unavailable(postgres_url: str, postgres: PostgresServer) -> None:
    nowhere = create_engine(make_url(postgres_url).set(port=1))
    with pytest.raises(SQLAlchemyError) as caught:
        nowhere.connect()
    assert classify(caught.value) is Fault.UNAVAILABLE
    engine = create_engine(postgres_url)
    other = create_engine(postgres.superuser_url("postgres"))
    with engine.connect() as connection, other.connect() as killer:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(SQLAlchemyError) as caught:
            connection.execute(text("SELECT 1"))
        assert classify(caught.value) is Fault.UNAVAILABLE
    for each in (nowhere, engine, other):
        each.dispose()


def test_a_file_that_cannot_be_opened_is_unavailable() -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        create_engine("sqlite:////nowhere/at/all.db").connect()
    assert classify(caught.value) is Fault.UNAVAILABLE


def test_what_is_no_database_error_is_left_alone() -> None:
    assert classify(ValueError("x")) is None
    assert classify(OverflowError("x")) is None
