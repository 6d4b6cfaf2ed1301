"""Builds the service under test: the template's own source, with the benchmark's handler dropped in.

The tree is copied as a bake copies it, byte for byte; then ``app/handlers/`` holds ``contestants/orders.py``
and nothing else, ``policy.toml`` is the benchmark's, and the environment is the one that the service's lock
file names, without development dependencies. It is started by its own ``app run``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from issuer import AUDIENCE, ISSUER
from measure import SAMPLING
from servers import HERE, Contestant, ServerError, inherited

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from issuer import Issuer

TEMPLATE = HERE.parent / "{{cookiecutter.project_slug}}"
CONTESTANTS = HERE / "contestants"

NAME = "breakwater"
NO_LIMIT = "1000000/hour"
"""Counted on every request, reached by none: as much as the service lets anybody write."""


def settings(issuer_port: int) -> dict[str, str]:
    """Return the settings of a run: production's, as far as they go without TLS, and no rate refuses."""
    return {
        "APP_ENVIRONMENT": "development",  # production accepts no issuer without TLS
        "APP_ISSUER": ISSUER,
        "APP_AUDIENCE": AUDIENCE,
        "APP_JWKS_URL": f"http://127.0.0.1:{issuer_port}/jwks.json",
        "APP_ALLOW_PLAIN_JWKS": "true",
        "APP_DOCS": "false",
        "APP_LOG_FORMAT": "json",
        "APP_FLOOD_RATE": NO_LIMIT,
        "APP_TRACE_SAMPLE_RATIO": str(SAMPLING),
    }


_NOT_COPIED = shutil.ignore_patterns(
    ".venv", ".uv", "__pycache__", ".*_cache", ".hypothesis", ".development-issuer.json", "app.db*"
)


@dataclass(frozen=True)
class Service:
    """A copy of the service that is ready to be started.

    Attributes:
        directory: its folder.
        python: its own interpreter.
        token: a token that its routes accept.
        environment: its settings.
    """

    directory: Path
    python: Path
    token: str
    environment: Mapping[str, str]

    def contestant(self) -> Contestant:
        """Return the service as its own command starts it."""
        command = (str(self.python), "-m", "app", "run", "--host", "127.0.0.1", "--port", "{port}")
        return Contestant(NAME, command, self.token, self.directory, self.environment)

    def without(self, guard: str) -> Contestant:
        """Return the service with one guard left out of its composition."""
        command = (str(self.python), str(CONTESTANTS / "breakwater_without.py"), "{port}", guard)
        return Contestant(f"without {guard}", command, self.token, self.directory, self.environment)

    def guards(self) -> list[str]:
        """Return the names of what can be left out, outermost first."""
        command = (str(self.python), str(CONTESTANTS / "breakwater_without.py"))
        return _output(command, self.directory, self.environment).split()


def build(directory: Path, issuer: Issuer, environment: Mapping[str, str], *, python: Path | None) -> Service:
    """Copy the service to ``directory`` and make its environment.

    Args:
        directory: does not exist yet.
        issuer: whose token it shall accept.
        environment: its settings.
        python: an interpreter that has the service's dependencies; None to make an environment with uv.

    Raises:
        ServerError: uv failed.
    """
    shutil.copytree(TEMPLATE, directory, ignore=_NOT_COPIED)
    handlers = directory / "app" / "handlers"
    for module in (*handlers.glob("*.py"), *(directory / "app" / "jobs").glob("*.py")):
        if module.name != "__init__.py":
            module.unlink()
    shutil.copy(CONTESTANTS / "orders.py", handlers / "orders.py")
    shutil.copy(CONTESTANTS / "policy.toml", directory / "policy.toml")
    if python is None:
        version = ".".join(map(str, sys.version_info[:3]))
        _output((_uv(), "sync", "--quiet", "--frozen", "--no-dev", "--python", version), directory, {})
        python = directory / ".venv" / "bin" / "python"
    # An interpreter that was lent has its own project on its path; the copy must come before it.
    first = {"PYTHONPATH": str(directory)}
    return Service(directory, python, issuer.token, {**environment, **first})


def build_example(directory: Path, issuer: Issuer, environment: Mapping[str, str]) -> Service:
    """Copy the service with its worked example and its tests' servers, every rate too high to be met.

    Raises:
        ServerError: uv failed.
    """
    shutil.copytree(TEMPLATE, directory, ignore=_NOT_COPIED)
    policy = directory / "policy.toml"
    text = policy.read_text("utf-8").replace('"10/minute"', f'"{NO_LIMIT}"').replace('"60/minute"', f'"{NO_LIMIT}"')
    # What is compared is one transaction: the articles are free, and nobody is charged for them.
    policy.write_text(text.replace('effects = "external"', 'effects = "local"'), "utf-8")
    version = ".".join(map(str, sys.version_info[:3]))
    _output((_uv(), "sync", "--quiet", "--frozen", "--python", version), directory, {})
    python = directory / ".venv" / "bin" / "python"
    return Service(directory, python, issuer.token, {**environment, "PYTHONPATH": str(directory)})


def _uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise ServerError("uv is neither on PATH nor named by $UV")
    return found


def _output(command: tuple[str, ...], directory: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        cwd=directory,
        env=inherited() | dict(environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
