"""The whole service on real databases: what a handler wrote is there once, for its caller, or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import create_engine, text

from tests.guards.probes import is_problem
from tests.support.postgres_server import PostgresServer, postgres_server
from tests.support.service import PATIENCE, Service, copy_project, run_to_end, running, until_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {}
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        settings["APP_DATABASE_URL"] = postgres.url(postgres.create_database())
    with running(copy_project(tmp_path_factory.mktemp("service")), environ=settings) as started:
        yield started


@pytest.fixture(scope="module")
def on_postgres(project: Path, postgres: PostgresServer) -> Iterator[Service]:
    with running(project, environ={"APP_DATABASE_URL": postgres.url(postgres.create_database())}) as started:
        yield started


def post(
    service: Service, path: str, subject: str = "alice", *, key: str | None = None, **options: Any
) -> httpx2.Response:
    headers = {**service.bearer("writer", subject=subject), "idempotency-key": key or uuid4().hex}
    url = f"{service.url}/probe/{path}"
    return until_served(lambda: httpx2.post(url, headers=headers, timeout=PATIENCE, **options))


def notes(service: Service, subject: str) -> list[str]:
    answer = httpx2.get(f"{service.url}/probe/notes", headers=service.bearer("reader", subject=subject))
    found: list[str] = answer.json()["notes"]
    return found


def sql(service: Service, statement: str, subject: str = "alice") -> httpx2.Response:
    headers = service.bearer("writer", subject=subject)
    return httpx2.post(f"{service.url}/probe/sql", json=in_guise(statement), headers=headers)


def in_guise(statement: str) -> str:
    return b64encode(statement.encode()).decode()


@pytest.mark.parametrize(("then", "status"), [("fail", 409), ("crash", 500), ("commit", 500)])
def test_a_handler_that_fails_leaves_nothing(service: Service, then: str, status: int) -> None:
    subject = f"fails by {then}"
    assert post(service, "notes", subject, params={"text": "a", "then": then}).status_code == status
    assert notes(service, subject) == []


def test_a_commit_is_refused_with_what_to_write_instead(service: Service) -> None:
    answer = post(service, "notes", params={"text": "a", "then": "commit"})
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="unhandled_exception")
    assert "session.commit() is not the handler's" in str(line)


def test_an_error_that_a_handler_swallowed_is_no_success(on_postgres: Service) -> None:
    # PostgreSQL would answer the COMMIT of a broken transaction with a ROLLBACK, and the driver say nothing.
    is_problem(post(on_postgres, "notes", "sue", params={"text": "a", "then": "swallow"}), 500, "internal_error")
    assert notes(on_postgres, "sue") == []


def test_a_get_cannot_write(service: Service) -> None:
    answer = httpx2.get(f"{service.url}/probe/notes?write=true", headers=service.bearer("reader", subject="gil"))
    is_problem(answer, 500, "internal_error")
    assert notes(service, "gil") == []


def test_copies_that_race_have_one_effect(service: Service) -> None:
    key = uuid4().hex
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(service, "notes", "rae", key=key, params={"text": "a"}), range(40)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert notes(service, "rae") == ["a"]


def test_a_charge_gets_the_same_key_until_it_is_answered(service: Service) -> None:
    key = uuid4().hex
    answers = [post(service, "charges", "cleo", key=key, params={"then": "fail"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 201, 201]
    assert answers[3].headers["idempotent-replayed"] == "true"
    charged = answers[2].json()["charged"]
    assert notes(service, "cleo") == [charged]
    other = post(service, "charges", "cleo").json()
    assert other["charged"] != charged


def test_on_a_public_route_a_key_belongs_to_the_address_that_sent_it(service: Service) -> None:
    def visit(address: str) -> httpx2.Response:
        with httpx2.Client(transport=httpx2.HTTPTransport(local_address=address)) as client:
            return client.post(f"{service.url}/probe/visits", headers={"idempotency-key": "v"})

    first, again, other = visit("127.0.0.1"), visit("127.0.0.1"), visit("127.0.0.2")
    assert [answer.status_code for answer in (first, again, other)] == [201, 201, 201]
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert other.json() == {"visits": 2}


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "rollback",
        " /* x */ Begin",
        "-- x\nEND",
        "SET statement_timeout = 0",
        "RESET ALL",
        "PREPARE TRANSACTION 'x'",
        ";ATTACH ':memory:' AS other",
        "\ufeffATTACH ':memory:' AS other",
        ";PRAGMA query_only=ON",
        "--x\rSET search_path = nowhere",
        "/* /* */ */ SET search_path = nowhere",
        "SELECT 1; COMMIT",
        "SELECT ';' -- '\n; SET search_path = nowhere -- '",
        "CREATE TEMP TABLE shared (id int)",
        "DO $$ BEGIN EXECUTE 'SET search_path = nowhere'; END $$",
    ],
)
def test_sql_that_ends_the_transaction_or_changes_the_connection_is_refused(service: Service, statement: str) -> None:
    answer = sql(service, statement)
    is_problem(answer, 500, "internal_error")
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="unhandled_exception")
    assert "TransactionOwned" in str(line)


def test_what_raw_sql_leaves_on_a_connection_is_gone_for_whoever_gets_it_next(on_postgres: Service) -> None:
    def asked(statement: str, subject: str) -> list[list[str]]:
        rows: list[list[str]] = sql(on_postgres, statement, subject).json()["rows"]
        return rows

    state = (
        "SELECT pg_backend_pid(), current_setting('search_path'),"
        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"
    )
    for _ in range(7):  # more often than psycopg needs to prepare what it sees again and again
        before = asked(state, "ned")
    left = "SELECT pg_backend_pid(), set_config('search_path', 'nowhere', false), pg_advisory_lock(7)::text"
    assert asked(left, "mallory") == [[before[0][0], "nowhere", ""]]
    assert asked(state, "ned") == before


def test_raw_sql_of_a_handler_reaches_only_its_callers_rows(on_postgres: Service) -> None:
    for subject in ("ray", "roy"):
        assert post(on_postgres, "notes", subject, params={"text": f"of {subject}"}).status_code == 201
    assert sql(on_postgres, "SELECT text FROM notes", "ray").json()["rows"] == [["of ray"]]
    assert sql(on_postgres, "UPDATE notes SET text = 'stolen'", "ray").json()["count"] == 1
    assert notes(on_postgres, "roy") == ["of roy"]
    forged = "WITH c AS (SELECT set_config('breakwater.subject', 'roy', true)) SELECT text FROM notes, c"
    assert ["of roy"] not in sql(on_postgres, forged, "ray").json()["rows"]
    assert sql(on_postgres, "SELECT count(*) FROM idempotency_record", "ray").json()["rows"] == [["1"]]
    assert sql(on_postgres, "SELECT * FROM breakwater.key", "ray").status_code == 500


def test_raw_sql_on_an_owned_table_is_refused_where_nothing_stands_behind_it(service: Service) -> None:
    if service.folder.joinpath("app.db").exists():
        for statement in ("SELECT * FROM notes", 'SELECT * FROM "NOTES"', "SELECT * FROM idempotency_record"):
            is_problem(sql(service, statement), 500, "internal_error")
    assert sql(service, "SELECT 1").json()["rows"] == [["1"]]


def test_a_statement_is_cut_when_the_requests_time_is_over(on_postgres: Service) -> None:
    headers = {**on_postgres.bearer("writer"), "x-request-timeout-ms": "300"}
    started = time.monotonic()
    answer = httpx2.post(
        f"{on_postgres.url}/probe/sql", json=in_guise("SELECT pg_sleep(30)"), headers=headers, timeout=20
    )
    assert answer.status_code == 504
    assert time.monotonic() - started < 10
    told = sql(on_postgres, "SELECT setting::int BETWEEN 1 AND 5050 FROM pg_settings WHERE name = 'statement_timeout'")
    assert told.json()["rows"] == [["True"]]


def test_a_request_whose_time_is_over_leaves_nothing(service: Service) -> None:
    headers = {**service.bearer("writer", subject="dee"), "idempotency-key": uuid4().hex, "x-request-timeout-ms": "300"}
    url = f"{service.url}/probe/notes"
    is_problem(
        httpx2.post(url, params={"text": "a", "then": "wait"}, headers=headers, timeout=20), 504, "deadline_exceeded"
    )
    assert notes(service, "dee") == []
    del headers["x-request-timeout-ms"]
    assert httpx2.post(url, params={"text": "a"}, headers=headers).status_code == 201  # and its key is free again
    assert notes(service, "dee") == ["a"]


def test_development_does_not_serve_as_the_owner(on_postgres: Service) -> None:
    (row,) = sql(on_postgres, "SELECT current_user, session_user").json()["rows"]
    assert row[0] == row[1]
    assert row[0].endswith("_service")


def test_a_database_that_goes_away_is_said_honestly_and_found_again(project: Path) -> None:
    with postgres_server() as server:
        url = server.url(server.create_database())
        with running(project, environ={"APP_DATABASE_URL": url, "APP_DATABASE_POOL_SIZE": "3"}) as service:
            assert post(service, "notes", "ann", params={"text": "before"}).status_code == 201
            server.stop()
            for _ in range(6):  # more than the pool has
                answer = post(service, "notes", "ann", params={"text": "lost"})
                is_problem(answer, 503, "database_unavailable")
                assert answer.headers["retry-after"] == "1"
            service.lines(event="database", state="unavailable")
            assert httpx2.get(f"{service.url}/readyz").status_code == 503
            assert httpx2.get(f"{service.url}/livez").status_code == 200
            server.start()
            service.lines(event="database", state="ok")
            assert httpx2.get(f"{service.url}/readyz").status_code == 200
            assert post(service, "notes", "ann", params={"text": "after"}).status_code == 201
            assert notes(service, "ann") == ["before", "after"]


def test_a_database_that_hangs_costs_a_request_its_time_and_no_more(project: Path) -> None:
    with postgres_server() as server:
        url = server.url(server.create_database())
        with running(project, environ={"APP_DATABASE_URL": url}) as service:
            assert post(service, "notes", "ann", params={"text": "before"}).status_code == 201
            server.freeze()
            headers = {**service.bearer("writer"), "idempotency-key": "k", "x-request-timeout-ms": "500"}
            started = time.monotonic()
            answer = httpx2.post(f"{service.url}/probe/notes?text=a", headers=headers, timeout=20)
            assert answer.status_code in {503, 504}
            assert time.monotonic() - started < 5
            server.thaw()
            answer = httpx2.post(
                f"{service.url}/probe/notes?text=a", headers={**service.bearer("writer"), "idempotency-key": "k2"}
            )
            assert answer.status_code == 201


def test_no_connection_is_lost_whatever_becomes_of_requests(on_postgres: Service, postgres: PostgresServer) -> None:
    kinds = [{"then": "ok"}, {"then": "fail"}, {"then": "crash"}, {"then": "commit"}, {"then": "swallow"}]

    def one(number: int) -> int:
        return post(on_postgres, "notes", "leo", params={"text": "a", **kinds[number % 5]}).status_code

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(100)))
    name = sql(on_postgres, "SELECT current_database()").json()["rows"][0][0]
    engine = create_engine(postgres.superuser_url(name))
    with engine.connect() as connection:
        mine = text(
            "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in%' AND application_name <> '')"
            " FROM pg_stat_activity WHERE datname = :n"  # without a name: the worker, which fetches now and then
        )
        count, open_ = connection.execute(mine, {"n": name}).one()
        end = time.monotonic() + PATIENCE
        while open_ and time.monotonic() < end:  # what looks whether the database is there is open for a moment, too
            count, open_ = connection.execute(mine, {"n": name}).one()
    engine.dispose()
    assert open_ == 0
    assert count <= 10 + 1 + 5 + 1  # the pool's, the one that probes, the worker's with the one that listens, this one
    assert notes(on_postgres, "leo") == ["a"] * 20


def test_a_file_that_another_process_is_writing_is_busy_and_says_so(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "busy.db"
    environ = {"APP_DATABASE_URL": f"sqlite:///{file}", "APP_DATABASE_LOCK_TIMEOUT": "0.1"}
    with running(project, environ=environ) as service, contextlib.closing(sqlite3.connect(file)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        answer = post(service, "notes", "ann", params={"text": "a"})
        is_problem(answer, 503, "database_busy")
        assert answer.headers["retry-after"] == "1"
        assert notes(service, "ann") == []  # who reads is not held up
        other.execute("COMMIT")
        end = time.monotonic() + PATIENCE
        while (answer := post(service, "notes", "ann", params={"text": "a"})).status_code == 503:
            assert time.monotonic() < end  # a tenth of a second is short for the service's own writers, too
        assert answer.status_code == 201


def test_a_pool_that_is_exhausted_is_busy_and_says_so(project: Path, postgres: PostgresServer) -> None:
    environ = {"APP_DATABASE_URL": postgres.url(postgres.create_database()), "APP_DATABASE_POOL_SIZE": "1"}
    with (
        running(project, environ={**environ, "APP_DATABASE_POOL_TIMEOUT": "0.1"}) as service,
        ThreadPoolExecutor(2) as pool,
    ):
        name = environ["APP_DATABASE_URL"].rpartition("/")[2]
        engine = create_engine(postgres.superuser_url(name))
        with engine.connect() as holder:
            holder.execute(text("SELECT pg_advisory_lock(7)"))
            first = pool.submit(sql, service, "SELECT pg_advisory_xact_lock(7)")
            answer = sql(service, "SELECT 1")
            while answer.status_code == 200 and not first.done():  # until the first one has the connection
                answer = sql(service, "SELECT 1")
            is_problem(answer, 503, "database_busy")
            assert answer.headers["retry-after"] == "1"
        engine.dispose()
        assert first.result().status_code == 200


@pytest.mark.parametrize(
    ("parameters", "code"),
    [({"text": "a\0b"}, "value_not_storable"), ({"text": "x" * 2000}, "value_not_storable")],
    ids=["NUL", "too long"],
)
def test_a_value_that_cannot_be_stored_is_the_callers_to_mend(
    on_postgres: Service, parameters: dict[str, str], code: str
) -> None:
    is_problem(post(on_postgres, "notes", "val", params=parameters), 422, code)
    assert notes(on_postgres, "val") == []


def test_production_does_not_migrate_and_asks_for_it(project: Path, postgres: PostgresServer) -> None:
    environ = {
        "APP_ENVIRONMENT": "production",
        "APP_ISSUER": "https://issuer.example/",
        "APP_JWKS_URL": "https://issuer.example/jwks.json",
        "APP_DATABASE_URL": postgres.url(postgres.create_database()),
        "APP_PAYMENTS_URL": "https://payments.example",
        "APP_PAYMENTS_TOKEN": "secret",
    }
    done = run_to_end(project, "run", "--port", "0", environ=environ)
    assert done.returncode != 0
    said = done.stderr + done.stdout
    assert "run `app migrate`" in said
    assert "may make roles" in said
    assert "Traceback" not in said


def test_a_streaming_write_is_refused_at_boot(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "service", dropped=False)
    (folder / "app" / "handlers" / "streams.py").write_text(
        "from fastapi import APIRouter\nfrom fastapi.responses import StreamingResponse\nrouter = APIRouter()\n"
        "@router.post('/export')\nasync def export():\n    return StreamingResponse(iter([b'a']))\n"
        "@router.get('/export')\nasync def read():\n    return StreamingResponse(iter([b'a']))\n"
    )
    with (folder / "policy.toml").open("a") as policy:
        policy.write('\n[routes."POST /export"]\npublic = true\n\n[routes."GET /export"]\npublic = true\n')
    done = run_to_end(folder, "check", "--layer", "boot")
    assert done.returncode == 1
    assert "app/handlers/streams.py:4:1: BW910" in done.stdout
    assert "POST /export streams its answer" in done.stdout
    assert "refused: 1 problem" in done.stdout
