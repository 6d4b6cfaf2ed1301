"""Style, types and imports hold on what is baked; of the source tests/test_readmes.py has them made."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import environment, run, succeed
from tests.support.template import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CACHE = ROOT / ".mypy_cache" / "service"


@pytest.fixture(params=["service", "bare_service"])
def project(request: pytest.FixtureRequest) -> Path:
    """Each form in which the service stands."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def test_ruff_finds_nothing(project: Path, tools: Path) -> None:
    succeed(tools / "ruff", "check", "--no-cache", "--no-respect-gitignore", ".", cwd=project)


def test_the_format_is_ruff_s(project: Path, tools: Path) -> None:
    succeed(tools / "ruff", "format", "--no-cache", "--check", "--no-respect-gitignore", ".", cwd=project)


def test_mypy_finds_nothing(project: Path, tools: Path) -> None:
    said = succeed(tools / "mypy", "--cache-dir", CACHE, cwd=project)
    assert "Success: no issues found" in said


def test_the_import_contracts_are_kept(project: Path, tools: Path) -> None:
    said = succeed(tools / "lint-imports", "--no-logo", "--no-cache", cwd=project)
    assert "0 broken" in said


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("app/patterns/deadline.py", "import app.patterns.body_limit", "A pattern imports no other pattern"),
        ("app/patterns/deadline.py", "import app.settings", "A pattern imports nothing of ours"),
        ("app/settings.py", "import app.patterns.deadline", "Only the composition root knows the patterns"),
        (
            "app/handlers/intruder.py",
            "import app.patterns.deadline",
            "Only the composition root knows the patterns",
        ),
        ("app/handlers/intruder.py", "import app.settings", "A handler asks for app.dependencies"),
        ("app/handlers/intruder.py", "import app.handlers.other", "A handler imports no other handler"),
        ("app/settings.py", "import app.routing", "Imports point downwards"),
        ("app/stray.py", "", "every module has its place"),
    ],
)
def test_each_import_contract_fires(
    service: Path, tmp_path: Path, tools: Path, file: str, line: str, contract: str
) -> None:
    project = tmp_path / "service"
    project.mkdir()
    for part in (".importlinter", "app", "admission"):
        copy = shutil.copytree if (service / part).is_dir() else shutil.copy
        copy(service / part, project / part)
    (project / "app" / "handlers" / "other.py").touch()
    with (project / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    done = run(tools / "lint-imports", "--no-logo", "--no-cache", cwd=project, env=environment({"COLUMNS": "200"}))
    assert done.returncode == 1
    assert any(contract in text and "BROKEN" in text for text in done.stdout.splitlines()), done.stdout
