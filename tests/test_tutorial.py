"""docs/tutorial.md does what it says: its commands are run, its files written, its output compared, in its order."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import TIMEOUT, UV, environment, succeed
from tests.support.template import ROOT
from tests.test_boot import POLL, free_port, get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

TUTORIAL = ROOT / "docs" / "tutorial.md"

# What the page says is needed, and what every POSIX system has. uv is not among it.
NEEDED = ("make", "git")
POSIX_TOOLS = (
    "sh", "awk", "cat", "cut", "echo", "env", "find", "grep", "head", "mkdir", "mktemp", "mv", "rm", "sed",
    "tail", "tee",
)  # fmt: skip

# The two lines that are the reader's: where the template is, and a port.
TEMPLATE_LINE = "TEMPLATE=gh:OWNER/breakwater"
PORT_LINE = "PORT=8000"

STOP = 10.0  # seconds that what a page leaves running has for an orderly end

FENCE = re.compile(r"^```(\S*) *(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"# ([\w./-]+)(, appended)?\n")
EXIT = re.compile(r"(?:exit=(\d+))?")
PLACEHOLDER = re.compile(r"<[a-z]+>")
LEFT_OUT = "..."
FINDING = re.compile(r"^app/handlers/\w+\.py:(\d+):\d+: (BW\d+)$", re.MULTILINE)
LISTED = re.compile(r"^\| ([\d, ]+) \| (BW\d+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Written:
    """A file that the reader writes, or appends to."""

    line: int
    path: str
    text: str
    appended: bool


@dataclass(frozen=True)
class Run:
    """Commands that the reader runs, how the last of them ends, and what they print if the page shows it."""

    line: int
    script: str
    status: int
    printed: str | None


def steps_of(page: str) -> list[Written | Run]:
    """Return what a reader of the page does, in order.

    Raises:
        AssertionError: a block is neither a command, nor what the command before it prints, nor a file.
    """
    steps: list[Written | Run] = []
    shown = True  # whether what the last step prints has been shown, or there is nothing to show
    for block in FENCE.finditer(page):
        kind, mark, text = block.groups()
        line = page.count("\n", 0, block.start()) + 1
        at = f"line {line}: ```{kind} {mark}".rstrip()
        if kind == "sh":
            status = EXIT.fullmatch(mark)
            assert status, f"{at}: only exit=NUMBER may stand behind sh"
            steps.append(Run(line, text, int(status[1] or 0), None))
            shown = False
        elif kind == "text":
            last = steps[-1] if steps else None
            assert isinstance(last, Run), f"{at}: no command is before it"
            assert not shown, f"{at}: what the command before it prints is shown already"
            steps[-1] = Run(last.line, last.script, last.status, text)
            shown = True
        else:
            path = PATH.match(text)
            assert kind in {"python", "toml"}, f"{at}: neither a command, nor its output, nor a file"
            assert path, f"{at}: its first line does not name a file"
            steps.append(Written(line, path[1], text, bool(path[2])))
    return steps


def plain(text: str) -> list[str]:
    """Return the lines that are not blank, with one space wherever there are several."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def pattern_of(line: str) -> re.Pattern[str]:
    """Return what matches a line: ``<name>`` stands for anything without a space, a ``...`` at its end for the rest."""
    rest = line.endswith(LEFT_OUT)
    parts = PLACEHOLDER.split(line.removesuffix(LEFT_OUT))
    return re.compile(r"\S+".join(map(re.escape, parts)) + (".*" if rest else ""))


def difference(shown: str, printed: str) -> str | None:
    """Return what a page shows and a command did not print there; None if the page is right.

    Lines that follow each other on the page do so in the output, and a page that leaves out lines says so.
    """
    said, place = plain(printed), 0
    pieces: list[list[str]] = [[]]
    for line in plain(shown):
        if line == LEFT_OUT:
            pieces.append([])
        else:
            pieces[-1].append(line)
    for number, piece in enumerate(pieces):
        patterns = [pattern_of(line) for line in piece]
        starts = [
            start
            for start in range(place, len(said) - len(piece) + 1)
            if (number > 0 or start == 0)
            and (number < len(pieces) - 1 or start + len(piece) == len(said))
            and all(map(re.Pattern.fullmatch, patterns, said[start : start + len(piece)]))
        ]
        if not starts:
            after = f"after line {place} of what was printed" if place else "at the beginning"
            return f"{after} the page shows:\n" + "\n".join(piece or ["(nothing more)"])
        place = starts[0] + len(piece)
    return None


