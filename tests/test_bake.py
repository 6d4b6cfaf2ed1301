from __future__ import annotations

import shutil
import time
import tomllib
from typing import TYPE_CHECKING

import pytest
from cookiecutter.exceptions import FailedHookException

from tests.support.commands import UV, environment, run, succeed
from tests.support.template import SERVICE, bake, files

if TYPE_CHECKING:
    from pathlib import Path

RENDERED = {"README.md"}  # the only files of the service in which Jinja is at home
NAMED = {"pyproject.toml", "uv.lock"}  # what the hook writes the project's name into
EXAMPLE = {
    "app/handlers/inventory.py",
    "app/handlers/notifications.py",
    "app/handlers/orders.py",
    "app/jobs/orders.py",
    "app/models/orders.py",
    "migrations/versions/0002_orders.py",
    "Makefile",
    "deploy/.compose-lint.yml",
    "deploy/compose.yaml",
    "deploy/kubernetes/base/network.yaml",
    "deploy/kubernetes/base/settings.yaml",
    "policy.toml",
    "tests/handlers/test_inventory.py",
    "tests/handlers/test_orders.py",
    "tests/handlers/test_orders_attacked.py",
    "tests/handlers/test_orders_paid.py",
    "tests/handlers/test_orders_schema.py",
}
BLOCKS = {  # of these a part goes
    "policy.toml", "Makefile", "deploy/compose.yaml", "deploy/.compose-lint.yml",
    "deploy/kubernetes/base/network.yaml", "deploy/kubernetes/base/settings.yaml",
}  # fmt: skip
TORTURE = "tests/torture/"  # places orders, and so goes with them


def test_app_and_its_tests_are_the_source_byte_for_byte(template: Path, service: Path) -> None:
    for folder in ("app", "tests"):
        source = files(template / SERVICE / folder)
        assert len(source) > 10
        assert source == files(service / folder)


def test_everything_else_is_the_source_except_what_carries_the_name(template: Path, service: Path) -> None:
    source, baked = files(template / SERVICE), files(service, ".git")
    assert source.keys() == baked.keys()
    deployed = {
        path
        for path, text in source.items()
        if path.startswith(("deploy/", ".github/")) and b"breakwater-service" in text
    }
    assert "deploy/Dockerfile" in deployed
    assert {path for path in source if source[path] != baked[path]} == RENDERED | NAMED | deployed
    for path in deployed:
        assert baked[path] == source[path].replace(b"breakwater-service", b"order-service")


def test_nothing_of_the_template_language_is_left_in_what_is_rendered(service: Path) -> None:
    for path in RENDERED:
        text = (service / path).read_text("utf-8")
        assert "Order Service" in text
        assert not [mark for mark in ("cookiecutter", "{{", "{%", "{#") if mark in text]


def test_the_slug_is_the_name_of_the_distribution_in_project_and_lock(service: Path) -> None:
    project = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["project"]
    locked = tomllib.loads((service / "uv.lock").read_text("utf-8"))["package"]
    assert project["name"] == "order-service"
    assert [package["name"] for package in locked if package["source"] == {"editable": "."}] == ["order-service"]
    assert "breakwater-service" not in (service / "uv.lock").read_text("utf-8")


def test_the_lock_of_a_fresh_service_is_up_to_date_without_a_network(service: Path) -> None:
    succeed(UV, "lock", "--check", "--offline", cwd=service)


def test_a_fresh_service_is_a_repository_with_one_clean_commit(service: Path) -> None:
    assert succeed("git", "rev-list", "--count", "main", cwd=service).strip() == "1"
    assert succeed("git", "status", "--porcelain", "--ignored", cwd=service) == ""


def test_a_service_without_the_example_lacks_that_and_nothing_else(service: Path, bare_service: Path) -> None:
    whole, bare = files(service, ".git"), files(bare_service, ".git")
    torture = {path for path in whole if path.startswith(TORTURE)}
    assert EXAMPLE - BLOCKS | torture == whole.keys() - bare.keys()
    assert set() == bare.keys() - whole.keys()
    named = {
        path for path, text in whole.items() if path.startswith(("deploy/", ".github/")) and b"order-service" in text
    }
    assert {path for path in whole if whole[path] != bare.get(path)} == EXAMPLE | torture | RENDERED | NAMED | named
    assert b"/v1/orders" in whole["policy.toml"]
    assert b"/v1/orders" not in bare["policy.toml"]
    assert not [path for path in BLOCKS if b"# example:" in bare[path]]


