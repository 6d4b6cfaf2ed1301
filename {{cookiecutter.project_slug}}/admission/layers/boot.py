"""The service composed with the handlers, in a process of its own that is bounded in time and ends for certain.

This is what ``app run`` would do, so it runs what the handlers do when they are imported. Code that nobody trusts to be
imported is judged where it can do no harm: in CI, in a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from admission.finding import Finding
from admission.layers.tools import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission.files import Source
    from admission.finding import Severity

DOES_NOT_LOAD: Final = "BW905"
DOES_NOT_END: Final = "BW906"
ENDS_THE_PROCESS: Final = "BW907"
ACTS_WHEN_LOADED: Final = "BW908"
CHANGES_THE_SCAFFOLD: Final = "BW909"
BREAKS_THE_CONTRACT: Final = "BW910"
SETTINGS: Final = "BW911"
NEEDS_POLICY: Final = "BW912"

START_SECONDS: Final = 60.0
"""Bound on loading the scaffold itself: one second, and many on a machine that has much else to do. It is no handler's."""

SECONDS: Final = 20.0
"""Bound on what comes then: a handler that needs twenty seconds to load keeps every deployment waiting."""

GRACE: Final = 5.0
"""Seconds after which the process is killed, if it did not end itself: its own watchdog says where it hangs."""

_PLACE: Final = re.compile(r"^(?P<file>[^\n:]+):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<rest>.*)\Z", re.DOTALL)
_ENTRY: Final = re.compile(r'^\[routes\."([^"]+)"\]', re.MULTILINE)
_FOR_PEOPLE: Final = "# For policy.toml, which is people's: show them this entry. The handler is not changed for it."
_AS_IT_SAYS: Final = "Change in the handler what the message names; what it names in policy.toml or app/ is people's: show them this finding."
_NOT_NAME: Final = re.compile(r"\W")
_FRAME: Final = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


@dataclass(slots=True)
class Boot:
    """What came of it.

    Attributes:
        findings: what is wrong.
        routes: every route of the composed service: method, path, file, line, name; empty if it was not composed.
        count: how many routes it has, the scaffold's own among them.
    """

    findings: list[Finding] = field(default_factory=list)
    routes: list[dict[str, Any]] = field(default_factory=list)
    count: int | None = None


def judge_boot(sources: Sequence[Source], root: Path, seconds: float = SECONDS) -> Boot:
    """Load and compose.

    Args:
        sources: the files; those that lie elsewhere are loaded as if they lay among the handlers.
        root: the service's folder.
        seconds: bound on loading the handlers and composing the service, once the scaffold is loaded.

    Raises:
        EngineFailed: the process could not be started, or failed or took too long without a handler being at fault.
    """
    with tempfile.TemporaryDirectory(prefix="admission-") as name:
        folder = Path(name).resolve()
        names = _place_candidates(sources, folder / "handlers")
        return _Reader(names, root).read(*_run(folder, root, seconds, candidates=bool(names)))


def candidate_name(number: int, source: Source) -> str:
    """Return the name under which a file that lies elsewhere is loaded: unlike that of any handler."""
    private = "_" if source.path.stem.startswith("_") else ""
    return f"{private}candidate_{number}_{_NOT_NAME.sub('_', source.path.stem)}.py"


def missing_entries(sources: Sequence[Source], root: Path) -> str:
    """Return the closed entries that the policy lacks for files that lie elsewhere.

    Raises:
        EngineFailed: the service cannot be composed with them.
    """
    with tempfile.TemporaryDirectory(prefix="admission-") as name:
        folder = Path(name).resolve()
        names = _place_candidates(sources, folder / "handlers")
        found, _, _ = _run(folder, root, SECONDS, candidates=bool(names))
        return str(found["missing"])


def _place_candidates(sources: Sequence[Source], folder: Path) -> dict[str, Source]:
    """Copy the files that are not among the handlers; return path of the copy -> source."""
    candidates = [source for source in sources if not source.mounted]
    placed: dict[str, Source] = {}
    for number, source in enumerate(candidates):
        folder.mkdir(exist_ok=True)
        path = folder / candidate_name(number, source)
        path.write_bytes(source.data)
        placed[str(path)] = source
    return placed


def _run(folder: Path, root: Path, seconds: float, *, candidates: bool) -> tuple[dict[str, Any], str, int]:
    """Run the process to its end; return what it reported, where it hung if it did, and how it ended."""
    nonce = secrets.token_hex(16)
    report, trace, output = folder / "report.json", folder / "trace", folder / "output"
    task = {
        "report": str(report),
        "trace": str(trace),
        "policy": str(folder / "policy.toml"),
        "nonce": nonce,
        "start_seconds": START_SECONDS,
        "seconds": seconds,
        "candidates": str(folder / "handlers") if candidates else None,
    }
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "admission.layers.boot_process"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                process.communicate(json.dumps(task).encode(), timeout=START_SECONDS + seconds + GRACE)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # it, and what it started
            process.wait()
    try:
        found = json.loads(report.read_bytes())
    except (OSError, ValueError):
        found = {}
    hung = trace.read_text("utf-8", "replace") if trace.exists() else ""
    if found.get("nonce") != nonce:
        said = output.read_bytes()[-2000:].decode("utf-8", "replace").strip()
        if not said and hung:
            said = f"the scaffold, without a handler, did not load within {START_SECONDS:g} s\n{hung[-2000:]}"
        raise EngineFailed(f"the service could not be composed: {said or f'it ended with {process.returncode}'}")
    return found, hung, process.returncode


