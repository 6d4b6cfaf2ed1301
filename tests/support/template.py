"""The template as somebody else would have it, and services made from it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cookiecutter.main import cookiecutter

from tests.support.commands import environment, succeed

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "{{cookiecutter.project_slug}}"
SOURCE = ROOT / SERVICE


def copy_template(destination: Path) -> Path:
    """Copy what Git tracks or would track, so that nothing else in this folder can leak into a bake.

    Raises:
        subprocess.CalledProcessError: the template is not in a Git repository.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, destination / name
        if source.is_file():  # a file that was deleted and not yet committed is still listed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return destination


def commit_all(repository: Path, message: str) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    if not (repository / ".git").exists():
        succeed("git", "init", "--quiet", "--initial-branch=main", cwd=repository)
    succeed("git", "add", "--all", cwd=repository)
    succeed("git", "commit", "--quiet", "--message", message, cwd=repository)


def bake(template: Path, output: Path, answers: Mapping[str, object] | None = None) -> Path:
    """Generate a service and return its folder.

    Raises:
        KeyError: the slug cannot be a folder's name.
        cookiecutter.exceptions.FailedHookException: a hook refused an answer.
    """
    return Path(cookiecutter(str(template), no_input=True, extra_context=dict(answers or {}), output_dir=str(output)))


def files(folder: Path, *ignored: str) -> dict[str, bytes]:
    """Return the content of every file below a folder by its path there; ``ignored`` are names of folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & {*ignored}
    }
