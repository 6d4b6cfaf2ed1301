"""Handlers with a hole of every kind are exploited over a real socket: without containment it works, with it not."""

from __future__ import annotations

import pickle
import socket
from base64 import b64encode
from typing import TYPE_CHECKING

import httpx2
import pytest

from app.policy import Files, misplaced
from tests.support.service import Service, copy_project, drop_in, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return (str.upper, ("was here",))


EXPLOITS = {
    "shell": ("process", "x; echo was here", "was here"),
    "shell-of-the-loop": ("process", "x; echo was here", "was here"),
    "formula": ("code", "'was ' + 'here'", "was here"),
    "download": ("file_read", "../secret.txt", "was here"),
    "upload": ("file_write", "../planted.txt", "stored"),
    "preview": ("socket", "127.0.0.1", "reached"),
    "preview-in-a-thread": ("socket", "127.0.0.1", "reached"),
    "plugin": ("native", "", "True"),
    "session": ("deserialisation", b64encode(pickle.dumps(Payload())).decode(), "WAS HERE"),
    "search": ("sql", "' || 'was here", "was here"),
    "sort": ("sql", "CASE WHEN 1=1 THEN 1 ELSE 2 END", "[1]"),
}
"""Route -> kind of the refusal, what is sent, and what shows that it worked."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("service"))
    drop_in(folder, "exploits")
    (folder / "secret.txt").write_text("was here", "utf-8")
    (folder / "exports" / "out").mkdir(parents=True)
    (folder / "exports" / "template.txt").write_text("Hello", "utf-8")
    return folder


@pytest.fixture(scope="module")
def service(project: Path) -> Iterator[Service]:
    with running(project) as started:
        yield started


@pytest.fixture(scope="module")
def bare(project: Path) -> Iterator[Service]:
    with running(project, without="containment") as started:
        yield started


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def post(service: Service, route: str, what: str, port: int = 0) -> httpx2.Response:
    return httpx2.post(f"{service.url}{route}", json={"what": what, "port": port})


@pytest.mark.parametrize("route", EXPLOITS)
def test_the_exploit_works_without_containment(route: str, bare: Service, listener: int) -> None:
    _kind, sent, shows = EXPLOITS[route]
    answer = post(bare, f"/holes/{route}", sent, listener)
    assert answer.status_code == 200, answer.text
    assert shows in answer.json()["said"]
    (bare.folder / "planted.txt").unlink(missing_ok=True)


@pytest.mark.parametrize("route", EXPLOITS)
def test_the_exploit_does_not_work(route: str, service: Service, listener: int) -> None:
    kind, sent, _shows = EXPLOITS[route]
    answer = post(service, f"/holes/{route}", sent, listener)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "was here" not in answer.text
    assert f"contained: {kind}" not in answer.text
    (line,) = service.lines(event="containment_refused", entry=f"POST /holes/{route}")
    assert line["kind"] == kind
    (request,) = service.lines(event="request", route=f"/holes/{route}")
    assert request["reason"] == f"contained: {kind}"
    assert not (service.folder / "planted.txt").exists()


def test_a_refusal_that_is_swallowed_is_a_failure_and_nothing_is_kept(service: Service) -> None:
    answer = post(service, "/holes/swallowed", "true")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert httpx2.get(f"{service.url}/probe/notes", headers=service.bearer("reader")).json() == {"notes": []}


def test_an_honest_handler_reads_and_writes_what_policy_opens(service: Service) -> None:
    answer = post(service, "/honest", "it's -- me; OK?")
    assert (answer.status_code, answer.json()) == (200, {"said": "Hello: it's -- me; OK?"})
    assert (service.folder / "exports" / "out" / "note.txt").read_text("utf-8") == "it's -- me; OK?"


def test_a_module_that_is_imported_late_is_imported(service: Service) -> None:
    assert post(service, "/holes/import", "colorsys").json() == {"said": "colorsys"}


def test_the_table_says_what_is_open(project: Path) -> None:
    said = run_to_end(project, "routes").stdout
    assert "POST /honest: may read exports/template.txt and write exports/out" in said


def test_what_policy_opens_is_looked_at_before_the_service_starts(project: Path, tmp_path: Path) -> None:
    text = (project / "policy.toml").read_text("utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(text.replace('"exports/out"', '"exports/gone", "app/handlers"'), "utf-8")
    done = run_to_end(project, "routes", environ={"APP_POLICY_PATH": str(policy)})
    assert done.returncode == 1
    assert 'POST /honest: files: write = ["exports/gone"] is not there' in done.stderr
    assert 'POST /honest: files: write = ["app/handlers"] is what people own' in done.stderr


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (Files(read=("data",)), None),
        (Files(read=("app",)), None),
        (Files(write=("data",)), None),
        (Files(read=("data/gone",)), "is not there"),
        (Files(read=(".",)), "holds the whole project"),
        (Files(write=("up",)), "holds the whole project"),
        (Files(write=("app",)), "is what people own"),
        (Files(write=("sly",)), "is what people own"),
        (Files(write=("policy.toml",)), "is what people own"),
    ],
)
def test_places_are_judged_with_their_links_resolved(files: Files, said: str | None, tmp_path: Path) -> None:
    root = tmp_path / "project"
    for name in ("app", "data"):
        (root / name).mkdir(parents=True)
    (root / "policy.toml").touch()
    (root / "sly").symlink_to(root / "app")
    (root / "up").symlink_to(tmp_path)
    problems = misplaced(files, root)
    assert [said] == [said if said and said in problem else problem for problem in problems] if said else not problems


def test_what_sqlalchemy_puts_together_is_told_from_text() -> None:
    """A word of the client's own that is a table's name is in every statement, and no harm."""
    from sqlalchemy import Column, Integer, MetaData, Table, column, func, literal_column, select, text, update
    from sqlalchemy.dialects import sqlite

    from app.database.engines import written_as_text

    table = Table("notes", MetaData(), Column("id", Integer))

    class Context:
        def __init__(self, statement: object) -> None:
            self.compiled = None if statement is None else statement.compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]

    honest = [select(table), select(table).where(table.c.id == 3), update(table).values(id=3), select(func.count())]
    written = [
        text("SELECT 1"),
        select(table).where(text("id = 3")),
        select(literal_column("id")).select_from(table),
        select(table).order_by(text("id")),
        select(table).where(table.c.id.op("|| 3 --")(3)),
        select(table).prefix_with("DISTINCT"),
        select(table).with_hint(table, "INDEXED BY x"),
        text("SELECT id FROM notes").columns(column("id")),
        None,
    ]
    assert [written_as_text(Context(statement)) for statement in honest] == [False] * len(honest)  # type: ignore[arg-type]
    assert [written_as_text(Context(statement)) for statement in written] == [True] * len(written)  # type: ignore[arg-type]