class _Reader:
    """Turns what the process reported into findings."""

    def __init__(self, candidates: dict[str, Source], root: Path) -> None:
        self._candidates = candidates
        self._root = root

    def read(self, found: dict[str, Any], hung: str, status: int) -> Boot:
        boot = Boot(routes=found["routes"], count=found.get("count"))
        for route in boot.routes:
            route["file"] = self._name(route["file"])
        boot.findings += [
            self._finding(SETTINGS, "", 1, problem, "Set the variable as the message says; no handler is at fault.")
            for problem in found["settings"]
        ]
        boot.findings += [self._effect(effect) for effect in found["effects"]]
        if not found["done"]:
            boot.findings.append(self._ended(found["loading"], hung, status))
        boot.findings += [self._problem(problem) for problem in found["problems"]]
        for entry in filter(None, found["missing"].split("\n\n")):
            boot.findings.append(self._entry(entry, boot.routes))
        return boot

    def _problem(self, problem: str) -> Finding:
        message, _, mend = problem.partition("\n    write: ")
        mend = re.sub(r"\n {11}", "\n", mend)
        match = _PLACE.match(message)
        file, line, message = (match["file"], int(match["line"]), match["rest"]) if match else ("", 1, message)
        rule = DOES_NOT_LOAD if re.match(r"the handler does not (load|parse)", message) else BREAKS_THE_CONTRACT
        if not mend:
            mend = "Mend what it raises when it is imported." if rule == DOES_NOT_LOAD else _AS_IT_SAYS
        elif _ENTRY.search(mend):
            mend = f"{_FOR_PEOPLE}\n{mend}"
        return self._finding(rule, file, line, message, mend)

    def _effect(self, effect: dict[str, str]) -> Finding:
        file = self._file_of(effect["module"])
        if effect["what"] == "changed":
            name = effect["detail"]
            return self._finding(
                CHANGES_THE_SCAFFOLD,
                file,
                self._line_of(file, name.rpartition(".")[2]),
                f"Loading this file changes `{name}`, which every other handler and guard relies on.",
                "Leave it as it is; what should change in the scaffold is people's decision.",
            )
        what = "prints" if effect["what"] == "printed" else f"starts {effect['detail']}"
        return self._finding(
            ACTS_WHEN_LOADED,
            file,
            self._line_of(file, "print" if effect["what"] == "printed" else effect["detail"].rpartition(" ")[2]),
            f"Loading this file {what}: it acts before there is a request, a bound or anybody who asked for it.",
            "Do it in the handler, or not at all; for a log line there is structlog, in the handler.",
        )

    def _ended(self, module: str | None, hung: str, status: int) -> Finding:
        if module is None:
            raise EngineFailed(f"the service could not be composed: the process ended with {status}")
        file = self._file_of(module)
        path = str(self._path_of(file))
        lines = [int(match["line"]) for match in _FRAME.finditer(hung) if match["file"] == path]
        if hung:
            message = "Loading this file does not come to an end; the service would never start."
            return self._finding(
                DOES_NOT_END, file, lines[0] if lines else 1, message, "Move what waits or loops into the handler."
            )
        return self._finding(
            ENDS_THE_PROCESS,
            file,
            self._line_of(file, "_exit"),
            f"Loading this file ends the whole process (status {status}).",
            "A handler never ends the process; raise HTTPException for a request that cannot be served.",
        )

    def _entry(self, entry: str, routes: list[dict[str, Any]]) -> Finding:
        match = _ENTRY.search(entry)
        key = match[1] if match else "a route"
        place = next((route for route in routes if f"{route['method']} {route['path']}" == key), None)
        file, line = (place["file"], place["line"]) if place else ("", 1)
        return self._finding(
            NEEDS_POLICY,
            file,
            line,
            f"{key} has no entry in policy.toml; until people write one, the service does not start with it.",
            f"{_FOR_PEOPLE}\n{entry.strip()}",
            severity="remark",
        )

    def _finding(
        self, rule: str, file: str, line: int, message: str, mend: str, *, severity: Severity = "refuse"
    ) -> Finding:
        for path, source in self._candidates.items():
            message, mend = message.replace(path, source.name), mend.replace(path, source.name)
        return Finding(rule, self._name(file), line, 1, line, 2, message, mend, severity)

    def _name(self, file: str) -> str:
        for path, source in self._candidates.items():
            if file and Path(path).name == Path(file).name:
                return source.name
        place = Path(file)
        return str(place.relative_to(self._root)) if file and place.is_relative_to(self._root) else file

    def _file_of(self, module: str) -> str:
        """Return the file of a module, as the process named it."""
        stem = module.rpartition(".")[2]
        for path in self._candidates:
            if Path(path).stem == stem:
                return path
        place = Path(*module.split("."))
        return str(place / "__init__.py" if (self._root / place).is_dir() else place.with_suffix(".py"))

    def _path_of(self, file: str) -> Path:
        return self._root / file

    def _line_of(self, file: str, word: str) -> int:
        """Return the first line with a word, or 1."""
        try:
            lines = self._path_of(file).read_text("utf-8", "replace").splitlines()
        except OSError:
            return 1
        pattern = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
        return next((number for number, line in enumerate(lines, 1) if pattern.search(line)), 1)
