"""Every command of the two READMEs is run, in the page's order, by a reader who has begun as the first of them says.

What is not run, or is run smaller than it is written, stands here with the reason. What is in no table is run as it
stands, so a new command fails until it works or somebody gives a reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.commands import environment, succeed
from tests.support.reader import BEGINNING, Begun, Shell, all_commands_of, commands_of, machine, served
from tests.support.template import ROOT, SERVICE, copy_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ITSELF = "runs this test"

ELSEWHERE = {
    "make demo": "by `make test`, beside this test",
    "make test": ITSELF,
    "make update": "tests/test_releases.py, from each release to the next",
    "make stack": "below, with a docker that only writes down what it is told",
    "make dashboards": "below, without the Prometheus that it needs and no package index has",
    "python3 -m venv tools && tools/bin/pip install uv": "tests/test_bootstrap.py has pip install uv",
}
"""What another test runs, and which."""

NO_COMMANDS = {
    "uv run": "begins one",
    "uv run app run | check | explain | routes | evidence | token | migrate | migration": "is several, each run below",
    "make token": "is what `make token SUBJECT=alice ROLE=customer` is",
}

NOT_HERE = ELSEWHERE | NO_COMMANDS

SMALLER = {
    "make torture": "make torture ARGS='recovery --points 5 --database sqlite'",
    "make lock": "make lock ARGS=--offline",
    "make test ARGS=--wide": "make test ARGS='--wide tests/patterns/test_retry.py'",
    "make upgrade": "cat uv.lock >kept.lock && make upgrade && mv kept.lock uv.lock",
    "make bench": "UV_NO_SYNC=0 UV_PROJECT_ENVIRONMENT=.venv/bench uv run --frozen --group bench"
    " python benchmarks/run.py --quick --only bare --requests 20 --output results"
    " --service-python .venv/service/bin/python",
    "make check": "make check ARGS='--layer source --layer lint'",
    'app evidence "GET /v1/orders"': 'app evidence "GET /v1/greetings" --no-gate',
}
"""What is typed for what would take minutes, or leave other packages than the next command expects.

tests/test_tutorial.py runs ``check`` and ``evidence`` whole.
"""

IN_A_SERVICE = {
    "make check": "make check",
    "uv run app check": "make check",
    "app evidence ROUTE": 'app evidence "GET /v1/orders"',
}
"""Commands of the template's README that are for a service, and what its README has for them."""

STATUS = {'app evidence "GET /v1/orders"': 1}
"""How a command ends, if not with 0: nothing speaks yet for a route that nobody has called."""

LAST = ("make clean",)
"""It removes the environment that the others need."""

SETTING = re.compile(r"[A-Z_]+=\S+")

POLICY = """
[roles.customer]
permissions = ["greetings:read"]

[routes."GET /v1/greetings"]
allow = ["greetings:read"]
stage = "probation"
"""

POSTGRES = """
import sys
from sqlalchemy import create_engine, text
from tests.support.postgres_server import postgres_server
with postgres_server() as server:
    owner = server.url(server.create_database())
    with create_engine(owner).begin() as connection:
        connection.execute(text("CREATE ROLE service LOGIN PASSWORD 'secret'"))
    print(owner, flush=True)
    sys.stdin.read()
"""


class Pair(NamedTuple):
    """A row of a table of commands: with make, and without."""

    make: str
    other: str


def pairs(page: str) -> list[Pair]:
    """Return the rows of a page's table of commands that have both columns."""
    table = re.search(r"^\| with make \| without make \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert table
    columns = [row.split(" | ") for row in table[1].splitlines()]
    found = [[re.findall(r"`([^`]+)`", column) for column in row[:2]] for row in columns]
    return [Pair(make[0], other) for make, others in found for other in others if other.startswith("uv ")]


def to_run(page: str) -> list[str]:
    """Return the commands of a page that are run, in order: all but those that only repeat the other column."""
    repeated = {pair.other for pair in pairs(page)}
    commands = [command for command in all_commands_of(page) if command not in NOT_HERE and command not in repeated]
    return sorted(commands, key=LAST.__contains__)


def type_all(shell: Shell, commands: list[str], own: dict[str, str], stays: dict[str, Callable[[str], bool]]) -> None:
    """Run commands one after the other, with the reader's own values where a page cannot know them.

    Args:
        shell: where.
        commands: as the page has them.
        own: what the page writes, and what the reader types instead.
        stays: commands that do not end by themselves, and what tells that they are ready.

    Raises:
        AssertionError: one ended otherwise than it should; the text has it, and what it printed.
    """
    running, done = False, set[str]()
    for command in commands:
        typed = SMALLER.get(command, command)
        for written, mine in own.items():
            typed = typed.replace(written, mine)
        if typed in done:
            continue
        done.add(typed)
        if command not in stays:
            shell.run(typed, STATUS.get(command, 0))
            continue
        if running:
            shell.stop()
        shell.start(typed, stays[command])
        running = True
    if running:
        shell.stop()


@pytest.fixture
def clone(tmp_path: Path, tools: Path) -> Path:
    """A clone of the template with the environments and caches that this one has."""
    folder = copy_template(tmp_path / "template")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "template").symlink_to(sys.prefix)
    (folder / ".venv" / "service").symlink_to(tools.parent)
    (ROOT / ".mypy_cache").mkdir(exist_ok=True)
    (folder / ".mypy_cache").symlink_to(ROOT / ".mypy_cache")
    return folder


