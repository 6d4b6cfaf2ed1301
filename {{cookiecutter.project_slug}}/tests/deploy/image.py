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

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""What markers ask about, as it is in the image."""


def packages() -> dict[str, dict[str, Any]]:
    """Return the packages of the image by name: what the project depends on there, without its groups."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    known: dict[str, list[dict[str, Any]]] = {}
    for package in lock["package"]:
        known.setdefault(package["name"], []).append(package)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    found: dict[str, dict[str, Any]] = {}
    pending: list[tuple[str, str | None, tuple[str, ...]]] = [(project, None, ())]
    seen = set()
    while pending:
        name, version, extras = wanted_now = pending.pop()
        if wanted_now in seen:
            continue
        seen.add(wanted_now)
        # A name has two entries, and its dependants say which, where no one version runs on every Python.
        package = found[name] = next(each for each in known[name] if version in {None, each["version"]})
        wanted = [*package.get("dependencies", [])]
        for extra in extras:
            wanted += package.get("optional-dependencies", {}).get(extra, [])
        pending += [
            (each["name"], each.get("version"), tuple(each.get("extra", ())))
            for each in wanted
            if "marker" not in each or Marker(each["marker"]).evaluate(IMAGE)
        ]
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
