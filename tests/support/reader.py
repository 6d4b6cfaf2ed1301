"""Does what a page says, as its reader would: types commands in one shell, writes files, compares what it shows."""

from __future__ import annotations

import contextlib
import http.client
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

from tests.support.commands import OTHER_INDEXES, TIMEOUT, UV, environment, succeed
from tests.support.template import ROOT
from tests.test_boot import get

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

# What the pages say is needed, and what every POSIX system has. uv is not among it.
NEEDED = ("make", "git")
POSIX_TOOLS = (
    "sh", "awk", "cat", "cut", "dirname", "echo", "env", "find", "grep", "head", "mkdir", "mktemp", "mv", "realpath",
    "rm", "sed", "tail", "tee",
)  # fmt: skip

# How the template's README begins a service, and what the reader answers: the given name, and no worked example.
BEGINNING = ("uvx cookiecutter <where this repository is>", "cd my-service", "make run")
ANSWERS = "\n\n\nn\n"

STOP = 30.0  # seconds that what a page leaves running has for an orderly end
POLL = 0.05  # seconds between two looks at what was started

FENCE = re.compile(r"^```(\S*) *(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^( *)```sh\b[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"^(?P<in> *)```(?:sh\b[^\n]*\n(?P<block>.*?)|.*?)^(?P=in)```"  # what is in another block is no command
    r"|(?<!`)`(?P<span>(?:app|cruft|curl|docker|git|kubectl|make|npx|pip|pipx|python3?|uvx?) [^`\n]+)`(?!`)",
    re.MULTILINE | re.DOTALL,
)
PATH = re.compile(r"# ([\w./-]+)(, appended)?\n")
EXIT = re.compile(r"(?:exit=(\d+))?")
PLACEHOLDER = re.compile(r"<[a-z]+>")
LISTENS = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
LEFT_OUT = "..."


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


