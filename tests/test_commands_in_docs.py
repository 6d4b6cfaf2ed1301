"""What the pages tell their reader to type can be typed, and what they link to is there.

Every command in a ```sh block is either run by a test or known here: a target of a Makefile with the variables that its
recipe uses, a command of the service's with its options, or one of a few tools. What is none of these fails until
somebody decides.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

import pytest

from tests.support.commands import environment, succeed
from tests.support.reader import commands_of
from tests.support.template import ROOT, SERVICE, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

Ask: TypeAlias = Callable[[list[list[str]]], list[str | None]]
Files: TypeAlias = dict[str, str]

RUN_BY = {"docs/tutorial.md": "tests/test_tutorial.py", "README.md": "tests/test_readmes.py"}  # pages that are run
PAGES = sorted(page.relative_to(ROOT).as_posix() for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
OF_THE_SERVICE = (
    "README.md",
    "AGENTS.md",
    "SECURITY.md",
    "deploy/README.md",
    ".agents/skills/write-a-handler/SKILL.md",
)

# tools of others, which a page uses as it likes
KNOWN = frozenset({".", "cd", "cookiecutter", "cruft", "curl", "docker", "git", "kubectl"})
UNDECIDED = "nobody has decided what checks this command: run it in a test, or teach this one"

SPAN = re.compile(r"(?<!`)`((?:uv run )?app [^`\n]+)`(?!`)")
ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=.*", re.DOTALL)

# Has the service's command line read arguments, group by group, and do nothing of what they say.
ASK = """
import json, sys
import click
from app.cli import main

def problem(words):
    command, context, name = main, None, "app"
    try:
        while True:
            context = command.make_context(name, list(words), parent=context)
            if not isinstance(command, click.Group):
                return None
            words = [*context._protected_args, *context.args]
            if not words and command.invoke_without_command:
                return None
            name, command, words = command.resolve_command(context, words)
    except click.ClickException as error:
        return error.format_message()

print(json.dumps([problem(words) for words in json.loads(sys.argv[1])]))
"""


def targets_of(*makefiles: Path) -> dict[str, set[str]]:
    """Return the targets of Makefiles, each with the variables that its recipe uses."""
    targets: dict[str, set[str]] = {}
    for makefile in makefiles:
        target = ""
        for line in makefile.read_text("utf-8").splitlines():
            if head := re.match(r"([a-z][a-z-]*):(?!=)", line):
                target = head[1]
                targets.setdefault(target, {"UV"})
            elif line.startswith("\t") and target:
                targets[target] |= set(re.findall(r"\$[$(]([A-Z_]+)", line))
    return targets


def settings_of(service: Path) -> set[str]:
    """Return the names of a service's settings."""
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (service / ".env.example").read_text("utf-8"), re.MULTILINE))


def absent(commands: list[str], folder: Path) -> list[str]:
    """Return the paths in commands that begin with a folder of a service's and are not there."""
    words = {word for command in commands for word in shlex.split(command, comments=True)}
    inside = [word for word in words if "/" in word and (folder / word.partition("/")[0]).is_dir()]
    return sorted(word for word in inside if not (folder / word).exists())


def problem_of_make(words: list[str], targets: dict[str, set[str]]) -> str | None:
    """Return what is wrong with what stands behind ``make``."""
    wanted = [word for word in words if "=" not in word]
    if missing := [word for word in wanted if word not in targets]:
        return f"there is no target {', '.join(missing)}"
    used = set[str]().union(*(targets[target] for target in wanted))
    if unused := sorted({word.partition("=")[0] for word in words if "=" in word} - used):
        return f"make {' '.join(wanted)} does not use {', '.join(unused)}"
    return None


