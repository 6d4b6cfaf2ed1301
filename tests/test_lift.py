"""Every pattern is lifted into an empty package and imported; some run their own test there, all with LIFT_ALL=1."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from scripts import lift
from tests.support.commands import UV, environment, run
from tests.support.template import ROOT

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

RUN_HERE = ("retry", "load_shedding")
"""Patterns whose own tests run at their new place with every run; all of them with ``LIFT_ALL=1``: minutes."""


def test_every_pattern_stands_alone(tmp_path: Path, tools: Path) -> None:
    """Imported from an empty package, by an interpreter that has no module of ours."""
    for name in lift.patterns():
        done = lift.lift(name, tmp_path, "svc.patterns")
        assert done.files
        assert lift.wiring(name), name
        imports = _imports(tmp_path / "svc" / "patterns" / f"{name}.py")
        assert not [line for line in imports if "app." in line], name
    program = (
        f"import importlib, sys\nfor name in {lift.patterns()!r}: importlib.import_module('svc.patterns.' + name)\n"
        "assert not [module for module in sys.modules if module.split('.')[0] == 'app']"
    )
    said = run(tools / "python", "-c", program, cwd=tmp_path, env=environment({}))
    assert said.returncode == 0, said.stdout


def _imports(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if line.lstrip().startswith(("import ", "from "))]


OWN_TEST = [name for name in lift.patterns() if lift.plan(name, "p").has_test]


@pytest.mark.parametrize("name", OWN_TEST if os.environ.get("LIFT_ALL") else RUN_HERE)
def test_its_own_test_passes_there_with_what_it_declares(name: str, tmp_path: Path) -> None:
    done = lift.lift(name, tmp_path, "svc.patterns")
    needs = ",".join((*done.needs, *done.test_needs))
    command = (
        UV,
        "run",
        "--no-project",
        "--with",
        needs,
        "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/lifted",
    )
    said = run(*command, cwd=tmp_path, env=environment({}), timeout=600)
    assert said.returncode == 0, said.stdout[-3000:]
    assert " passed" in said.stdout


def test_tests_that_want_other_servers_are_lifted_into_one_folder(tmp_path: Path) -> None:
    for name in ("idempotency", "rate_limit", "idempotency"):
        lift.lift(name, tmp_path, "svc.patterns")
    conftest = (tmp_path / "tests" / "lifted" / "conftest.py").read_text("utf-8")
    for fixture in ("database_url", "redis_url"):
        assert len([line for line in conftest.splitlines() if line.startswith("from tests") and fixture in line]) == 1


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("make", "--no-print-directory", *arguments, cwd=ROOT, env=environment({"UV": UV}))


def test_it_says_what_it_needs_and_how_it_is_wired(tmp_path: Path) -> None:
    said = make("lift", "PATTERN=retry", f"INTO={tmp_path}")
    assert said.returncode == 0, said.stdout
    assert "copied  patterns/retry.py" in said.stdout
    assert "needs   tenacity>=" in said.stdout
    assert "To wire it:" in said.stdout
    assert make("lift-diff", f"INTO={tmp_path}").stdout.strip().endswith("what was lifted is what is here")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    lift.lift("retry", tmp_path, "patterns")
    lift.lift("retry", tmp_path, "patterns")  # what is the same may be there
    path = tmp_path / "patterns" / "retry.py"
    path.write_text("mine")
    with pytest.raises(lift.CannotLiftError, match=r"would overwrite patterns/retry\.py"):
        lift.lift("retry", tmp_path, "patterns")
    assert path.read_text() == "mine"
    assert make("lift", "PATTERN=retry", f"INTO={tmp_path}").returncode == 2


@pytest.mark.parametrize(
    ("name", "package", "said"),
    [
        ("retyr", "patterns", "did you mean 'retry'"),
        ("retry", "../x", "is no name of a package"),
        ("", "p", "no pattern"),
    ],
)
def test_what_cannot_be_lifted_is_said(name: str, package: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(lift.CannotLiftError, match=said):
        lift.lift(name, tmp_path, package)
    with pytest.raises(lift.CannotLiftError, match="is no folder"):
        lift.lift("retry", tmp_path / "gone", "patterns")
    with pytest.raises(lift.CannotLiftError, match="nothing was lifted"):
        lift.differences(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_has_changed_here_since_is_shown_and_whether_it_changed_there(tmp_path: Path) -> None:
    lift.lift("retry", tmp_path, "svc.patterns")
    folder = tmp_path / "svc" / "patterns"
    base = folder / lift.RECORD / "retry.py.txt"
    base.write_text("# as it was\n" + base.read_text())
    (found,) = lift.differences(tmp_path)
    assert "-# as it was" in found
    assert "edited there, too" in found
    shutil.copy(base, folder / "retry.py")
    (found,) = lift.differences(tmp_path)
    assert "it was not edited there" in found
    assert set(json.loads((folder / lift.RECORD / "retry.json").read_text())) == {"from", "sha256"}
    assert make("lift-diff", f"INTO={tmp_path}").returncode == 2  # make's own status of a failure
