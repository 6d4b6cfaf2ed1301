"""What is forked is what an interpreter of its own would have run, or tests of services are tests of something else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.forks import LIBRARIES, forks

if TYPE_CHECKING:
    from pathlib import Path

TELLS = """
import atexit, json, os, random, sys
atexit.register(lambda: print("at exit", file=sys.stderr))
about = {
    "folder": os.getcwd(), "arguments": sys.argv[1:], "environment": dict(os.environ), "name": __name__,
    "path": sys.path, "loaded": [*sys.modules], "spec": sys.modules["__main__"].__spec__.name,
    "files": len(os.listdir("/proc/self/fd")), "input": sys.stdin.read(), "random": random.random(),
}
print(json.dumps(about))
"""
PATIENCE = 30.0


def program(folder: Path, text: str) -> Path:
    (folder / "told.py").write_text(text, "utf-8")
    return folder


def told(folder: Path, **env: str) -> dict[str, Any]:
    process = forks().start("told", "a", "b c", cwd=folder, env=env, apart=True)
    out, err = process.communicate(PATIENCE)
    assert (process.wait(), err) == (0, b"at exit\n")
    about: dict[str, Any] = json.loads(out)
    return about


def test_it_is_as_an_interpreter_of_its_own_would_be(tmp_path: Path) -> None:
    program(tmp_path, TELLS)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": "/nowhere", "ONE": "1"}
    forked = told(tmp_path, **env)
    own = json.loads(
        subprocess.run(
            [sys.executable, "-m", "told", "a", "b c"], cwd=tmp_path, env=env, capture_output=True, check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    )  # fmt: skip
    own["environment"].pop("LC_CTYPE", None)  # which Python sets for itself
    for name in ("folder", "arguments", "environment", "name", "spec", "files", "input"):
        assert forked[name] == own[name], name
    assert forked["path"][:2] == own["path"][:2] == [str(tmp_path), "/nowhere"]


def test_it_has_the_libraries_and_nothing_of_the_service_or_the_tests(tmp_path: Path) -> None:
    loaded = told(program(tmp_path, TELLS))["loaded"]
    assert not {name for name in loaded if name.partition(".")[0] in {"app", "admission", "tests", "pytest"}}
    assert set(LIBRARIES) <= {*loaded}


def test_two_do_not_draw_the_same_numbers(tmp_path: Path) -> None:
    program(tmp_path, TELLS)
    assert told(tmp_path)["random"] != told(tmp_path)["random"]


@pytest.mark.parametrize(
    ("text", "status"),
    [("raise SystemExit(3)", 3), ("raise ValueError", 1), ("import sys; sys.exit('no')", 1), ("pass", 0)],
)
def test_it_ends_as_it_says(tmp_path: Path, text: str, status: int) -> None:
    process = forks().start("told", cwd=program(tmp_path, text), env={})
    assert process.communicate(PATIENCE)[0] == b"" or status
    assert process.wait() == process.poll() == status


def test_it_gets_signals_and_tells_of_them(tmp_path: Path) -> None:
    process = forks().start("told", cwd=program(tmp_path, "import time; print('here'); time.sleep(60)"), env={})
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL
    process.terminate()  # nobody is there any more, and nobody else is hit
    process.stdout.close()


def test_what_does_not_end_is_killed(tmp_path: Path) -> None:
    process = forks().start("told", cwd=program(tmp_path, "import time; time.sleep(60)"), env={})
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(0)
    assert process.wait(PATIENCE) == -signal.SIGKILL