def problems_of(commands: list[str], targets: dict[str, set[str]], settings: set[str], ask: Ask) -> dict[str, str]:
    """Return what is wrong with commands, by command."""
    problems: dict[str, str | None] = {}
    asked: dict[str, list[str]] = {}
    for command in commands:
        words = shlex.split(command, comments=True)
        while words and (assigned := ASSIGNMENT.fullmatch(words[0])) and assigned[1] in settings:
            del words[0]
        match words:
            case []:  # a comment, or settings
                pass
            case ["make", *rest]:
                problems[command] = problem_of_make(rest, targets)
            case ["app", *rest] | ["uv", "run", "app", *rest]:
                asked[command] = rest
            case ["uvx", ("cookiecutter" | "cruft"), *_]:
                pass
            case [tool, *_]:
                problems[command] = None if tool in KNOWN else UNDECIDED
    problems |= dict(zip(asked, ask(list(asked.values())), strict=True))
    return {command: problem for command, problem in problems.items() if problem}


@pytest.fixture(scope="module")
def ask(tools: Path) -> Ask:
    """Return what asks the service's command line what is wrong with arguments."""

    def answer(commands: list[list[str]]) -> list[str | None]:
        env = environment({"PYTHONDONTWRITEBYTECODE": "1"})
        said = succeed(tools / "python", "-c", ASK, json.dumps(commands), cwd=SOURCE, env=env) if commands else "[]"
        answers: list[str | None] = json.loads(said)
        return answers

    return answer


@pytest.mark.parametrize("page", [page for page in PAGES if page not in RUN_BY])
def test_every_command_of_a_page_of_the_template_s_can_be_typed(template: Path, page: str, ask: Ask) -> None:
    targets = targets_of(template / "Makefile", template / SERVICE / "Makefile")
    commands = commands_of((template / page).read_text("utf-8"))
    assert problems_of(commands, targets, settings_of(template / SERVICE), ask) == {}


@pytest.mark.parametrize("page", OF_THE_SERVICE)
def test_every_command_of_a_page_of_the_service_s_can_be_typed(service: Path, page: str, ask: Ask) -> None:
    commands = commands_of((service / page).read_text("utf-8"))
    assert problems_of(commands, targets_of(service / "Makefile"), settings_of(service), ask) == {}
    assert absent(commands, service) == []


def test_a_path_that_is_not_there_is_named(service: Path) -> None:
    there = ["kubectl apply --kustomize deploy/kubernetes/overlays/production", "app check app/handlers/orders.py"]
    assert absent(there, service) == []
    assert absent(["docker compose --file deploy/compose.yml up"], service) == ["deploy/compose.yml"]


def test_every_page_whose_commands_are_run_is_run(template: Path) -> None:
    for page, test in RUN_BY.items():
        assert page in PAGES
        assert f'"{page.rpartition("/")[2]}"' in (template / test).read_text("utf-8")


def test_every_command_of_the_service_s_that_a_sentence_names_exists(template: Path, service: Path, ask: Ask) -> None:
    pages = [*(service / page for page in OF_THE_SERVICE), *(template / page for page in PAGES)]
    spans = [span for page in pages for span in SPAN.findall(page.read_text("utf-8"))]
    named = [span for span in spans if "|" not in span]  # which is several
    assert len(named) > 20
    problems = problems_of(named, {}, set(), ask)
    # A sentence may name a command and leave its arguments out.
    assert {span: problem for span, problem in problems.items() if not problem.startswith("Missing ")} == {}


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("make nothing", "no target nothing"),
        ("make token SUBJCT=alice", "make token does not use SUBJCT"),
        ("make routes PORT=1", "make routes does not use PORT"),
        ("app nothing", "No such command 'nothing'"),
        ("app routes --mising", "No such option '--mising'"),
        ("app routes", ""),
        ("app routes promote 'GET /'", "Missing option '--why'"),
        ("uv run app check --format yaml", "'yaml' is not one of"),
        ("uv run app check --format json # as JSON", ""),
        ("app simulate", "Usage: app simulate"),
        ("APP_ISSUER=https://issuer.example/ app run --port 1", ""),
        ("APP_ISUER=https://issuer.example/", UNDECIDED),
        ("uv run pytest", UNDECIDED),
        ("uvx something", UNDECIDED),
        ("rm -rf /", UNDECIDED),
        ("git status", ""),
        ("make run PORT=1 HOST=::1", ""),
    ],
)
def test_a_command_that_cannot_be_typed_is_named(service: Path, ask: Ask, command: str, problem: str) -> None:
    found = problems_of([command], targets_of(service / "Makefile"), settings_of(service), ask)
    assert list(found) == ([command] if problem else [])
    assert problem in found.get(command, "")