def test_every_command_of_the_template_s_readme_is_run(clone: Path, tmp_path: Path, service: Path) -> None:
    page = (clone / "README.md").read_text("utf-8")
    assert [*BEGINNING] == commands_of(page)[-len(BEGINNING) :]  # which the service of the other test has behind it
    assert set(IN_A_SERVICE.values()) <= set(to_run((service / "README.md").read_text("utf-8")))
    (tmp_path / "svc").mkdir()
    # Both environments are those of other tests: what uv would install into them is there.
    env = machine(tmp_path, uv=True) | {"UV_NO_SYNC": "1"}
    commands = [command for command in to_run(page) if command not in {*BEGINNING, *IN_A_SERVICE}]
    assert {"make lint", "make types", "make imports"} <= set(commands)  # which nothing else does for the source
    with Shell(clone, env, tmp_path / "printed") as shell:
        type_all(shell, commands, {}, {})
    assert (tmp_path / "my-service" / "Makefile").is_file()  # make generate INTO=..


@pytest.fixture
def postgres(begun: Begun) -> Iterator[str]:
    """The owner's URL of a database whose server knows a role "service", too."""
    server = subprocess.Popen(
        [begun.service / ".venv" / "bin" / "python", "-c", POSTGRES],
        cwd=begun.service,
        env=environment({"PYTHONPATH": str(begun.service)}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with server:  # which closes its input, and waits
        assert server.stdout
        yield server.stdout.readline().strip()


@pytest.fixture
def greeting(begun: Begun) -> Iterator[Path]:
    """The service that was begun, with the handler of its AGENTS.md."""
    handler, policy = begun.service / "app" / "handlers" / "greetings.py", begun.service / "policy.toml"
    example = re.search(
        r"^```python\n(.*?)^```", (begun.service / "AGENTS.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert example
    before = policy.read_text("utf-8")
    handler.write_text(example[1], "utf-8")
    policy.write_text(before + POLICY, "utf-8")
    yield begun.service
    handler.unlink()
    policy.write_text(before, "utf-8")


def test_every_command_of_the_service_s_readme_is_run(
    begun: Begun, greeting: Path, tmp_path: Path, postgres: str
) -> None:
    commands = to_run((greeting / "README.md").read_text("utf-8"))
    settings = [command for command in commands if SETTING.fullmatch(command)]
    assert "APP_ENVIRONMENT=production" in settings
    (in_production,) = (command for command in commands if command.endswith("@db/orders app run"))
    listening = f"$(sed -n 's/.*simulator on .*://p' '{tmp_path}/printed.log')"
    own = {
        "postgresql://owner:...@db/orders": f"'{postgres}'",
        "APP_DATABASE_URL=postgresql://service:...@db/orders": f"{' '.join(settings)} APP_DATABASE_URL='"
        + re.sub(r"//.*@", "//service:secret@", postgres)
        + "'",
        "NAME=...": 'NAME="add invoices"',
        "GET /v1/orders": "GET /v1/greetings",
        "app simulate payments": "app simulate payments --port 0",
        "127.0.0.1:8001": f"127.0.0.1:{listening}",
    }
    stays: dict[str, Callable[[str], bool]] = {
        in_production: served,
        "app simulate payments": lambda printed: "simulator on" in printed,
        "app worker": lambda printed: "working" in printed,
    }
    assert stays.keys() <= set(commands)
    # The settings are those of the commands in production; `make run` was typed when the service was begun.
    commands = [command for command in commands if command not in {*settings, *BEGINNING}]
    assert len(commands) > 25
    env = begun.env | {"MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "service")}
    with Shell(greeting, env, tmp_path / "printed", "-e") as shell:
        type_all(shell, commands, own, stays)


def test_a_service_with_the_example_has_no_command_more_than_is_decided(service: Path, bare_service: Path) -> None:
    with_it, without = (
        all_commands_of((folder / "README.md").read_text("utf-8")) for folder in (service, bare_service)
    )
    assert set(with_it) - set(without) <= {"make torture"}  # which the template has, too


def test_no_table_names_a_command_that_no_readme_has(template: Path) -> None:
    named = {
        command
        for folder in ("", SERVICE)
        for command in all_commands_of((template / folder / "README.md").read_text("utf-8"))
    }
    assert {*NOT_HERE, *SMALLER, *IN_A_SERVICE, *STATUS, *LAST, *BEGINNING} <= named


@pytest.fixture
def written_down(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment whose uv writes down what it is told, a line each, and does nothing; and where it does."""
    folder, calls = tmp_path / "uv", tmp_path / "calls"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\necho \"$@\" >>'{calls}'\n")
    (folder / "uv").chmod(0o755)
    env = environment({"UV": str(folder / "uv")})
    return env | {"PATH": f"{folder}:{env['PATH']}"}, calls


def calls_of(command: str, folder: Path, written_down: tuple[dict[str, str], Path]) -> list[list[str]]:
    """Return what a command has uv do."""
    env, calls = written_down
    calls.write_text("")
    succeed("sh", "-c", command, cwd=folder, env=env)
    return [line.split() for line in calls.read_text("utf-8").splitlines()]


def test_make_test_runs_the_demo_too(template: Path, written_down: tuple[dict[str, str], Path]) -> None:
    assert ["run", "--frozen", "python", "scripts/demo.py"] in calls_of("make test", template, written_down)


def test_make_stack_has_docker_run_the_stack_with_passwords_of_its_own(
    service: Path, written_down: tuple[dict[str, str], Path]
) -> None:
    env, calls = written_down
    docker = Path(env["UV"]).with_name("docker")
    docker.write_text(Path(env["UV"]).read_text("utf-8"), "utf-8")
    docker.chmod(0o755)
    wrote, stack = calls_of("make stack", service, (env, calls))
    assert wrote == ["run", "--no-project", "python", "deploy/passwords.py"]
    assert stack == ["compose", "--file", "deploy/compose.yaml", "up", "--build"]


def test_make_dashboards_says_what_it_lacks(begun: Begun, tmp_path: Path) -> None:
    with Shell(begun.service, begun.env, tmp_path / "printed") as shell:
        printed = shell.run("make dashboards ARGS=--exitfirst", 2)
    assert "is not on PATH: apt-get install prometheus" in printed


def contains(call: list[str], words: list[str]) -> bool:
    """Tell whether a call has these words in this order, whatever stands between them."""
    rest = iter(call)
    return all(word in rest for word in words)


@pytest.mark.parametrize("place", ["", "service"])
def test_both_columns_of_a_table_of_commands_do_the_same(
    request: pytest.FixtureRequest, template: Path, written_down: tuple[dict[str, str], Path], place: str
) -> None:
    folder: Path = request.getfixturevalue("service") if place else template
    found = pairs((folder / "README.md").read_text("utf-8"))
    assert len(found) > 8
    for make, other in found:
        done, typed = (calls_of(command, folder, written_down) for command in (make, other))
        assert typed, other
        for call in typed:
            assert any(contains(each, call) for each in done), f"`{make}` has uv do {done}, and `{other}` {typed}"


@pytest.mark.parametrize(
    ("commands", "problem"),
    [
        (["true", "false"], r"ended the shell with 1, not with 0:\s+false"),
        (["echo one; true", "make nothing"], "No rule to make target"),
        (["nothing"], "nothing: not found"),
        (["stay"], "true ended"),
    ],
)
def test_a_command_that_fails_is_named(tmp_path: Path, commands: list[str], problem: str) -> None:
    with Shell(tmp_path, environment(), tmp_path / "printed") as shell, pytest.raises(AssertionError, match=problem):
        type_all(shell, commands, {"stay": "true"}, {"stay": lambda _printed: False})


def test_commands_are_found_in_blocks_sentences_and_tables() -> None:
    page = "Say `make one A=b`, with `make`.\n\n```sh\nmake two  # first\nmake three \\\n  more\n```\n\n"
    page += "```python\n`make no`\n```\n\n| with make | without make | does |\n|---|---|---|\n"
    page += "| `make four` | `uv run four`, then `uv run five` | four |\n"
    page += "| `make clean` | | cleans |\n| `make six` | `uv run six` | runs `app six` |\n"
    assert [pair.other for pair in pairs(page)] == ["uv run four", "uv run five", "uv run six"]
    found = ["make one A=b", "make two", "make three    more", "make four", "make six", "app six", "make clean"]
    assert found == to_run(page)