def commands_of(page: str) -> list[str]:
    """Return the commands of a page's ```sh blocks; one that goes on in the next line is one."""
    return [command for block in BLOCK.finditer(page) for command in _lines(block[2])]


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def all_commands_of(page: str) -> list[str]:
    """Return the commands of a page's ```sh blocks, sentences and tables, each once and in the page's order."""
    found: list[str] = []
    for place in COMMAND.finditer(page):
        typed = [place["span"]] if place["span"] else _lines(place["block"] or "")
        found += [re.sub(r"\s+#.*", "", command) for command in typed]
    return list(dict.fromkeys(found))


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
        options: the shell's own.
    """

    def __init__(self, folder: Path, env: dict[str, str], output: Path, options: str = "-eu") -> None:
        """Start it."""
        self.output = output
        self._process = subprocess.Popen(
            ["sh", options],
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

    def run(self, script: str, status: int = 0, answers: str = "") -> str:
        """Run commands and return what they print.

        Args:
            script: the commands.
            status: what the last of them ends with.
            answers: what the reader types when they ask.

        Raises:
            AssertionError: they did not end with ``status``.
        """
        typed = self.output.with_name(f"{self.output.name}.typed")
        typed.write_text(answers, "utf-8")
        errors = "set -e" if status == 0 else "set +e"
        group = f"{errors}\n{{\n{script}\n}} >'{self.output}' 2>&1 <'{typed}'\necho \"ended with $?\"\n"
        answer = self._answer(group).strip()
        printed = self.output.read_text("utf-8", "replace").replace("\r", "")
        ended = answer or f"ended the shell with {self._process.wait()}"  # -e: the first that fails is the last
        assert ended == f"ended with {status}", f"{ended}, not with {status}:\n{script}\n{printed}"
        return printed

    def start(self, command: str, ready: Callable[[str], bool]) -> None:
        """Run a command that stays, and wait until it is ready.

        Args:
            command: it is ended by :meth:`stop`, or with the shell.
            ready: tells whether it is, from what it has printed so far.

        Raises:
            AssertionError: it was not within three minutes, or ended.
        """
        log = self.output.with_name(f"{self.output.name}.log")
        log.unlink(missing_ok=True)
        self.run(f"{command} >'{log}' 2>&1 &\nSTARTED=$!")
        end = time.monotonic() + TIMEOUT
        while not ready(printed := log.read_text("utf-8", "replace") if log.exists() else ""):
            try:
                self.run('kill -0 "$STARTED"')
            except AssertionError as error:
                raise AssertionError(f"{command} ended:\n{printed}") from error
            assert time.monotonic() < end, f"{command} is not ready after {TIMEOUT} s:\n{printed}"
            time.sleep(POLL)

    def stop(self) -> None:
        """End in good order what was started last, and wait for it."""
        self.run('kill "$STARTED"\nwait "$STARTED" || true')

    def left(self) -> list[str]:
        """Return the commands that run in its session beside it."""
        found: list[str] = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                state, _parent, _group, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(session) == self._process.pid != int(folder.name) and state != "Z":
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        return found

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


def served(printed: str) -> bool:
    """Tell whether a service answers where it has printed that it listens."""
    listens = LISTENS.search(printed)
    return listens is not None and get(int(listens[1]), "/livez")[0] == http.HTTPStatus.OK


@dataclass(frozen=True)
class Begun:
    """A service that a reader of the template's README has begun and run once, and the reader's machine."""

    service: Path
    env: dict[str, str]


def begin(template: Path, folder: Path) -> Begun:
    """Begin a service as the template's README says, on any port.

    Args:
        template: what is generated from.
        folder: an empty folder.
    """
    env = machine(folder, uv=True) | {"PORT": "0"}
    generate, enter, run = BEGINNING
    with Shell(folder, env, folder / "printed") as shell:
        shell.run(re.sub("<.*>", f"'{template}'", generate), answers=ANSWERS)
        shell.run(enter)
        shell.start(run, served)
        shell.stop()
        return Begun(shell.folder(), env)


def machine(folder: Path, *, uv: bool) -> dict[str, str]:
    """Return the environment of a user whose home is empty and whose machine has what the pages name, and no more.

    Args:
        folder: where that home and what is on ``PATH`` are put.
        uv: whether it has uv, too.
    """
    tools, home = folder / "bin", folder / "home"
    tools.mkdir()
    home.mkdir()
    for tool in (*NEEDED, *POSIX_TOOLS):
        found = shutil.which(tool)
        assert found is not None, f"the pages need {tool}, and this machine has none: install it"
        (tools / tool).symlink_to(found)
    for tool in ("uv", "uvx") if uv else ():
        found = shutil.which(UV)
        assert found is not None
        (tools / tool).symlink_to(Path(found).with_name(tool))
    _wrapper(tools, "python3", f'"{sys.base_prefix}/bin/python3"')
    # A reader has curl; the tests ask for nothing that the project's own commands do not, so they bring a stand-in.
    curl = shutil.which("curl")
    if curl is None or os.environ.get("WITHOUT_CURL"):
        _wrapper(tools, "curl", f'"{sys.base_prefix}/bin/python3" "{ROOT}/tests/support/curl.py"')
    else:
        (tools / "curl").symlink_to(curl)
    foreign = ("UV", "PYTHON", "VIRTUAL", "COOKIECUTTER", "APP_", "OTEL_")
    # Where this machine's packages come from is no matter of a page.
    dropped = frozenset(key for key in os.environ if key.startswith(foreign)) - OTHER_INDEXES
    kept = environment(without=dropped)
    # Only uv's cache is shared: fetching 200 MB again would say nothing about a page.
    cache = succeed(UV, "cache", "dir", cwd=home).strip()
    # A newer pip than this machine's is no matter of a page either, and pip speaks of one only where it can ask.
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return kept | quiet | {"PATH": str(tools), "HOME": str(home), "UV_CACHE_DIR": cache}
