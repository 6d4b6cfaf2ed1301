"""What a number belongs to: the machine, and the versions that each contestant runs on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from servers import inherited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from servers import Contestant, Cores

COMPARED = ("fastapi", "starlette", "pydantic", "pydantic-core", "uvicorn", "httptools", "uvloop")
"""Packages whose versions must agree, or the ratio compares something else."""

_ASK = (
    "import json, platform, sys; from importlib.metadata import version; "
    "print(json.dumps({'python': platform.python_version()} | {n: version(n) for n in sys.argv[1:]}))"
)


def versions(contestant: Contestant) -> dict[str, str]:
    """Ask a contestant's interpreter for its version and those of the compared packages."""
    python = Path(contestant.command[0]).with_name("python")
    done = subprocess.run(  # noqa: S603 - our own interpreter
        (str(python), "-c", _ASK, *COMPARED),
        env=inherited(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def drift(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Name what is not the same for all contestants."""
    problems = []
    for package in ("python", *COMPARED):
        by_name = {name: of[package] for name, of in found.items()}
        if len(set(by_name.values())) > 1:
            problems.append(f"{package} differs, lock the same version in both projects: {by_name}")
    return problems


def machine(cores: Cores) -> dict[str, object]:
    """Describe this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "pinning": str(cores),
    }
