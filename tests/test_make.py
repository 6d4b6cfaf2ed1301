from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import succeed
from tests.support.template import SERVICE

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = re.compile(r"\bmake ([a-z][a-z-]*)")


def declared(makefile: Path) -> set[str]:
    """Return the targets that a Makefile declares as commands."""
    (line,) = re.findall(r"^\.PHONY: (.+)$", makefile.read_text("utf-8"), re.MULTILINE)
    return set(line.split())


def listed(folder: Path) -> set[str]:
    """Return the targets that `make`, without a target, lists."""
    return set(re.findall(r"^  make ([a-z-]+) +\S", succeed("make", cwd=folder), re.MULTILINE))


def commands(page: Path) -> set[str]:
    """Return the targets that a page tells its reader to make, in code blocks and in `code`."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", text)
    return {target for code in (*blocks, *spans) for target in COMMAND.findall(code)}


@pytest.mark.parametrize("folder", ["", SERVICE])
def test_make_without_a_target_lists_every_target(template: Path, folder: str) -> None:
    targets = declared(template / folder / "Makefile")
    assert len(targets) > 8
    assert targets == listed(template / folder)
    assert targets == set(
        re.findall(r"^([a-z-]+):(?!=)", (template / folder / "Makefile").read_text("utf-8"), re.MULTILINE)
    )


def test_make_lists_the_targets_in_a_baked_service(service: Path) -> None:
    assert declared(service / "Makefile") == listed(service)


def test_every_command_that_the_service_s_readme_names_is_a_target(service: Path) -> None:
    named = commands(service / "README.md")
    assert len(named) > 8
    assert named <= declared(service / "Makefile")


def test_every_command_that_the_template_s_pages_name_is_a_target(template: Path) -> None:
    targets = declared(template / "Makefile") | declared(template / SERVICE / "Makefile")
    pages = [*template.glob("*.md"), *template.glob("docs/**/*.md"), *template.glob(f"{SERVICE}/*.md")]
    assert {page.name: commands(page) - targets for page in pages if commands(page) - targets} == {}


def test_the_template_s_own_commands_leave_the_service_s_folder_alone(template: Path) -> None:
    recipes = succeed("make", "--dry-run", "lint", "types", "imports", cwd=template)
    inside = [line for line in recipes.splitlines() if line.startswith(f"cd '{SERVICE}'")]
    assert len(inside) == 4
    assert all(f"UV_PROJECT_ENVIRONMENT='{template}/.venv/service'" in line for line in inside)
