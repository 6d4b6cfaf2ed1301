"""The commands judge the service as it would start, and say everything that is wrong at once."""

from __future__ import annotations

import json
import os
import pwd
from typing import TYPE_CHECKING, NoReturn

import pytest

from app.cli import who_says_so
from tests.support.service import copy_project, run_to_end

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "service")


BOOT = ("check", "--layer", "boot")
"""The layer of the gate that composes the service; the others have tests of their own."""


def test_check_admits_a_service_that_would_start(project: Path) -> None:
    done = run_to_end(project, *BOOT)
    assert done.returncode == 0
    assert done.stderr.startswith("boot ")
    assert done.stdout.startswith("admitted: ")


def test_check_names_every_fault_with_file_and_line(project: Path) -> None:
    (project / "app" / "handlers" / "broken.py").write_text("import nothing_of_that_name\n")
    (project / "app" / "handlers" / "sly.py").write_text(
        "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/a')\nasync def a() -> int:\n    return 1\n"
        "app.mount('/sub', FastAPI())\n"
    )
    with (project / "policy.toml").open("a") as policy:
        policy.write('\n[routes."GET /nowhere"]\nallow = ["probe:raed"]\n')
    done = run_to_end(project, *BOOT)
    assert done.returncode == 1
    assert "app/handlers/broken.py:1:1: BW905\n" in done.stdout
    assert "app/handlers/sly.py:6:1: BW910\n" in done.stdout
    assert "probe:raed" in done.stdout
    assert "refused: 3 problems" in done.stdout


def test_check_in_json_is_read_by_programs_even_if_a_handler_prints(project: Path) -> None:
    (project / "app" / "handlers" / "chatty.py").write_text("print('hello')\nx = (\n")
    (project / "app" / "handlers" / "talker.py").write_text("print('hello')\n")
    done = run_to_end(project, *BOOT, "--format", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["version"], report["verdict"]) == (2, "refused")
    assert {(found["rule"], found["file"], found["line"]) for found in report["findings"]} == {
        ("BW905", "app/handlers/chatty.py", 2),
        ("BW908", "app/handlers/talker.py", 1),
        ("BW910", "app/handlers/talker.py", 1),
    }


def test_check_annotates_on_github(project: Path) -> None:
    (project / "app" / "handlers" / "broken.py").write_text("x = (\n")
    done = run_to_end(project, *BOOT, environ={"FORMAT": "github"})
    assert done.stdout.startswith("::error file=app/handlers/broken.py,line=1,")
    assert "title=BW905::the handler does not parse" in done.stdout


def test_check_refuses_production_with_the_development_issuer(project: Path) -> None:
    done = run_to_end(project, *BOOT, environ={"APP_ENVIRONMENT": "production"})
    assert done.returncode == 1
    assert "APP_JWKS_URL" in done.stdout
    assert "APP_ISSUER" in done.stdout


def test_run_refuses_in_words_and_without_a_traceback(project: Path) -> None:
    (project / "policy.toml").write_text("[routes]\n")
    done = run_to_end(project, "run")
    assert done.returncode != 0
    assert "GET /livez" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_public_route_that_asks_for_the_caller_is_refused(project: Path) -> None:
    (project / "app" / "handlers" / "mine.py").write_text(
        "from fastapi import APIRouter\nfrom app.dependencies import Caller\nrouter = APIRouter()\n"
        "@router.get('/mine')\nasync def mine(caller: Caller) -> str:\n    return caller.subject\n"
    )
    with (project / "policy.toml").open("a") as policy:
        policy.write('\n[routes."GET /mine"]\npublic = true\n')
    done = run_to_end(project, *BOOT)
    assert done.returncode == 1
    assert "app/handlers/mine.py:4" in done.stdout
    assert "asks for the Caller" in done.stdout


def test_routes_prints_the_table(project: Path) -> None:
    done = run_to_end(project, "routes")
    assert done.returncode == 0
    assert "/probe/items/{number}" in done.stdout


def test_routes_in_json_is_read_by_programs(project: Path) -> None:
    rows = json.loads(run_to_end(project, "routes", "--format", "json").stdout)
    assert {(row["method"], row["path"]) for row in rows} >= {("GET", "/livez"), ("POST", "/probe/echo")}


def test_a_token_of_the_development_issuer_is_printed_alone(project: Path) -> None:
    done = run_to_end(project, "token", "--subject", "alice", "--role", "reader", "--tenant", "acme")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.strip().split(".")) == 3


def test_a_token_of_the_development_issuer_is_not_given_away_in_production(project: Path) -> None:
    settings = {
        "APP_ENVIRONMENT": "production",
        "APP_ISSUER": "https://issuer.example/",
        "APP_JWKS_URL": "https://issuer.example/jwks.json",
    }
    done = run_to_end(project, "token", "--subject", "alice", environ=settings)
    assert (done.returncode, done.stdout) == (1, "")


def test_an_unknown_command_ends_with_two(project: Path) -> None:
    assert run_to_end(project, "fly").returncode == 2


def test_a_file_of_settings_is_read(project: Path) -> None:
    (project / ".env").write_text("APP_ENVIRONMENT=production\n")
    assert run_to_end(project, *BOOT).returncode == 1


def test_who_has_no_name_on_this_system_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> NoReturn:
        raise KeyError(uid)  # as `pwd` says it; from Python 3.13 on `getpass` makes an OSError of it

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert who_says_so() == f"uid {os.getuid()}"