@pytest.mark.parametrize("missing", sorted(EXAMPLE))
def test_an_example_that_is_not_where_the_hook_looks_stops_the_bake(
    template: Path, tmp_path: Path, missing: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(template, tmp_path / "template")
    (broken / SERVICE / missing).unlink()
    with pytest.raises(FailedHookException):
        bake(broken, tmp_path / "out", {"include_example": False})
    assert "Refused: " in capfd.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("file", sorted(NAMED))
def test_a_name_that_is_not_where_the_hook_looks_stops_the_bake(
    template: Path, tmp_path: Path, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(template, tmp_path / "template")
    path = broken / SERVICE / file
    path.write_text(path.read_text("utf-8").replace('name = "breakwater-service"', 'name = "renamed"'), "utf-8")
    with pytest.raises(FailedHookException):
        bake(broken, tmp_path / "out")
    assert f"Refused: {file}: 0 lines match" in capfd.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_what_work_in_the_template_leaves_behind_is_not_baked(template: Path, tmp_path: Path, service: Path) -> None:
    dirty = shutil.copytree(template, tmp_path / "template")
    for litter in (
        ".venv/bin/python", ".uv/0/bin/uv", ".ruff_cache/0", ".mypy_cache/0", ".development-issuer.json",
        "app/__pycache__/main.pyc", "tests/handlers/__pycache__/test.pyc", "a.egg-info/PKG-INFO",
        "deploy/secrets/app_database_url",
    ):  # fmt: skip
        path = dirty / SERVICE / litter
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{{ this would not render }}")
    baked = bake(dirty, tmp_path / "out", {"project_name": "Order Service"})
    assert files(service, ".git") == files(baked, ".git")


def test_without_a_git_identity_there_is_a_repository_and_no_commit(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    baked = bake(template, tmp_path)
    assert "set user.name and user.email" in capfd.readouterr().out
    assert run("git", "rev-parse", "HEAD", cwd=baked).returncode != 0
    assert (baked / ".git").is_dir()


def test_without_git_the_service_is_made_all_the_same_and_says_so(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    baked = bake(template, tmp_path / "out")
    assert "git is not on PATH" in capfd.readouterr().out
    assert not (baked / ".git").exists()
    assert (baked / "app").is_dir()


def test_a_service_made_inside_a_repository_gets_none_of_its_own(
    template: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    succeed("git", "init", "--quiet", cwd=tmp_path)
    baked = bake(template, tmp_path)
    assert "the folder is inside one" in capfd.readouterr().out
    assert not (baked / ".git").exists()


def test_a_repository_that_the_environment_names_is_left_alone(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    succeed("git", "init", "--quiet", str(other), cwd=tmp_path)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    before = files(other)
    baked = bake(template, tmp_path / "out")
    assert before == files(other)
    assert (baked / ".git").is_dir()


def test_a_folder_that_is_there_already_is_not_touched(template: Path, tmp_path: Path) -> None:
    (tmp_path / "my-service").mkdir()
    (tmp_path / "my-service" / "mine.txt").write_text("mine")
    with pytest.raises(Exception, match="directory already exists"):
        bake(template, tmp_path)
    assert files(tmp_path) == {"my-service/mine.txt": b"mine"}


@pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.ISO-8859-9", "nonsense"])
def test_baking_under_any_locale_with_an_empty_home_works(template: Path, tmp_path: Path, locale: str) -> None:
    cookiecutter = shutil.which("cookiecutter")
    assert cookiecutter is not None
    home, output = tmp_path / "home", tmp_path / "größer"
    home.mkdir()
    output.mkdir()
    env = environment({"HOME": str(home), "LC_ALL": locale, "LANG": locale, "PYTHONIOENCODING": "ascii"})
    said = succeed(cookiecutter, str(template), "--no-input", "-o", str(output), cwd=tmp_path, env=env)
    assert "my-service is ready" in said
    assert (output / "my-service" / "app").is_dir()


def test_how_long_a_bake_takes(template: Path, tmp_path: Path, figures: dict[str, str]) -> None:
    begun = time.perf_counter()
    bake(template, tmp_path)
    figures["bake"] = f"{time.perf_counter() - begun:.2f} s"