FENCED = re.compile(r"^ *(```+|~~~+).*?^ *\1", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(
    r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)|^ *\[[^\]]+\]: *(\S+)|\b(?:href|src)=\"([^\"]+)\"", re.MULTILINE
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//")
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)


def links_of(page: str) -> list[str]:
    """Return the links of a page that lead to what is beside it, without those that stand in code."""
    found = ["".join(groups) for groups in LINK.findall(QUOTED.sub("", FENCED.sub("", page)))]
    return [link for link in found if not ELSEWHERE.match(link)]


def anchors_of(page: str) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    anchors: set[str] = set()
    for heading in HEADING.findall(FENCED.sub("", page)):
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number, anchor = 0, plain
        while anchor in anchors:
            number += 1
            anchor = f"{plain}-{number}"
        anchors.add(anchor)
    return anchors


def broken_links(folder: Path) -> list[str]:
    """Return the links of all pages below a folder that lead out of it, to nothing, or to no heading."""
    broken = []
    for page in sorted(folder.rglob("*.md")):
        if ".git" in page.relative_to(folder).parts:
            continue
        for link in links_of(page.read_text("utf-8")):
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            inside = target.is_relative_to(folder.resolve()) and target.exists()
            wrong = anchor and (target.suffix != ".md" or anchor not in anchors_of(target.read_text("utf-8")))
            if not inside or wrong:
                broken.append(f"{page.relative_to(folder)}: {link}")
    return broken


def test_every_link_of_the_template_s_pages_leads_somewhere(template: Path) -> None:
    assert broken_links(template) == []


@pytest.mark.parametrize("kind", ["service", "bare_service"])
def test_every_link_of_a_service_s_pages_leads_somewhere_in_it(request: pytest.FixtureRequest, kind: str) -> None:
    assert broken_links(request.getfixturevalue(kind)) == []


OTHER = (
    "# A *page*, with `code`: 0.5.0\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n\n### [Linked](other.md) \n"
)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](docs/other.md)", False),
        ('![a](docs/picture.svg "title")', False),
        ("[a](docs)", False),
        ("[a](docs/other.md#a-page-with-code-050)", False),
        ("[a](docs/other.md#twice-1) [b](#here)\n\n# Here", False),
        ("[a](docs/other.md#linked)", False),
        ("[a](https://example.com/nothing) [b](mailto:a@example.com)", False),
        ("`[a](nothing.md)`\n\n```python\nx = [a](nothing)\n```", False),
        ("[a](nothing.md)", True),
        ("[a](other.md)", True),
        ("[a]\n\n[a]: nothing.md", True),
        ('<img src="nothing.png">', True),
        ("[a](docs/other.md#no-heading)", True),
        ("[a](docs/other.md#twice-2)", True),
        ("[a](docs/picture.svg#here)", True),
        ("[a](#here)", True),
        ("[a](../outside.md)", True),
    ],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, text: str, broken: bool) -> None:  # noqa: FBT001
    folder = tmp_path / "pages"
    (folder / "docs").mkdir(parents=True)
    (tmp_path / "outside.md").touch()
    (folder / "docs" / "picture.svg").touch()
    (folder / "docs" / "other.md").write_text(OTHER)
    (folder / "page.md").write_text(text)
    assert bool(broken_links(folder)) is broken
