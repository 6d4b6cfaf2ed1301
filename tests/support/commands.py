"""Runs commands as a user's shell would, whatever started the tests."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UV = os.environ.get("UV", "uv")  # `uv run` says which uv it is
TIMEOUT = 180  # seconds; the slowest command here, a cold mypy, takes a quarter of it

# What make, uv and Git tell their children about themselves, and what would turn a command elsewhere.
INHERITED = frozenset(
    {
        "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES",
        "UV_FROZEN", "UV_LOCKED", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV",
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "PYTHONDONTWRITEBYTECODE",
        "ARGS", "FORMAT", "HOST", "NAME", "PORT", "ROLE", "SUBJECT",
    }
)  # fmt: skip

# Where uv would look for packages other than the public index.
OTHER_INDEXES = frozenset(
    {"UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL", "UV_NO_INDEX"}
)


def environment(changes: Mapping[str, str] | None = None, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return this process's environment less what it inherited from make, uv and Git."""
    kept = {key: value for key, value in os.environ.items() if key not in INHERITED | without}
    return kept | dict(changes or {})


def run(
    *command: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed, standard error included, and how it ended.

    Raises:
        subprocess.TimeoutExpired: it took longer than ``timeout`` seconds.
    """
    return subprocess.run(
        command,
        cwd=cwd,
        env=dict(env) if env is not None else environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        check=False,
    )


def succeed(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command that has to succeed, and return what it printed.

    Raises:
        AssertionError: it failed; the text is what it printed.
    """
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
