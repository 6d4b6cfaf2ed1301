"""The database is what the models say, in both directions and on both databases."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, inspect, text

from app.database import migrations, schema
from app.settings import Settings
from tests.support.service import ROOT, copy_project, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def settings_for(url: str, **more: Any) -> Settings:
    return Settings(database_url=SecretStr(url), **more)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url.replace("+aiosqlite", ""))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "include_name": migrations.of_the_service}
    )
    return list(compare_metadata(context, metadata))


def test_every_migration_goes_up_and_down_and_up_again(database_url: str) -> None:
    settings = settings_for(database_url)
    newest = schema.head()
    assert migrations.migrate(settings) == ["empty", newest]
    known = schema.revisions()
    revisions = [str(newest)]
    while parents := known[revisions[-1]]:
        revisions.append(parents[0])
    assert len(revisions) == len(list((ROOT / "migrations" / "versions").glob("*.py")))
    for revision in [*revisions[1:], "base"]:
        assert migrations.migrate(settings, revision)[1] == ("empty" if revision == "base" else revision)
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert migrations.migrate(settings) == ["empty", newest]
    assert migrations.migrate(settings) == []


def test_a_model_without_a_migration_is_found(database_url: str) -> None:
    migrations.migrate(settings_for(database_url))
    with connected(database_url) as connection:
        assert differences(connection, schema.metadata()) == []
        more = MetaData()
        for table in schema.metadata().tables.values():
            table.to_metadata(more)
        Table("forgotten", more, Column("id", Integer, primary_key=True))
        ((kind, table),) = differences(connection, more)
        assert (kind, table.name) == ("add_table", "forgotten")


def test_every_owned_table_is_under_row_security(postgres_url: str) -> None:
    migrations.migrate(settings_for(postgres_url))
    assert "idempotency_record" in schema.protected_tables()
    with connected(postgres_url) as connection:
        assert schema.problems(connection, production=False) == []
        for table in schema.protected_tables():
            connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
            (problem,) = schema.problems(connection, production=False)
            assert f"op.protect_rows('{table}')" in problem
            connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))


def test_a_database_that_is_behind_or_ahead_is_named(database_url: str) -> None:
    with connected(database_url) as connection:
        (problem,) = schema.problems(connection, production=False)
        assert problem.endswith("run `app migrate`")
    migrations.migrate(settings_for(database_url))
    with connected(database_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
        (problem,) = schema.problems(connection, production=False)
        assert "deploy the code that belongs to it" in problem


def test_the_owner_may_not_serve_in_production(postgres_url: str) -> None:
    migrations.migrate(settings_for(postgres_url))
    with connected(postgres_url) as connection:
        problems = schema.problems(connection, production=True)
    assert any("owns tables" in problem for problem in problems)


def test_migrations_that_start_together_do_not_collide(database_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        moved = list(pool.map(lambda _: migrations.migrate(settings_for(database_url)), range(3)))
    assert sorted(moved) == [[], [], ["empty", schema.head()]]


def test_a_migration_that_fails_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "service", dropped=False)
    (project / "migrations" / "versions" / "9999_bad.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '9999'\ndown_revision = '{schema.head()}'\n"
        "branch_labels = depends_on = None\n"
        "def upgrade():\n    op.create_table('half', sa.Column('id', sa.Integer()))\n    op.drop_table('nowhere')\n"
        "def downgrade():\n    pass\n"
    )
    done = run_to_end(project, "migrate", environ={"APP_DATABASE_URL": database_url})
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == []


def test_the_commands_go_up_and_down_and_write_a_migration(database_url: str, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "service", dropped=False)
    environ = {"APP_DATABASE_URL": database_url}
    assert run_to_end(project, "migrate", environ=environ).stdout.startswith("database migrated: empty -> ")
    assert run_to_end(project, "migrate", environ=environ).stdout == "the database is up to date\n"
    assert "there is nothing to migrate" in run_to_end(project, "migration", "nothing", environ=environ).stdout
    (project / "app" / "models" / "extra.py").write_text(
        "from datetime import datetime\nfrom sqlalchemy.orm import Mapped, mapped_column\n"
        "from app.models import Base, Owned\n\n"
        "class Extra(Owned, Base):\n    __tablename__ = 'extras'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n    at: Mapped[datetime]\n"
    )
    written = run_to_end(project, "migration", "add extras", environ=environ)
    file = next((project / "migrations" / "versions").glob("*_add_extras.py"))
    assert written.stdout.strip().endswith(file.name)
    assert "op.protect_rows('extras')" in file.read_text()
    assert "sa.Column('at', sa.DateTime(timezone=True), nullable=False)" in file.read_text()
    assert "app." not in file.read_text()
    assert run_to_end(project, "migrate", environ=environ).returncode == 0
    with connected(database_url) as connection:
        assert "extras" in inspect(connection).get_table_names()
    assert run_to_end(project, "migrate", "--to", "base", environ=environ).returncode == 0
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    nowhere = run_to_end(project, "migrate", "--to", "nowhere", environ=environ)
    assert (nowhere.returncode, "Traceback" in nowhere.stderr) == (1, False)


def test_a_database_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "service", dropped=False)
    url = "postgresql://nobody:hunter2@127.0.0.1:1/nowhere"
    done = run_to_end(project, "run", environ={"APP_DATABASE_URL": url})
    assert done.returncode != 0
    assert "APP_DATABASE_URL" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_development_migrates_when_it_starts(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "service")
    with running(project) as service:
        assert service.wait_for_output("database migrated: empty -> 0999")
