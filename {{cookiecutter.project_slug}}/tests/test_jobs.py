"""Work is written with the request's data and done after it: on both databases, by the same handler and job."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import create_engine, text

from tests.guards.probes import is_problem
from tests.support.forks import forks
from tests.support.otlp_receiver import OtlpReceiver, plain
from tests.support.service import DROPPED, PATIENCE, Service, copy_project, environment, run_to_end, running
from tests.support.upstreams import simulated_in_a_thread

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.simulators.payments import PaymentsSimulator
    from tests.support.postgres_server import PostgresServer

POLICY = """
[routes."POST /post"]
allow = ["probe:write"]
rate = "1000/minute"

[routes."GET /post"]
allow = ["probe:read"]
rate = "1000/minute"

[routes."GET /post/peek/{table}"]
allow = ["probe:read"]

[routes."POST /post/forge"]
allow = ["probe:write"]

[jobs."letter.lost"]
timeout = "300ms"

[jobs."letter.written"]
outbound = ["payments"]

[jobs."letter.sent.inside"]
"""
BOOT = ("check", "--layer", "boot")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("post"))
    shutil.copy(DROPPED / "postman.py", folder / "app" / "handlers" / "postman.py")
    shutil.copy(DROPPED / "letters.py", folder / "app" / "jobs" / "letters.py")
    with (folder / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.write(POLICY)
    return folder


class Bench:
    """A running service with jobs, and its database.

    Attributes:
        folder: of its project.
        environ: its settings.
        url: of its database, for SQLAlchemy.
        service: it.
        simulator: the payments service that it calls.
        receiver: where its traces go.
    """

    def __init__(self, folder: Path, environ: dict[str, str], url: str) -> None:
        self.folder, self.environ, self.url = folder, environ, url
        self.service: Service
        self.simulator: PaymentsSimulator
        self.receiver: OtlpReceiver

    def post(self, letter: str, *, subject: str = "alice", **fields: Any) -> httpx2.Response:
        headers = {**self.service.bearer("writer", subject=subject), "idempotency-key": str(uuid4())}
        return httpx2.post(f"{self.service.url}/post", json={"text": letter, **fields}, headers=headers)

    def read(self, subject: str = "alice") -> list[str]:
        answer = httpx2.get(f"{self.service.url}/post", headers=self.service.bearer("reader", subject=subject))
        notes: list[str] = answer.json()
        return notes

    def wait_for(self, letter: str, subject: str = "alice") -> list[str]:
        wait_until(lambda: letter in self.read(subject), letter)
        return self.read(subject)

    def wait_for_outcome(self, outcome: str) -> None:
        """Wait until an export counts messages with this outcome."""

        def counted() -> bool:
            metric = self.receiver.metrics().get("breakwater.outbox")
            points = metric.sum.data_points if metric is not None else ()
            return any(plain(point.attributes)["outcome"] == outcome for point in points)

        self.receiver.wait_for(counted)

    def commands(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_to_end(self.folder, "jobs", *arguments, environ=self.environ)


def wait_until(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def bench(
    request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        url, audit = f"sqlite:///{folder}/app.db", f"sqlite:///{folder}/app.db"
    else:
        name = postgres.create_database()
        url, audit = postgres.url(name), postgres.superuser_url(name)
    with simulated_in_a_thread() as (simulator, payments), OtlpReceiver() as receiver:
        environ = {"APP_DATABASE_URL": url, "APP_PAYMENTS_URL": payments, "APP_TRACE_SAMPLE_RATIO": "1"}
        started = Bench(project, environ, audit)
        started.simulator, started.receiver = simulator, receiver
        with running(project, environ=environ, telemetry=receiver) as started.service:
            yield started


def test_a_job_is_done_after_the_answer_as_whoever_caused_it(bench: Bench) -> None:
    posted = bench.post("to me")
    assert posted.status_code == 201
    bench.wait_for("to me")
    assert bench.read("bob") == []
    request_id = posted.headers["x-request-id"]
    (line,) = bench.service.lines(event="job", job="letter.written", outcome="done", request_id=request_id)
    assert (line["attempt"], len(line["message_id"])) == (1, 32)


def test_a_request_that_fails_has_nothing_done(bench: Bench) -> None:
    assert bench.post("never", fail=True).status_code == 409
    bench.post("after it")
    assert "never" not in bench.wait_for("after it")


def test_messages_of_one_key_are_done_in_order(bench: Bench) -> None:
    assert bench.post("step", subject="carol", key="order 7", count=12).status_code == 201
    notes = bench.wait_for("step 11", "carol")
    assert notes == [f"step {number}" for number in range(12)]


def test_a_job_may_have_others_done_on_behalf_of_the_same_caller(bench: Bench) -> None:
    bench.post("chain", mode="chain", subject="dave")
    assert bench.wait_for("chain, again", "dave") == ["chain", "chain, again"]


def test_a_job_calls_a_service_with_a_key_of_its_message(bench: Bench) -> None:
    bench.post("paid", mode="pay")
    bench.wait_for("paid")
    assert [charge["reference"] for charge in bench.simulator.charges.values()] == ["paid"]
    assert len(bench.simulator.last["idempotency-key"]) == 64


@pytest.mark.parametrize(
    ("job", "mode", "error"),
    [
        ("letter.written", "fail", "RuntimeError"),
        ("letter.written", "cancel", "CancelledByItself"),
        ("letter.lost", "well", "TimeoutError"),
    ],
)
def test_a_job_that_fails_leaves_nothing_and_is_tried_again(bench: Bench, job: str, mode: str, error: str) -> None:
    request_id = bench.post("half", job=job, mode=mode, subject="erin").headers["x-request-id"]
    lines = bench.service.lines(event="job", job=job, outcome=error, request_id=request_id, count=2)
    assert [line["attempt"] for line in lines[:2]] == [1, 2]
    assert bench.read("erin") == []
    bench.wait_for_outcome("retried")


def test_an_unknown_job_is_refused_before_anything_is_written(bench: Bench) -> None:
    answer = bench.post("x", job="letter.writen")
    is_problem(answer, 500, "internal_error")
    (line,) = bench.service.lines(event="unhandled_exception", request_id=answer.headers["x-request-id"])
    assert "did you mean 'letter.written'?" in str(line)


def test_the_trace_goes_on_in_the_job(bench: Bench) -> None:
    trace = bench.post("traced").headers["traceparent"].split("-")[1]
    bench.wait_for("traced")
    receiver = bench.receiver
    receiver.wait_for(lambda: sum(span.trace_id.hex() == trace for span in receiver.spans()) >= 2)
    spans = {span.name: span for span in receiver.spans() if span.trace_id.hex() == trace}
    assert spans["process letter.written"].parent_span_id == spans["POST /post"].span_id


def test_what_becomes_of_messages_is_counted(bench: Bench) -> None:
    bench.post("counted")
    bench.wait_for("counted")
    bench.wait_for_outcome("done")
    assert "breakwater.outbox.messages" in bench.receiver.metrics()
    assert "outbox" in httpx2.get(f"{bench.service.url}/readyz").json()["checks"]


def test_what_was_given_up_is_listed_and_replayed(bench: Bench) -> None:
    bench.post("late", subject="frank", job="letter.sent.inside")
    bench.wait_for("late", "frank")
    engine = create_engine(bench.url.replace("postgresql://", "postgresql+psycopg://"))
    bury(engine.dialect.name, engine)
    listed = bench.commands()
    assert (listed.returncode, "1 given up" in listed.stdout) == (0, True)
    (line,) = [line for line in listed.stdout.splitlines() if "letter.sent.inside" in line]
    number = line.split("\t")[0]
    if engine.dialect.name == "sqlite":  # the command is the same, and each takes seconds to start
        assert bench.commands("replay").returncode == 2
        assert bench.commands("replay", "999999").returncode == 1
    assert bench.commands("replay", number).stdout == "1 to be done again\n"
    bench.wait_for("buried", "frank")
    engine.dispose()


def bury(dialect: str, engine: Any) -> None:
    """Put a message among the dead, as if a worker had given it up."""
    context = '{"id": "0", "subject": "frank", "tenant": ""}'
    with engine.begin() as connection:
        if dialect == "sqlite":
            connection.execute(
                text(
                    "INSERT INTO outbox (name, payload, context, status, attempts, due_at)"
                    " VALUES ('letter.sent.inside', :payload, :context, 'dead', 12, 0)"
                ),
                {"payload": '{"text": "buried"}', "context": context},
            )
            return
        connection.execute(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, attempts) VALUES"
                " ('outbox', 'message', jsonb_build_object('name', 'letter.sent.inside',"
                " 'payload', CAST(:payload AS text), 'about', CAST(:context AS text)), 'failed', 12)"
            ),
            {"payload": '{"text": "buried"}', "context": context},
        )


@contextlib.contextmanager
def working(folder: Path, environ: dict[str, str]) -> Iterator[Service]:
    """Run ``app worker`` until the block ends."""
    settings = {"APP_LOG_FORMAT": "json", **environ}
    process = forks().start("app", "worker", cwd=folder, env=environment(settings))
    worker = Service(folder, 0, process)
    reader = threading.Thread(target=worker.read, daemon=True)
    reader.start()
    try:
        worker.wait_for_output('"working"')
        yield worker
    finally:
        worker.stop()
        reader.join(timeout=PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize(
    "bench", [pytest.param("sqlite", marks=pytest.mark.wide), "postgresql"], indirect=True, scope="module"
)
def test_workers_apart_do_the_jobs_of_a_service_that_does_none_and_take_over_from_one_another(
    bench: Bench, tmp_path: Path, postgres: PostgresServer
) -> None:
    sqlite = bench.url.startswith("sqlite")
    url = f"sqlite:///{tmp_path}/app.db" if sqlite else postgres.url(postgres.create_database())
    environ = {**bench.environ, "APP_DATABASE_URL": url, "APP_JOBS_IN_PROCESS": "false"}
    with running(bench.folder, environ=environ) as service:
        alone = Bench(bench.folder, environ, url)
        alone.service = service
        alone.post("hello", count=30)
        assert httpx2.get(f"{service.url}/readyz").json()["checks"]["outbox"]["worker"] is False
        assert alone.read() == []
        with working(bench.folder, environ) as first, working(bench.folder, environ) as second:
            wait_until(lambda: len(alone.read()) == 30, "every letter")
            assert sorted(alone.read()) == sorted(f"hello {number}" for number in range(30))
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(PATIENCE) == 0
            alone.post("to the other")
            alone.wait_for("to the other")
            assert second.process.poll() is None


# --- the boot -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("@jobs.on('a.b')\ndef f(x: M): ...", "a job is an async function"),
        ("@jobs.on('A')\nasync def f(x: M): ...", "is no name of a job"),
        ("@jobs.on('a.b')\nasync def f(): ...", "takes what happened as a pydantic model"),
        ("@jobs.on('a.b')\nasync def f(x: M, y: int): ...", "'y' is neither a model nor one of app.dependencies"),
        ("@jobs.on('a.b')\nasync def f(x: M, y: Caller): ...", "'y' is for handlers"),
        ("@jobs.on('a.b')\nasync def f(x: M, y: Payments): ...", 'job a.b lacks outbound = ["payments"]'),
        (
            "@jobs.on('a.b')\nasync def f(x: M): ...\n@jobs.on('a.b')\nasync def g(x: M): ...",
            "another one of this name",
        ),
        ("@jobs.on('a.c')\nasync def f(x: M): ...", 'lacks [jobs."a.c"]'),
        ("@jobs.on('a.d')\nasync def f(x: M): ...", '[jobs."a.b"] has no job'),
        ("raise RuntimeError('no')", "does not load: RuntimeError: no"),
    ],
)
def test_a_job_that_cannot_be_one_does_not_boot_and_the_place_is_said(
    job: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import app.jobs
    from app.definition import read_definition
    from app.settings import BootRefused, Settings

    policy = tmp_path / "policy.toml"
    base = copy_project(tmp_path / "copy", dropped=False) / "policy.toml"
    policy.write_text(base.read_text("utf-8") + '\n[jobs."a.b"]\ntimeout = "1s"\n', "utf-8")
    name = f"job_{uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(
        "from pydantic import BaseModel\nfrom app.dependencies import Caller, Jobs, Payments\njobs = Jobs()\n"
        f"class M(BaseModel): ...\n{job}\n",
        "utf-8",
    )
    monkeypatch.setattr(app.jobs, "__path__", [*app.jobs.__path__, str(tmp_path)])
    with pytest.raises(BootRefused) as refused:
        read_definition(Settings(policy_path=policy))
    assert any(said in problem for problem in refused.value.problems), refused.value.problems


def test_handlers_cannot_read_or_make_messages_by_sql(bench: Bench) -> None:
    bench.post("kept", mode="fail")
    headers = bench.service.bearer("reader")
    sqlite = bench.url.startswith("sqlite")
    for table in ("outbox",) if sqlite else ("outbox", "procrastinate_jobs"):
        for below in (False, True):
            found = httpx2.get(f"{bench.service.url}/post/peek/{table}", params={"below": below}, headers=headers)
            if sqlite:
                is_problem(found, 500, "internal_error")
            else:
                assert found.json() == 0  # row security shows it none
    forged = {**bench.service.bearer("writer"), "idempotency-key": str(uuid4())}
    answer = httpx2.post(f"{bench.service.url}/post/forge", headers=forged)
    assert answer.status_code >= 500
    assert "forged" not in bench.read("victim")
