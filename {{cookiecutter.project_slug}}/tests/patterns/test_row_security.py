"""PostgreSQL hands out only the rows of the caller, whatever SQL it is sent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from app.patterns.row_security import (
    CallerProof,
    disable_statements,
    enable_statements,
    grant,
    install_statements,
    principal,
    service_role_problems,
    set_key,
    temporary_table_problems,
    uninstall_statements,
    unprotected_tables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.postgres_server import PostgresServer

KEY = b"the key of this test"
PROOF = CallerProof(KEY)


@contextlib.contextmanager
def database(postgres: PostgresServer) -> Iterator[tuple[Engine, Engine]]:
    """Make a database with a protected table and rows of four callers; yield the engines of owner and serving role."""
    name = postgres.create_database()
    engine = create_engine(postgres.url(name))
    service = create_engine(engine.url.set(username=f"{name}_service", password="secret"))
    with engine.begin() as connection:
        for sql in install_statements():
            connection.exec_driver_sql(sql)
        connection.exec_driver_sql(
            "CREATE TABLE notes (id int PRIMARY KEY, text text, owner_id varchar(255) NOT NULL, "
            "tenant_id varchar(255) NOT NULL)"
        )
        connection.exec_driver_sql("CREATE TABLE shared (id int PRIMARY KEY, note_id int REFERENCES notes)")
        rows = [
            (1, "a", "alice", "acme"),
            (2, "b", "bob", "acme"),
            (3, "c", "alice", "other"),
            (4, "d", "eve", "other"),
        ]
        for row in rows:
            connection.exec_driver_sql("INSERT INTO notes VALUES (%s, %s, %s, %s)", row)
        for sql in enable_statements("notes"):
            connection.exec_driver_sql(sql)
        set_key(connection, KEY)
        connection.exec_driver_sql(f"CREATE ROLE {name}_service LOGIN PASSWORD 'secret'")
        grant(connection, f"{name}_service")
    yield engine, service
    for each in (engine, service):
        each.dispose()
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def serving(postgres: PostgresServer) -> Iterator[Engine]:
    """The serving role's engine, of a database that these tests only read: each rolls back what it did."""
    with database(postgres) as (_, service):
        yield service


@pytest.fixture
def engines(postgres: PostgresServer) -> Iterator[tuple[Engine, Engine]]:
    """The engines of the owner and of the serving role, of a database of the test's own."""
    with database(postgres) as both:
        yield both


@contextlib.contextmanager
def asking(
    engine: Engine, subject: str = "alice", tenant: str = "acme", reach: str = "own", **options: Any
) -> Iterator[Connection]:
    """Begin a transaction for a caller; it is rolled back."""
    with engine.connect() as connection:
        given = {"statement_timeout_ms": 0, "read_only": False, **options}
        connection.execute(*PROOF.statement(subject=subject, tenant=tenant, reach=reach, **given))
        yield connection
        connection.rollback()


def ids(connection: Connection) -> list[int]:
    return list(connection.scalars(text("SELECT id FROM notes ORDER BY id")))


@pytest.mark.parametrize(
    ("reach", "seen"),
    [("none", []), ("own", [1]), ("tenant", [1, 2]), ("all", [1, 2, 3, 4]), ("service", [1, 2, 3, 4]), ("x", [])],
)
def test_a_caller_sees_as_far_as_it_reaches(serving: Engine, reach: str, seen: list[int]) -> None:
    with asking(serving, reach=reach) as connection:
        assert ids(connection) == seen


def test_who_says_nothing_sees_nothing_and_even_the_owner_is_bound(engines: tuple[Engine, Engine]) -> None:
    for engine in engines:
        with engine.connect() as connection:
            assert ids(connection) == []


