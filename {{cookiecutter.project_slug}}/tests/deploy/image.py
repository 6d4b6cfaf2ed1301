"""What an image of deploy/Dockerfile holds of Python packages, by the lock: ``python -m tests.deploy.image``.

Nothing is built: the wheels that the lock names for the image's platform are added up as they are downloaded, and as
they would lie unpacked, from an environment that is made with them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


def packages() -> dict[str, dict[str, Any]]:
    """Return the packages of the image by name: what the project depends on, without its groups."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    known = {package["name"]: package for package in lock["package"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    found: dict[str, dict[str, Any]] = {}
    pending: list[tuple[str, tuple[str, ...]]] = [(project, ())]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while pending:
        name, extras = pending.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        package = found[name] = known[name]
        wanted = [*package.get("dependencies", [])]
        for extra in extras:
            wanted += package.get("optional-dependencies", {}).get(extra, [])
        pending += [(each["name"], tuple(each.get("extra", ()))) for each in wanted]
    del found[project]
    return found


def unpacked() -> int:
    """Return the bytes of an environment with these packages and their compiled code.

    Raises:
        subprocess.CalledProcessError: they could not be installed.
    """
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": folder, "UV_COMPILE_BYTECODE": "1"}
        uv = os.environ.get("UV", "uv")
        command = [uv, "sync", "--quiet", "--frozen", "--no-default-groups", "--no-install-project"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())


def main() -> int:
    """Print the packages and the sizes."""
    found = packages()
    for name, package in sorted(found.items()):
        sys.stdout.write(f"{name} {package['version']}\n")
    sys.stdout.write(f"{len(found)} packages, {unpacked() / MIB:.0f} MiB unpacked and compiled\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
