"""What the engines promise below any session, and the loops that keep the database in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import OperationalError

from app.database import Database, engines, migrations
from app.database.engines import Allowance
from app.models.base import IDEMPOTENCY
from app.patterns.ownership import OwnerScope
from app.patterns.unit_of_work import TransactionOwned
from app.settings import BootRefused, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ALICE = OwnerScope("alice", "", "own")


class Told:
    """What the database told its observer."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.arrived = asyncio.Event()

    def __call__(self, event: str, facts: Mapping[str, object]) -> None:
        self.events.append((event, facts))
        self.arrived.set()


@contextlib.asynccontextmanager
async def started(url: str, **options: Any) -> AsyncIterator[tuple[Database, Told]]:
    settings = Settings(database_url=SecretStr(url), **options)
    await asyncio.to_thread(migrations.migrate, settings)
    told = Told()
    database = Database(settings, told)
    await database.start()
    try:
        yield database, told
    finally:
        await database.aclose()


def test_sqlite_is_durable_and_its_readers_cannot_write(sqlite_url: str) -> None:
    async def run() -> None:
        async with started(sqlite_url) as (database, _):
            for engine, reads in ((database.engines.reading, 1), (database.engines.writing, 0)):
                async with engine.connect() as connection:
                    said = {
                        name: await connection.scalar(text(f"PRAGMA {name}"))
                        for name in ("journal_mode", "synchronous", "foreign_keys", "query_only", "trusted_schema")
                    }
                expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
                assert said == {**expected, "query_only": reads}
            session = database.session(ALICE, read_only=True)
            with pytest.raises(OperationalError, match="readonly"):
                await session.execute(text("INSERT INTO alembic_version VALUES ('x')"))
            await session.end(commit=False)

    asyncio.run(run())


def test_a_writer_on_sqlite_is_alone_from_its_beginning_and_readers_are_not_held_up(sqlite_url: str) -> None:
    async def run() -> None:
        async with (
            started(sqlite_url, database_lock_timeout=0.1) as (one, _),
            started(sqlite_url, database_lock_timeout=0.1) as (two, _),
        ):
            writer = one.session(ALICE, read_only=False)
            await writer.execute(select(1))  # it has only read so far
            other = two.session(ALICE, read_only=False)
            with pytest.raises(OperationalError, match="locked"):
                await other.execute(select(1))
            reader = two.session(ALICE, read_only=True)
            assert await reader.scalar(select(func.count()).select_from(text("alembic_version"))) == 1
            for session in (writer, other, reader):
                await session.end(commit=False)

    asyncio.run(run())


class Cursor:
    def __init__(self) -> None:
        self.said: list[str] = []

    def execute(self, statement: str) -> None:
        self.said.append(statement)


@pytest.mark.parametrize(
    ("left", "told"), [(5.0, 5050), (0.0001, 50), (0.0, 50), (-10.0, 1), (1000.0, 300_000), (None, 300_000)]
)
def test_a_statement_gets_what_is_left_of_the_request(left: float | None, told: int) -> None:
    assert Allowance(lambda: left).tell() == told


def test_it_is_told_again_when_half_of_that_is_gone_and_not_before() -> None:
    left = 10.0
    allowance, cursor = Allowance(lambda: left), Cursor()
    assert allowance.tell() == 10_050
    for left in (9.0, 5.0, 4.9, 4.0, 2.4, 0.1):  # noqa: B007 - the allowance reads it
        allowance.shorten(cursor)
    assert cursor.said == [f"SET LOCAL statement_timeout = {ms}" for ms in (4950, 2450, 150)]


def test_what_a_function_leaves_on_a_connection_is_gone_for_whoever_gets_it_next(postgres_url: str) -> None:
    locks = text("(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())")
    state = select(func.pg_backend_pid(), func.current_setting("search_path"), locks)

    async def run() -> None:
        async with started(postgres_url) as (database, _):

            async def ask(statement: Any) -> Any:
                session = database.session(ALICE, read_only=False)
                row = (await session.execute(statement)).one()
                await session.end(commit=True)
                return row

            before = await ask(state)
            await ask(select(func.set_config("search_path", "nowhere", False)))  # no text, and does the same
            assert await ask(state) == before
            await ask(select(func.pg_catalog.PG_ADVISORY_LOCK(7)))
            assert await ask(state) == before

    asyncio.run(run())


def test_answers_whose_time_is_over_are_removed_in_batches(database_url: str) -> None:
    async def run() -> tuple[list[object], int]:
        async with started(database_url) as (database, told):
            now = int(time.time() * 1000)
            rows = [
                {"id": bytes([number]) * 32, "principal": "p", "fingerprint": b"f" * 32, "expires_at": now + expires}
                for number, expires in enumerate((-5, -4, -3, -2, -1, 600_000))
            ]
            async with database.transaction() as session:
                await session.execute(insert(IDEMPOTENCY), rows)
            reaper = asyncio.create_task(database.reap_answers(batch=3))
            while sum(int(str(facts["count"])) for _, facts in told.events) < 5:
                told.arrived.clear()
                await asyncio.wait_for(told.arrived.wait(), 30)
            reaper.cancel()
            async with database.transaction() as session:
                left = await session.scalar(select(func.count()).select_from(IDEMPOTENCY))
            return [facts["count"] for _, facts in told.events], int(left or 0)

    assert asyncio.run(run()) == ([3, 2], 1)


def test_a_database_that_was_not_migrated_is_refused(database_url: str) -> None:
    database = Database(Settings(database_url=SecretStr(database_url)), Told())
    with pytest.raises(BootRefused, match="run `app migrate`"):
        asyncio.run(database.start())


def test_a_request_runs_rows_and_savepoints_and_nothing_else() -> None:
    refused = [
        "COMMIT",
        "commit;",
        "/* a */ /* b */ ROLLBACK",
        "--x\n end",
        "ABORT",
        "Start transaction",
        "SET x = 1",
        "reset all",
        "--x\rSELECT 1\nATTACH 'x' AS y",
        "/* /* */ SELECT 1 */ ATTACH 'x' AS y",
        "/* /* */ */ SET x = 1",
        ";SELECT 1",
        "\ufeffSELECT 1",
        "settle",
        "",
        "SELECT 1; SELECT 2",
        "SELECT '\\'; SELECT ' --'",
        "SELECT $$'$$; SELECT '1'",
        "SELECT 1 --'\n; SELECT 1 --'",
        "SELECT 1 /*'*/; SELECT 1 /*'*/",
        'SELECT 1 "\'"; SELECT "\'"',
    ]
    allowed = [
        "SELECT 1",
        "(select 1) union (select 2);\n",
        "--x\r\n-- y\n/* b */ with a as (select 1) select * from a",
        "SELECT a - b / c, ';', 'it''s; so', \"a;b\" FROM t;",
        "SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "rollback to a",
    ]

    def is_refused(statement: str) -> bool:
        try:
            engines._check_request(statement)
        except TransactionOwned:
            return True
        return False

    assert [statement for statement in refused if not is_refused(statement)] == []
    assert [statement for statement in allowed if is_refused(statement)] == []