ATTACKS: dict[str, str] = {
    "or": "SELECT id FROM notes WHERE id = 2 OR 1 = 1",
    "union": "SELECT id FROM notes UNION SELECT id FROM notes n",
    "with": "WITH n AS (SELECT * FROM notes) SELECT id FROM n",
    "another subject": "SELECT set_config('breakwater.subject', 'bob', true); SELECT id FROM notes",
    "everything": "SELECT set_config('breakwater.reach', 'all', true); SELECT id FROM notes",
    "the service": "SELECT set_config('breakwater.reach', 'service', true); SELECT id FROM notes",
    "for the session": "SELECT set_config('breakwater.reach', 'all', false); SELECT id FROM notes",
    "set local": "SET LOCAL breakwater.subject = 'bob'; SELECT id FROM notes",
    "reset": "RESET ALL; SELECT id FROM notes",
    "no row security": "SET LOCAL row_security = off; SELECT id FROM notes",
    "another role": "SET ROLE postgres; SELECT id FROM notes",
    "the owner's role": "SET ROLE owner; SELECT id FROM notes",
    "after a commit": "COMMIT; SELECT id FROM notes",
    "a block": "DO $$ BEGIN PERFORM set_config('breakwater.reach', 'all', true); END $$; SELECT id FROM notes",
    "the key": "SELECT length(inner_pad) FROM breakwater.key",
    "a new function": "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT id FROM notes",
    "a new table": "CREATE TABLE public.t AS SELECT * FROM notes; SELECT id FROM t",
    "a view": "CREATE VIEW v AS SELECT * FROM notes; SELECT id FROM v",
    "a temporary view": "CREATE TEMP VIEW v AS SELECT * FROM notes; SELECT id FROM v",
    "a function of its own in the way": (
        "CREATE TEMP TABLE key (inner_pad bytea, outer_pad bytea); INSERT INTO pg_temp.key VALUES ('', '');"
        "SELECT set_config('breakwater.reach', 'all', true); SELECT id FROM notes"
    ),
    "disable": "ALTER TABLE notes DISABLE ROW LEVEL SECURITY; SELECT id FROM notes",
    "drop the policy": "DROP POLICY breakwater_read ON notes; SELECT id FROM notes",
    "truncate": "TRUNCATE notes; SELECT id FROM notes",
    "a cursor": "DECLARE c CURSOR FOR SELECT id FROM notes; FETCH ALL FROM c",
    "explain": "EXPLAIN (ANALYZE, FORMAT JSON) SELECT id FROM notes; SELECT id FROM notes",
    "a leaky function": "SELECT id FROM notes WHERE 1 / (CASE WHEN owner_id = 'bob' THEN 0 ELSE 1 END) = 1",
    "copy": "COPY notes TO '/tmp/stolen'; SELECT id FROM notes",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_raw_sql_reads_nothing_of_others(serving: Engine, name: str) -> None:
    with asking(serving) as connection:
        try:
            found = None
            for sql in ATTACKS[name].split("; "):
                found = connection.exec_driver_sql(sql)
            assert found is not None
            rows = [row[0] for row in found]
        except DBAPIError:
            return  # refused outright
        assert set(rows) <= {1}


CHANGES = [
    "UPDATE notes SET text = 'changed'",
    "UPDATE notes SET text = 'changed' WHERE id = 2",
    "UPDATE notes SET text = 'changed' FROM notes n WHERE notes.id >= n.id",
    "INSERT INTO notes VALUES (2, 'x', 'alice', 'acme') ON CONFLICT (id) DO UPDATE SET text = 'changed'",
    "INSERT INTO notes VALUES (9, 'x', 'bob', 'acme')",
    "INSERT INTO notes VALUES (9, 'x', 'alice', 'other')",
    "UPDATE notes SET owner_id = 'bob'",
    "UPDATE notes SET tenant_id = 'other'",
    "MERGE INTO notes USING (VALUES (2)) v (id) ON notes.id = v.id WHEN MATCHED THEN UPDATE SET text = 'changed'",
    "TRUNCATE notes",
    "DELETE FROM notes USING notes n WHERE notes.id > n.id",
    "DELETE FROM notes",
]


def test_raw_sql_changes_nothing_of_others(engines: tuple[Engine, Engine], postgres: PostgresServer) -> None:
    _, service = engines
    superuser = create_engine(postgres.superuser_url(str(service.url.database)))
    for sql in CHANGES:
        with asking(service) as connection, contextlib.suppress(DBAPIError):
            connection.exec_driver_sql(sql)
            connection.commit()
        with superuser.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text("SELECT * FROM notes WHERE id <> 1 ORDER BY id"))]
        assert rows == [(2, "b", "bob", "acme"), (3, "c", "alice", "other"), (4, "d", "eve", "other")], sql
    superuser.dispose()


@pytest.mark.parametrize("reach", ["own", "tenant", "all"])
def test_whatever_it_reaches_a_caller_inserts_only_what_is_its_own(serving: Engine, reach: str) -> None:
    with asking(serving, reach=reach) as connection:
        connection.exec_driver_sql("INSERT INTO notes VALUES (9, 'x', 'alice', 'acme')")
    with asking(serving, reach=reach) as connection, pytest.raises(DBAPIError, match="row-level security"):
        connection.exec_driver_sql("INSERT INTO notes VALUES (9, 'x', 'bob', 'acme')")


def test_whoever_reaches_all_changes_all_but_no_owner(serving: Engine) -> None:
    with asking(serving, reach="all") as connection:
        assert connection.exec_driver_sql("UPDATE notes SET text = 'x'").rowcount == 4
    with asking(serving, reach="all") as connection, pytest.raises(DBAPIError, match="permission denied"):
        connection.exec_driver_sql("UPDATE notes SET owner_id = 'root'")


FORGERIES: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "another subject": lambda values: values | {"subject": "bob"},
    "another tenant": lambda values: values | {"tenant": "other"},
    "another reach": lambda values: values | {"reach": "all"},
    "no proof": lambda values: values | {"proof": ""},
    "half a proof": lambda values: values | {"proof": values["proof"][:32]},
    "another key": lambda values: (
        values | {"proof": CallerProof(b"guessed").proof(subject="alice", tenant="acme", reach="own")}
    ),
    "a shifted border": lambda values: values | {"subject": "alicea", "tenant": "cme"},
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_caller_without_a_valid_proof_is_nobody(serving: Engine, name: str) -> None:
    with serving.connect() as connection:
        statement, values = PROOF.statement(
            subject="alice", tenant="acme", reach="own", statement_timeout_ms=0, read_only=False
        )
        connection.execute(statement, FORGERIES[name](values))
        assert ids(connection) == []


