"""A service with edits of its own goes from each release to the next, and boots on the newest."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import cruft
import pytest

from tests.support.commands import environment, run, succeed
from tests.support.template import ROOT, commit_all, copy_template
from tests.support.update import assert_merged, conflicts

if TYPE_CHECKING:
    from pathlib import Path

TABLE = (ROOT / "docs" / "upgrading.md").read_text("utf-8")
RELEASES = dict(re.findall(r"^\| ([\d.]+) \| `([0-9a-f]{7,40})` \|", TABLE, re.MULTILINE))
OURS = '\n[routes."GET /v1/ours"]\nauthenticated = true\n'
HANDLER = '''"""Ours."""

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter()


class Ours(BaseModel):
    """Ours."""

    ours: bool = True


@router.get("/v1/ours")
async def read_ours() -> Ours:
    """Say that this is ours."""
    return Ours()
'''


def put(commit: str | None, repository: Path) -> None:
    """Make the template's repository what it was at a commit; None: what it is now."""
    for path in repository.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if commit is None:
        copy_template(repository)
    else:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "x", "-C", repository], input=archive, check=True)
    commit_all(repository, f"Publish {commit or 'what is next'}")


def edit(service: Path) -> None:
    """Make a service somebody's own."""
    readme, policy, project = service / "README.md", service / "policy.toml", service / "pyproject.toml"
    readme.write_text(readme.read_text("utf-8").replace("## Add a handler", "## Ours\n\nOurs.\n\n## Add a handler"))
    policy.write_text(policy.read_text("utf-8") + OURS)
    project.write_text(project.read_text("utf-8").replace('version = "0.1.0"', 'version = "7.0.0"', 1))
    (service / "app" / "handlers" / "ours.py").write_text(HANDLER)


def test_a_service_with_edits_goes_from_each_release_to_the_next_and_boots(tmp_path: Path, tools: Path) -> None:
    """Without the worked example: what an owner has removed is no conflict that says anything about a release."""
    assert len(RELEASES) > 1
    if run("git", "rev-parse", "--is-shallow-repository", cwd=ROOT).stdout.strip() == "true":
        pytest.skip("a shallow clone has no releases: git fetch --unshallow")
    repository = tmp_path / "template"
    repository.mkdir()
    first, *others = RELEASES.values()
    put(first, repository)
    answers = {"project_name": "Order Service", "include_example": False}
    service = cruft.create(str(repository), output_dir=tmp_path, extra_context=answers, no_input=True)
    commit_all(service, "Start from Breakwater")
    edit(service)
    commit_all(service, "Make it ours")
    for commit in (*others, None):
        put(commit, repository)
        assert cruft.update(service, skip_apply_ask=True), commit
        assert_merged(service)
        commit_all(service, f"Take {commit}")
        assert "## Ours\n\nOurs.\n" in (service / "README.md").read_text("utf-8")
        assert (service / "policy.toml").read_text("utf-8").endswith(OURS)
        assert 'version = "7.0.0"' in (service / "pyproject.toml").read_text("utf-8")
    # The environment of the template's own source has the same packages: nothing is installed for this.
    said = run(
        tools / "python", "-m", "app", "check", "--layer", "source", "--layer", "boot", cwd=service, env=environment({})
    )
    assert said.returncode == 0, said.stdout
    assert "admitted" in said.stdout


@pytest.mark.parametrize("conflict", [False, True])
def test_make_update_ends_well_or_names_what_is_left(template: Path, tmp_path: Path, conflict: bool) -> None:  # noqa: FBT001
    published = shutil.copytree(template, tmp_path / "template")
    commit_all(published, "Publish the template")
    service = cruft.create(str(published), output_dir=tmp_path, no_input=True)
    commit_all(service, "Start from Breakwater")
    place = ".editorconfig"
    if conflict:
        (service / place).write_text((service / place).read_text().replace("indent_size = 4", "indent_size = 3"))
        commit_all(service, "Indent by three")
    (source,) = published.glob("{{*")
    (source / place).write_text((source / place).read_text().replace("indent_size = 4", "indent_size = 8"))
    commit_all(published, "Change the template")
    said = run("make", "update", cwd=service, env=environment({"ARGS": "--skip-apply-ask"}))
    assert conflicts(service) == ([place] if conflict else [])
    assert (said.returncode != 0) == conflict, said.stdout
    if conflict:
        assert f"left to merge by hand:\n{place}\n" in said.stdout
    succeed("git", "status", cwd=service)


def test_the_changelog_says_for_each_release_what_to_do() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    listed = re.findall(r"^## ([\d.]+)", changelog, re.MULTILINE)
    assert sorted(listed) == sorted(RELEASES)
    for release in [*RELEASES][1:]:
        assert f"### {release}\n" in TABLE
        assert f"#{release.replace('.', '')}" in TABLE
