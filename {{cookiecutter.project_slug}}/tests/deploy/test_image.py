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
from typing import TYPE_CHECKING

import pytest

from tests.deploy.manifests import DEPLOY, ROOT, compose
from tests.support.ports import free_port
from tests.support.service import PATIENCE, Service, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
def started(image: Path, data: Path, *arguments: str, port: int = 0) -> Iterator[Service]:
    """Run one command of the image until the block ends."""
    process = subprocess.Popen(
        [image / ".venv" / "bin" / "app", *arguments],
        cwd=image,
        env=environment(settings(data) | compiled_beside(image)),
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


def healthcheck(image: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(image / ".venv" / "bin" / "app"), "healthcheck", *arguments]
    env = environment(compiled_beside(image))
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


def test_a_url_that_is_none_is_said(image: Path) -> None:
    assert "write http:// or https://" in healthcheck(image, "--url", "file:///etc/passwd").stderr
