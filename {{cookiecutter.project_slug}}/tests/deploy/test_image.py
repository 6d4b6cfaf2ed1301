"""What the Dockerfile copies and installs is enough to serve and to work, and nothing is written where it lies.

The build itself needs a container runtime, which no test here has; the workflow does that. Here the same files and the
same packages, of the interpreter that runs the tests, are started by the same commands.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, make_url

from tests.deploy.manifests import DEPLOY, ROOT, compose
from tests.support.ports import free_port
from tests.support.service import PATIENCE, Service, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres_server import PostgresServer

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in /service of the image."""
    folder = tmp_path_factory.mktemp("image") / "service"
    folder.mkdir()
    for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in names.split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder / name)
    changes = {"UV_PROJECT_ENVIRONMENT": str(folder / ".venv")}
    command = [
        os.environ.get("UV", "uv"),
        "sync",
        "--quiet",
        "--frozen",
        "--no-default-groups",
        "--python",
        sys.executable,
    ]
    subprocess.run(command, cwd=folder, env=environment(changes), check=True)
    return folder


def compiled_beside(image: Path) -> dict[str, str]:
    """Return what keeps compiled files, of which the real image has its own, out of the folder that is looked at."""
    return {"PYTHONPYCACHEPREFIX": str(image.with_name("compiled"))}


def settings(data: Path) -> dict[str, str]:
    """Return the variables of the image's last stage, and what whoever runs it adds; all that is written is in data."""
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    found = dict(re.findall(r"^(?:ENV| {4}) *(APP_[A-Z_]+)=(\S+)", final, re.MULTILINE))
    assert found["APP_ENVIRONMENT"] == "production"
    return (
        {name: value.replace("/data", str(data)) for name, value in found.items()}
        | {"APP_ENVIRONMENT": "development", "APP_DEVELOPMENT_KEY_PATH": str(data / "issuer.json")}
        | {"APP_DATABASE_URL": f"sqlite:///{data}/app.db", "APP_LOG_FORMAT": "json", "APP_JOBS_IN_PROCESS": "false"}
    )


