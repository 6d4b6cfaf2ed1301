from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import UV, environment, succeed
from tests.support.reader import Begun, begin
from tests.support.template import ROOT, SOURCE, bake, copy_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from xdist.workermanage import WorkerController

FIGURES = pytest.StashKey[dict[str, str]]()


TOGETHER = frozenset({"test_boot", "test_quality", "test_readmes"})
"""Modules that share a service that was begun, or mypy's cache: one process runs them, one after the other."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module together where several processes run them, and of modules that share something."""
    for item in items:
        group = "together" if item.path.stem in TOGETHER else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a process has measured to the one that prints it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = session.config.stash[FIGURES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take what a process has measured."""
    node.config.stash[FIGURES].update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured: figures of this machine, at which no test fails."""
    for name, figure in config.stash[FIGURES].items():
        terminalreporter.write_line(f"{name}: {figure}")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, str]:
    """What was measured, to be printed at the end."""
    return request.config.stash[FIGURES]


@pytest.fixture(scope="session", autouse=True)
def of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the configuration of whoever runs the tests out of them: cookiecutter's and Git's."""
    folder = tmp_path_factory.mktemp("nobody")
    (folder / "cookiecutter.yaml").write_text(
        f"cookiecutters_dir: '{folder}/cookiecutters'\nreplay_dir: '{folder}/replay'\n"
    )
    (folder / "gitconfig").write_text("[user]\nname = Nobody\nemail = nobody@example.com\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOKIECUTTER_CONFIG", str(folder / "cookiecutter.yaml"))
        patch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a clone would have it."""
    return copy_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def service(template: Path, tmp_path_factory: pytest.TempPathFactory, of_nobody: None) -> Path:  # noqa: ARG001
    """A service with the worked example. Read it; a test that changes it bakes its own."""
    return bake(template, tmp_path_factory.mktemp("service"), {"project_name": "Order Service"})


@pytest.fixture(scope="session")
def bare_service(template: Path, tmp_path_factory: pytest.TempPathFactory, of_nobody: None) -> Path:  # noqa: ARG001
    """A service without the worked example. Read it; a test that changes it bakes its own."""
    answers = {"project_name": "Bare Service", "include_example": False}
    return bake(template, tmp_path_factory.mktemp("bare"), answers)


@pytest.fixture(scope="session")
def begun(template: Path, tmp_path_factory: pytest.TempPathFactory, of_nobody: None) -> Begun:  # noqa: ARG001
    """A service without the worked example that was begun as the README says, so that its environment is made."""
    return begin(template, tmp_path_factory.mktemp("begun"))


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the service's tools (ruff, mypy, lint-imports), from the environment of its source."""
    folder = ROOT / ".venv" / "service"
    succeed(
        UV,
        "sync",
        "--frozen",
        "--quiet",
        cwd=SOURCE,
        env=environment({"UV_PROJECT_ENVIRONMENT": str(folder)}),
    )
    return folder / "bin"