class Shell:
    """One shell that stays, as a reader's terminal does: folder, variables, functions and background processes.

    Args:
        folder: where it begins.
        env: its environment.
        output: a file for what a command prints.
    """

    def __init__(self, folder: Path, env: dict[str, str], output: Path) -> None:
        """Start it."""
        self.output = output
        self._process = subprocess.Popen(
            ["sh", "-eu"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        """Return it, as it was started already."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the shell and everything that was started in it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + STOP
            while self._kill(number) and time.monotonic() < end:
                self._process.poll()
                time.sleep(POLL)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()

    def _kill(self, number: int = signal.SIGKILL) -> bool:
        """Send a signal to all that was started here; return whether there was anything."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _answer(self, script: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        watch = threading.Timer(TIMEOUT, self._kill)
        watch.start()
        try:
            self._process.stdin.write(script)
            self._process.stdin.flush()
            return self._process.stdout.readline()
        finally:
            watch.cancel()
            watch.join()

    def run(self, script: str, status: int = 0) -> str:
        """Run commands and return what they print.

        Raises:
            AssertionError: they did not end with ``status``.
        """
        errors = "set -e" if status == 0 else "set +e"
        group = f"{errors}\n{{\n{script}\n}} >'{self.output}' 2>&1 </dev/null\necho \"ended with $?\"\n"
        answer = self._answer(group).strip()
        printed = self.output.read_text("utf-8", "replace").replace("\r", "")
        ended = answer or f"ended the shell with {self._process.wait()}"  # -e: the first that fails is the last
        assert ended == f"ended with {status}", f"{ended}, not with {status}:\n{script}\n{printed}"
        return printed

    def folder(self) -> Path:
        """Return where it is."""
        return Path(self.run("pwd").strip())


def write(step: Written, folder: Path) -> None:
    """Write a file of the page where it says."""
    path = folder / step.path
    assert path.parent.is_dir(), f"line {step.line}: {step.path} is to be written, and its folder is not there"
    if step.appended:
        assert path.is_file(), f"line {step.line}: {step.path} is to be appended to, and is not there"
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{step.text}")
    else:
        path.write_text(step.text, "utf-8")


def play(page: str, shell: Shell, done: Callable[[Run, str], None] = lambda _run, _printed: None) -> None:
    """Do what the page says.

    Args:
        page: its text.
        shell: where its commands are run.
        done: is called after each block of commands, with what it printed.

    Raises:
        AssertionError: something ended or printed otherwise; the text has the commands, and all that they printed.
    """
    for step in steps_of(page):
        if isinstance(step, Written):
            write(step, shell.folder())
            continue
        printed = shell.run(step.script, step.status)
        done(step, printed)
        wrong = None if step.printed is None else difference(step.printed, printed)
        assert wrong is None, f"line {step.line}:\n{step.script}\n{wrong}\n\nit printed:\n{printed}"


def _wrapper(folder: Path, name: str, command: str) -> None:
    script = folder / name
    script.write_text(f'#!{folder}/sh\nexec {command} "$@"\n')
    script.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty and whose machine has what the page names, and no more."""
    folder, home = tmp_path / "bin", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    for tool in (*NEEDED, *POSIX_TOOLS):
        found = shutil.which(tool)
        assert found is not None, f"docs/tutorial.md needs {tool}, and this machine has none: install it"
        (folder / tool).symlink_to(found)
    _wrapper(folder, "python3", f'"{sys.base_prefix}/bin/python3"')
    # A reader has curl; the tests ask for nothing that the project's own commands do not, so they bring a stand-in.
    curl = shutil.which("curl")
    if curl is None or os.environ.get("WITHOUT_CURL"):
        _wrapper(folder, "curl", f'"{sys.base_prefix}/bin/python3" "{ROOT}/tests/support/curl.py"')
    else:
        (folder / "curl").symlink_to(curl)
    foreign = ("UV", "PYTHON", "VIRTUAL", "COOKIECUTTER", "APP_", "OTEL_")
    kept = environment(without=frozenset(key for key in os.environ if key.startswith(foreign)))
    # Only uv's cache is shared: fetching 200 MB again would say nothing about this page.
    cache = succeed(UV, "cache", "dir", cwd=home).strip()
    return kept | {"PATH": str(folder), "HOME": str(home), "UV_CACHE_DIR": cache}


@pytest.fixture
def shell(tmp_path: Path, machine: dict[str, str]) -> Iterator[Shell]:
    folder = tmp_path / "newcomer"
    folder.mkdir()
    with Shell(folder, machine, tmp_path / "printed") as started:
        yield started


def mine(page: str, template: Path, port: int) -> str:
    """Return the page with the reader's own values in the two lines that have them."""
    for line, own in ((TEMPLATE_LINE, f"TEMPLATE='{template}'"), (PORT_LINE, f"PORT={port}")):
        assert page.count(f"\n{line}\n") == 1, f"the page has not one line {line}"
        page = page.replace(f"\n{line}\n", f"\n{own}\n")
    return page


def test_a_newcomer_gets_a_generated_handler_admitted_and_running(
    template: Path, tmp_path: Path, shell: Shell, figures: dict[str, str]
) -> None:
    port, begun = free_port(), time.monotonic()
    page, ready, found = TUTORIAL.read_text("utf-8"), list[float](), set[tuple[str, str]]()

    def done(run: Run, printed: str) -> None:
        if "/readyz" in run.script:
            ready.append(time.monotonic() - begun)
        found.update(FINDING.findall(printed))

    try:
        play(mine(page, template, port), shell, done)
    except AssertionError as error:
        for log in tmp_path.glob("newcomer/*.log"):
            error.add_note(f"the end of {log.name}:\n{log.read_text('utf-8', 'replace')[-4000:]}")
        raise
    figures["tutorial, generate and /readyz"] = f"{ready[0]:.1f} s"
    figures["tutorial, end to end"] = f"{time.monotonic() - begun:.1f} s"
    with pytest.raises(ConnectionRefusedError):
        get(port, "/livez")  # the page ends what it begins
    listed = {(line, rule) for lines, rule in LISTED.findall(page) for line in lines.split(", ")}
    assert found == listed


PRINTED = "uv is fetched\n\nsource    3 files      0.01 s  2 refusals\na.py:1\n  mend: this\na.py:2\nrefused\n"


@pytest.mark.parametrize(
    "shown",
    [
        PRINTED,
        "...",
        "uv ...\n...\nrefused",
        "...\nsource 3 files <seconds> s 2 refusals\n...",
        "...\na.py:<line>\n  mend: this\n...",
        "...\na.py:1\n...\na.py:2\n...",
    ],
)
def test_a_page_may_leave_out_what_it_says_it_leaves_out(shown: str) -> None:
    assert difference(shown, PRINTED) is None


@pytest.mark.parametrize(
    ("shown", "named"),
    [
        ("...\nsource 3 files <seconds> s 3 refusals\n...", "3 refusals"),
        ("...\na.py:2\n...\na.py:1\n...", "a.py:1"),
        ("...\na.py:1\na.py:2\n...", "a.py:1"),
        ("...\na.py:1", "a.py:1"),
        ("a.py:1\n...", "a.py:1"),
        ("uv is fetched", "uv is fetched"),
        ("...\nrefused\nagain", "again"),
        ("uv <rest>\n...", "<rest>"),
        (PRINTED + "more", "more"),
        ("", "nothing more"),
    ],
    ids=["another", "order", "not adjacent", "not the end", "not the beginning", "not all", "after the end", "space",
         "more", "less"],
)  # fmt: skip
def test_a_line_that_a_page_shows_and_nothing_printed_is_named(shown: str, named: str) -> None:
    assert named in str(difference(shown, PRINTED))


def page_of(*blocks: str) -> str:
    return "\n".join(f"Words.\n\n```{block}\n```\n" for block in blocks)


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        (
            ["sh\necho one", "text\ntwo"],
            r"line 3:\s+echo one\s+at the beginning the page shows:\s+two\s+it printed:\s+one",
        ),
        (["sh\nfalse\necho one"], r"ended the shell with 1, not with 0:\s+false"),
        (["sh\necho $MISSING"], "MISSING: "),
        (["sh exit=1\ntrue"], "ended with 0, not with 1"),
        (["python\n# app/a.py\n"], "its folder is not there"),
        (["toml\n# policy.toml, appended\n"], "is not there"),
        (["python\nprint()"], "its first line does not name a file"),
        (["text\nsaid"], "no command is before it"),
        (["sh\ntrue", "text\n", "text\n"], "is shown already"),
        (["json\n{}"], "neither a command"),
        (["sh maybe\ntrue"], "only exit=NUMBER"),
    ],
)
def test_a_page_that_is_wrong_fails(shell: Shell, blocks: list[str], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        play(page_of(*blocks), shell)


def test_a_shell_stays_as_a_terminal_does(shell: Shell) -> None:
    play(
        page_of(
            'sh\nmkdir app\ncd app\nNAME=one\nsay() { echo "said $1"; }',
            "python\n# name.py\nprint()\n",
            "toml\n# name.py, appended\n",
            'sh exit=3\nsay "$NAME"\ncat name.py\n(exit 3)',
            "text\nsaid one\n# name.py\nprint()\n# name.py, appended",
            "sh\ntrue",
        ),
        shell,
    )


def test_what_a_page_leaves_running_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    with Shell(tmp_path, environment(), tmp_path / "printed") as shell:
        shell.run("sleep 600 >held &")
        held = (tmp_path / "held").open("rb", buffering=0)  # opens when the other end does
        os.set_blocking(held.fileno(), False)
        assert held.read() is None  # somebody has it open for writing
    with held:
        assert held.read() == b""  # nobody has