@contextlib.contextmanager
def started(
    image: Path, data: Path, *arguments: str, port: int = 0, variables: dict[str, str] | None = None
) -> Iterator[Service]:
    """Run one command of the image until the block ends."""
    process = subprocess.Popen(
        [image / ".venv" / "bin" / "app", *arguments],
        cwd=image,
        env=environment((settings(data) if variables is None else variables) | compiled_beside(image)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    service = Service(image, port, process)
    reader = threading.Thread(target=service.read, daemon=True)
    reader.start()
    try:
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        reader.join(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def healthcheck(image: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(image / ".venv" / "bin" / "app"), "healthcheck", *arguments]
    env = environment(compiled_beside(image) | variables)
    return subprocess.run(command, cwd=image, env=env, capture_output=True, text=True, check=False)


def written(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}


def test_it_serves_says_that_it_is_well_and_stops(image: Path, tmp_path: Path) -> None:
    before, port = written(image), free_port()
    url = f"http://127.0.0.1:{port}"
    assert "refused" in healthcheck(image, "--url", f"{url}/livez").stderr
    with started(image, tmp_path, "run", "--host", "127.0.0.1", "--port", str(port), port=port) as service:
        service.wait_for_output("listening on ")
        assert healthcheck(image, "--url", f"{url}/livez").returncode == 0
        assert healthcheck(image, "--url", f"{url}/readyz").stderr == ""
        assert healthcheck(image, "--url", f"{url}/nowhere").stderr == f"{url}/nowhere: answered 404\n"
    assert written(image) == before
    assert (tmp_path / "app.db").exists()


def test_its_worker_beats_while_it_works(image: Path, tmp_path: Path) -> None:
    before, beat = written(image), tmp_path / "heartbeat"
    (arguments,) = [compose()["services"]["worker"]["command"]]
    command = [str(beat) if argument == "/tmp/heartbeat" else argument for argument in arguments]
    assert healthcheck(image, "--heartbeat", str(beat)).returncode == 1
    with started(image, tmp_path, *command) as worker:
        worker.wait_for_output('"working"')
        assert healthcheck(image, "--heartbeat", str(beat)).returncode == 0
    os.utime(beat, (1, 1))
    assert re.fullmatch(r".*: touched \d+ s ago\n", healthcheck(image, "--heartbeat", str(beat)).stderr)
    assert written(image) == before


def set_by_compose(name: str, data: Path, postgres: PostgresServer, database: str) -> dict[str, str]:
    """Return the variables of a service of compose, with its secrets in a folder and without what is not there."""
    service, folder = compose()["services"][name], data / name
    urls = {
        "app_database_url": postgres.url(database).replace("//owner:", f"//{database}_role:"),
        "app_database_owner_url": postgres.url(database),
    }
    folder.mkdir()
    for secret in service["secrets"]:
        (folder / secret).write_text(urls[secret])
    found: dict[str, str] = service["environment"] | {"APP_SECRETS_DIR": str(folder)}
    found |= {"APP_DEVELOPMENT_KEY_PATH": str(data / "issuer.json"), "APP_ROUTES_PATH": str(data / "routes")}
    return {name: text for name, text in found.items() if name not in {"APP_REDIS_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"}}


def test_it_serves_on_postgresql_as_compose_sets_it(
    image: Path, tmp_path: Path, postgres: PostgresServer, postgres_database: str
) -> None:
    """After the migration, with the URL of a role that owns nothing and may make none."""
    role = re.findall(r"^create role service (.*)$", (DEPLOY / "postgres" / "roles.sh").read_text(), re.MULTILINE)[0]
    password = make_url(postgres.url(postgres_database)).password
    engine = create_engine(postgres.superuser_url(postgres_database), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        made = f"create role {postgres_database}_role {role}".replace(":'password'", f"'{password}'")
        connection.exec_driver_sql(made)
    command = [image / ".venv" / "bin" / "app", *compose()["services"]["migrate"]["command"]]
    variables = set_by_compose("migrate", tmp_path, postgres, postgres_database)
    env = environment(variables | compiled_beside(image))
    done = subprocess.run(command, cwd=image, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    port, variables = free_port(), set_by_compose("service", tmp_path, postgres, postgres_database)
    command = ["run", "--host", "127.0.0.1", "--port", str(port)]
    try:
        with started(image, tmp_path, *command, port=port, variables=variables) as service:
            service.wait_for_output("listening on ")
            assert healthcheck(image, "--url", f"http://127.0.0.1:{port}/readyz").stderr == ""
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"drop owned by {postgres_database}_role")
            connection.exec_driver_sql(f"drop role {postgres_database}_role")
        engine.dispose()


def test_its_healthcheck_asks_no_proxy_of_the_environment(image: Path, tmp_path: Path) -> None:
    port, nowhere = free_port(), f"http://127.0.0.1:{free_port()}"
    with started(image, tmp_path, "run", "--host", "127.0.0.1", "--port", str(port), port=port) as service:
        service.wait_for_output("listening on ")
        asked = f"http://127.0.0.1:{port}/livez"
        assert healthcheck(image, "--url", asked, http_proxy=nowhere, no_proxy="").stderr == ""


def simulators() -> list[dict[str, Any]]:
    """Return the services of compose that stand in for others; none without the example."""
    return [each for each in compose()["services"].values() if each.get("command", [""])[0] == "simulate"]


def test_its_simulators_are_well_by_their_own_check_and_stop_when_they_are_told_to(image: Path) -> None:
    """As a container's first process, for which the kernel has no default: a signal that nobody handles is lost."""
    for service in simulators():
        first = "import os; os.getpid = lambda: 1; from app.cli import main; main()"
        command = [word if word != service["command"][-1] else "0" for word in service["command"]]
        process = subprocess.Popen(
            [image / ".venv" / "bin" / "python", "-c", first, *command],
            cwd=image,
            env=environment(compiled_beside(image)),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().rpartition(" ")[2].strip().replace("0.0.0.0", "127.0.0.1")
            (asked,) = [word for word in service["healthcheck"]["test"] if word.startswith("http")]
            asked = url + asked.removeprefix(f"http://127.0.0.1:{service['command'][-1]}")
            assert healthcheck(image, "--url", asked).stderr == ""
            process.terminate()
            assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        finally:
            process.kill()
            process.communicate()


def test_a_url_that_is_none_is_said(image: Path) -> None:
    assert "write http:// or https://" in healthcheck(image, "--url", "file:///etc/passwd").stderr
