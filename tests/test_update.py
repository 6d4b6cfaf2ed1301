"""A service made with cruft, edited by its owner, takes what the template has learned since."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cruft
import pytest

from tests.support.commands import UV, succeed
from tests.support.template import SERVICE, commit_all, files
from tests.support.update import assert_merged, conflicts

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A template's repository and a service that came from it, both clean."""

    template: Path
    service: Path

    @property
    def source(self) -> Path:
        """The service as it stands in the template."""
        return self.template / SERVICE

    def publish(self) -> None:
        """Commit what was changed in the template."""
        commit_all(self.template, "Change the template")

    def update(self) -> None:
        """Bring the service up to date, as `cruft update --skip-apply-ask` does."""
        assert cruft.update(self.service, skip_apply_ask=True)


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that stands in a file exactly once."""
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def pair(template: Path, tmp_path: Path) -> Pair:
    published = shutil.copytree(template, tmp_path / "template")
    commit_all(published, "Publish the template")
    answers = {"project_name": "Order Service", "description": "Takes orders."}
    service = cruft.create(str(published), output_dir=tmp_path, extra_context=answers, no_input=True)
    assert not (service / ".git").exists()
    commit_all(service, "Start from Breakwater")
    return Pair(published, service)


def test_a_service_made_with_cruft_is_the_service_made_with_cookiecutter(pair: Pair, service: Path) -> None:
    made = files(pair.service, ".git")
    assert b'"_commit"' in made.pop(".cruft.json")
    known = files(service, ".git")
    assert known.keys() == made.keys()
    assert {"README.md", "pyproject.toml"} == {path for path in known if known[path] != made[path]}  # the description


def test_an_update_arrives_and_the_owner_s_edits_stay(pair: Pair) -> None:
    replace(pair.service / "README.md", "## Add a handler", "## Our own chapter\n\nOurs.\n\n## Add a handler")
    replace(pair.service / "pyproject.toml", 'version = "0.1.0"', 'version = "3.2.1"')
    (pair.service / "app" / "handlers" / "ours.py").write_text('"""Ours."""\n')
    (pair.service / "app" / "handlers" / "orders.py").unlink()
    commit_all(pair.service, "Make it ours")

    replace(pair.source / "README.md", "## Where things are", "## Where all things are")
    replace(pair.source / "pyproject.toml", '    "uvloop>=', '    "uvloop>=0,>=')
    with (pair.source / "app" / "settings.py").open("a") as stream:
        stream.write("\nFROM_THE_TEMPLATE = True\n")
    (pair.source / "app" / "patterns" / "novel.py").write_text('"""Novel."""\n')
    with (pair.source / "app" / "handlers" / "orders.py").open("a") as stream:
        stream.write("\nFROM_THE_TEMPLATE = True\n")
    pair.publish()
    pair.update()

    assert_merged(pair.service)
    readme = (pair.service / "README.md").read_text("utf-8")
    assert "## Our own chapter\n\nOurs.\n" in readme
    assert "## Where all things are" in readme
    project = (pair.service / "pyproject.toml").read_text("utf-8")
    assert 'name = "order-service"\nversion = "3.2.1"\ndescription = "Takes orders."\n' in project
    assert '"uvloop>=0,>=' in project
    assert (pair.service / "app" / "settings.py").read_text("utf-8").endswith("\nFROM_THE_TEMPLATE = True\n")
    assert (pair.service / "app" / "patterns" / "novel.py").is_file()
    assert (pair.service / "app" / "handlers" / "ours.py").is_file()
    assert not (pair.service / "app" / "handlers" / "orders.py").exists()


def test_a_service_that_renamed_itself_still_takes_a_new_lock(pair: Pair) -> None:
    lock = pair.source / "uv.lock"
    assert 'name = "order-service"' in (pair.service / "uv.lock").read_text("utf-8")
    replace(pair.source / "pyproject.toml", 'version = "0.1.0"\n', 'version = "0.2.0"\n')
    replace(
        lock,
        'name = "breakwater-service"\nversion = "0.1.0"\n',
        'name = "breakwater-service"\nversion = "0.2.0"\n',
    )
    pair.publish()
    pair.update()
    assert_merged(pair.service)
    assert 'name = "order-service"\nversion = "0.2.0"\n' in (pair.service / "uv.lock").read_text("utf-8")
    succeed(UV, "lock", "--check", "--offline", cwd=pair.service)


def test_an_update_of_an_unchanged_service_is_what_a_fresh_one_would_be(pair: Pair, tmp_path: Path) -> None:
    replace(pair.source / "README.md", "## Where things are", "## Where all things are")
    (pair.source / "app" / "health.py").rename(pair.source / "app" / "health_moved.py")
    pair.publish()
    pair.update()
    answers = {"project_name": "Order Service", "description": "Takes orders."}
    fresh = cruft.create(str(pair.template), output_dir=tmp_path / "fresh", extra_context=answers, no_input=True)
    assert files(fresh) == files(pair.service, ".git")


def test_a_conflict_is_told_loudly(pair: Pair) -> None:
    replace(pair.service / ".editorconfig", "indent_size = 4", "indent_size = 3")
    commit_all(pair.service, "Indent by three")
    replace(pair.source / ".editorconfig", "indent_size = 4", "indent_size = 8")
    pair.publish()
    pair.update()
    assert conflicts(pair.service) == [".editorconfig"]
    with pytest.raises(AssertionError, match=r"left conflicts, although it reported success: \.editorconfig"):
        assert_merged(pair.service)
