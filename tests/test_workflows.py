"""The template's own workflows are pinned, may little, and call what is there; those of a service have a test there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.commands import environment, run, succeed
from tests.support.template import ROOT, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def test_they_are_linted(tools: Path) -> None:
    assert WORKFLOWS
    succeed(tools / "actionlint", "-shellcheck", tools / "shellcheck", *WORKFLOWS, cwd=ROOT)
    succeed(tools / "zizmor", "--offline", "--persona", "auditor", "--quiet", "--no-progress", ".github", cwd=ROOT)


def test_a_workflow_that_trusts_what_it_is_sent_is_found(tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "bad.yml").write_text(
        "on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - run: echo ${{ github.event.pull_request.title }}\n"
    )
    said = run(tools / "zizmor", "--offline", "--quiet", "--no-progress", ".github", cwd=tmp_path, env=environment({}))
    assert said.returncode != 0
    assert "template-injection" in said.stdout


def test_actions_are_pinned_by_commit_to_what_a_service_uses_too() -> None:
    pins: dict[str, tuple[str, str]] = {}
    for path in (*WORKFLOWS, *(SOURCE / ".github" / "workflows").glob("*.yml")):
        for action, commit, version in re.findall(r"uses: ([\w./-]+)@(\S+) # (v[\d.]+)", path.read_text("utf-8")):
            assert re.fullmatch(r"[0-9a-f]{40}", commit)
            assert pins.setdefault(action, (commit, version)) == (commit, version), action
    assert "actions/checkout" in pins
    for path in WORKFLOWS:
        assert len(re.findall(r"\buses: ", path.read_text("utf-8"))) == len(
            re.findall(r"\buses: [\w./-]+@[0-9a-f]{40} # v", path.read_text("utf-8"))
        )


def test_the_oldest_python_and_the_image_s_are_tested() -> None:
    (oldest,) = re.findall(
        r'^requires-python = ">=([\d.]+)"', (SOURCE / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    (image,) = re.findall(
        r"^FROM python:([\d.]+)-", (SOURCE / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    workflow = (ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8")
    (tested,) = re.findall(r"^        python: \[(.*)\]", workflow, re.MULTILINE)
    assert {f"'{oldest}'", f"'{image}'"} <= set(tested.split(", "))
    assert "python-version: ${{ matrix.python }}" in workflow


def test_they_call_targets_that_are_there() -> None:
    for path in WORKFLOWS:
        for folder, targets in re.findall(r"run: make (--directory \S+ )?([a-z ]+)", path.read_text("utf-8")):
            makefile = (SOURCE if folder else ROOT) / "Makefile"
            known = set(re.findall(r"^([a-z-]+):", makefile.read_text("utf-8"), re.MULTILINE))
            assert set(targets.split()) <= known


def test_owners_are_named_for_paths_that_exist() -> None:
    for line in (GITHUB / "CODEOWNERS").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            path = line.split()[0]
            assert path == "*" or (ROOT / path.strip("/")).exists()
