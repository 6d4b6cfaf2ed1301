"""A machine that has make, git and python3, and no uv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import TIMEOUT, UV, environment, run, succeed
from tests.support.template import SERVICE, bake

POSIX_TOOLS = ("sh", "make", "git", "awk", "echo", "env", "find", "mkdir", "mktemp", "mv", "rm")
(PIN,) = re.findall(
    r"^UV_PIN := (.+)$", (Path(__file__).parents[1] / SERVICE / "uv.mk").read_text("utf-8"), re.MULTILINE
)

PYTHON = Path(sys.base_prefix) / "bin" / "python3"
# Stand-ins for a python3 that is not good enough: one that believes to be older, one without ensurepip.
TOO_OLD = f"""
case "$1" in
    -V) echo "Python 3.9.2" ;;
    -c) exec "{PYTHON}" -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])' "$2" ;;
    *) exec "{PYTHON}" "$@" ;;
esac
"""
NO_VENV = f"""
case "$1" in
    -m) echo "ensurepip is not available"; exit 1 ;;
    *) exec "{PYTHON}" "$@" ;;
esac
"""
REAL = f'exec "{PYTHON}" "$@"'


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with all that such a machine has on its PATH, but for python3."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in POSIX_TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder


def install(machine: Path, script: str) -> None:
    python = machine / "python3"
    python.write_text(f"#!{machine}/sh\n{script}\n")
    python.chmod(0o755)


def fresh(machine: Path, home: Path, locale: str = "C") -> dict[str, str]:
    """Return the environment of a user of that machine, whose home is empty."""
    home.mkdir(exist_ok=True)
    kept = environment(without=frozenset(key for key in os.environ if key.startswith(("UV", "PYTHON", "VIRTUAL"))))
    # Only uv's cache is shared: fetching 200 MB again would say nothing about these Makefiles.
    cache = succeed(UV, "cache", "dir", cwd=home).strip()
    return kept | {
        "PATH": str(machine),
        "HOME": str(home),
        "LC_ALL": locale,
        "LANG": locale,
        "UV_CACHE_DIR": cache,
    }


@pytest.mark.parametrize(
    ("script", "advice"),
    [
        (None, "Neither uv nor python3 is on PATH. Install Python 3.11 or later"),
        (TOO_OLD, "python3 is Python 3.9.2, and 3.11 or later is needed"),
        (NO_VENV, "apt-get install python3-venv"),
    ],
    ids=["no python3", "old python3", "no venv"],
)
@pytest.mark.parametrize("folder", ["", SERVICE], ids=["template", "service"])
def test_what_is_missing_is_named_with_what_to_do(
    template: Path, tmp_path: Path, machine: Path, script: str | None, advice: str, folder: str
) -> None:
    if script:
        install(machine, script)
    done = run("make", "lint", cwd=template / folder, env=fresh(machine, tmp_path / "home"))
    assert done.returncode == 2
    assert advice in done.stdout
    assert list((template / folder).glob(".uv/*")) == []


@pytest.mark.parametrize("folder", ["", SERVICE], ids=["template", "service"])
def test_help_needs_neither_uv_nor_python(template: Path, tmp_path: Path, machine: Path, folder: str) -> None:
    said = succeed("make", cwd=template / folder, env=fresh(machine, tmp_path / "home"))
    assert "make help" in said


def test_two_makes_at_once_install_the_pinned_uv_once_and_then_need_no_network(
    template: Path, tmp_path: Path, machine: Path
) -> None:
    service = bake(template, tmp_path, {"project_name": "Order Service"})
    install(machine, REAL)
    env = fresh(machine, tmp_path / "home", "tr_TR.ISO-8859-9")
    both = [
        subprocess.Popen(
            ["make", "imports"],
            cwd=service,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        for _ in range(2)
    ]
    for process in both:
        said, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, said
        assert f"installing uv {PIN} into .uv/" in said
    assert [path.name for path in (service / ".uv").iterdir()] == [PIN]

    offline = env | {"UV_OFFLINE": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    said = succeed("make", "imports", cwd=service, env=offline)
    assert "installing" not in said