@pytest.mark.parametrize("subject", ["", "ünïcödé", "a'b\"c\\d", "a:b", "1:a", "x" * 255, "日本語", "a\nb", "😀"])
def test_any_name_can_be_proved(serving: Engine, subject: str) -> None:
    with asking(serving, subject=subject, tenant=subject) as connection:
        assert connection.scalar(text("SELECT breakwater.caller('subject')")) == subject
        assert connection.scalar(text("SELECT breakwater.caller('proof')")) is None


def test_a_key_of_any_length_is_the_same_on_both_sides(engines: tuple[Engine, Engine]) -> None:
    owner, service = engines
    for key in (b"k", b"k" * 64, b"k" * 65, b"k" * 200):
        with owner.begin() as connection:
            set_key(connection, key)
        with service.connect() as connection:
            connection.execute(
                *CallerProof(key).statement(
                    subject="alice", tenant="acme", reach="own", statement_timeout_ms=0, read_only=False
                )
            )
            assert ids(connection) == [1]


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        CallerProof(b"")


def test_the_identity_ends_with_its_transaction(serving: Engine) -> None:
    with serving.connect() as connection:
        connection.execute(
            *PROOF.statement(subject="alice", tenant="acme", reach="all", statement_timeout_ms=0, read_only=False)
        )
        assert len(ids(connection)) == 4
        connection.commit()
        assert ids(connection) == []


def test_reading_and_time_are_bounded_by_the_same_statement(serving: Engine) -> None:
    with asking(serving, read_only=True) as connection, pytest.raises(DBAPIError, match="read-only"):
        connection.exec_driver_sql("INSERT INTO notes VALUES (9, 'x', 'alice', 'acme')")
    with asking(serving, statement_timeout_ms=50) as connection, pytest.raises(DBAPIError, match="statement timeout"):
        connection.exec_driver_sql("SELECT pg_sleep(10)")


def test_the_caller_is_looked_up_once_a_statement_and_not_once_a_row(serving: Engine) -> None:
    with asking(serving) as connection:
        plan = "\n".join(connection.scalars(text("EXPLAIN SELECT * FROM notes")))
    assert plan.count("InitPlan") >= 3
    assert "caller(" not in plan.split("InitPlan")[0]


def test_a_role_that_row_security_does_not_bind_is_named(
    engines: tuple[Engine, Engine], postgres: PostgresServer
) -> None:
    owner, serving = engines
    with serving.connect() as connection:
        assert service_role_problems(connection) == []
    with owner.connect() as connection:
        problems = service_role_problems(connection)
    assert len(problems) == 2
    assert "owns tables" in problems[0]
    superuser = create_engine(postgres.superuser_url(str(owner.url.database)))
    with superuser.connect() as connection:
        assert "superuser" in service_role_problems(connection)[0]
    superuser.dispose()


def test_the_serving_role_makes_nothing_that_stands_in_the_way_of_a_table(serving: Engine) -> None:
    """A temporary table is found before the real one by whoever gets the connection next, the service included."""
    with serving.connect() as connection:
        assert temporary_table_problems(connection) == []
    for statement in (
        "CREATE TEMP TABLE notes (LIKE public.notes)",
        "SELECT * INTO TEMP notes FROM public.notes",
        "CREATE TEMP VIEW notes AS SELECT 1 AS id",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ):
        with asking(serving) as connection, pytest.raises(DBAPIError, match="permission denied"):
            connection.exec_driver_sql(statement)


def test_a_role_that_may_make_temporary_tables_is_named(engines: tuple[Engine, Engine]) -> None:
    owner, serving = engines
    with owner.begin() as connection:
        connection.exec_driver_sql(f"GRANT TEMPORARY ON DATABASE {owner.url.database} TO PUBLIC")
    with serving.connect() as connection:
        (problem,) = temporary_table_problems(connection)
    assert f"REVOKE TEMPORARY ON DATABASE {owner.url.database} FROM PUBLIC" in problem


def test_a_table_without_forced_row_security_is_named(engines: tuple[Engine, Engine]) -> None:
    with engines[0].begin() as connection:
        assert unprotected_tables(connection, ["notes", "shared", "nowhere"]) == ["shared", "nowhere"]
        connection.exec_driver_sql("ALTER TABLE notes NO FORCE ROW LEVEL SECURITY")
        assert unprotected_tables(connection, ["notes"]) == ["notes"]


def test_it_can_be_taken_back(engines: tuple[Engine, Engine]) -> None:
    with engines[0].begin() as connection:
        for sql in (*disable_statements("notes"), *uninstall_statements()):
            connection.exec_driver_sql(sql)
        assert len(ids(connection)) == 4


def test_a_name_that_needs_quotes_is_refused() -> None:
    with pytest.raises(ValueError, match="no plain name"):
        enable_statements('notes"; DROP TABLE notes; --')


def test_no_two_callers_share_a_principal() -> None:
    assert len({principal("a", "bc"), principal("ab", "c"), principal("abc", ""), principal("", "abc")}) == 4
