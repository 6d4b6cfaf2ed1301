"""Runs the layers over the handlers, cheapest first, and draws the verdict.

A layer that cannot do its work admits nothing: the run ends with a status of its own. Once a file is refused the
gauntlet is not run: it would attack a service that does not ship.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from admission.cache import FOLDER, Cache, tree_hash
from admission.files import find_sources
from admission.layers.boot import judge_boot
from admission.layers.gauntlet import judge_gauntlet
from admission.layers.lint import judge_lint
from admission.layers.source import judge_sources
from admission.layers.tools import EngineFailed
from admission.layers.types import judge_types
from admission.pages import titles
from admission.report import LayerResult, Report
from admission.suppressions import FILE, read_suppressions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    from admission.files import Source
    from admission.finding import Finding

LAYERS: Final = ("source", "lint", "types", "boot", "gauntlet")
"""In the order in which they run."""

_BY_CONTENT: Final = {"lint": "BW61", "types": "BW60"}


@dataclass(slots=True)
class Gate:
    """One way to judge.

    Attributes:
        root: the service's folder.
        layers: which of ``LAYERS`` to run.
        cached: remember what was found in a content.
        progress: told of each layer as it ends, and of what the gauntlet is doing.
        clock: seconds, for the times in the report.
        today: the day on which suppressions have to hold.
    """

    root: Path
    layers: Sequence[str] = LAYERS
    cached: bool = True
    progress: Callable[[str], None] = lambda _line: None
    clock: Callable[[], float] = time.monotonic
    today: Callable[[], date] = lambda: datetime.now(tz=UTC).date()

    def judge(self, paths: Sequence[Path] = ()) -> Report:
        """Judge files, or every handler of the service.

        Raises:
            NothingToJudge: a path is not there, or holds nothing.
        """
        run = _Run(self, find_sources(paths, self.root))
        for name in LAYERS:
            if name in self.layers:
                run.layer(name)
        return run.end()


class _Run:
    """One run of the gate."""

    def __init__(self, gate: Gate, sources: Sequence[Source]) -> None:
        self._gate = gate
        self._sources = sources
        self._readable = [source for source in sources if source.text is not None]
        folder = gate.root / FOLDER if gate.cached else None
        self._folder = folder
        self._cache = Cache(folder)
        self._suppressions = read_suppressions(gate.root / FILE, titles().keys(), gate.today())
        self._found: list[Finding] = []
        self._routes: list[dict[str, object]] = []
        self._report = Report(
            files=[source.name for source in sources],
            lines={source.name: (source.text or "").split("\n") for source in sources},
        )

    def layer(self, name: str) -> None:
        """Run one layer and report its end."""
        started = self._gate.clock()
        findings: list[Finding] = []
        judged, failure, note = "nothing", None, None
        try:
            findings, judged, note = self._judge(name)
        except EngineFailed as error:
            failure = str(error)
        seconds = self._gate.clock() - started
        self._found += findings
        result = LayerResult(name, seconds, judged, tuple(findings), failure, note)
        self._report.layers.append(result)
        self._gate.progress(progress_line(result))

    def _judge(self, name: str) -> tuple[list[Finding], str, str | None]:
        files = _counted(len(self._sources), "file")
        if name == "source":
            return judge_sources(self._sources, self._cache, self._gate.root), files, None
        if name == "boot":
            return self._boot()
        if name == "gauntlet":
            return self._gauntlet()
        parsed = self._parsed()
        key = self._cache.key(name, self._scaffold(), *(part for source in parsed for part in _identity(source)))
        found = self._cache.get(key)
        if found is not None:
            return found, files, "unchanged"
        found = judge_lint(parsed, self._gate.root) if name == "lint" else self._types(parsed)
        found = self._without_repetition(found)
        self._cache.put(key, found)
        return found, files, None

    def _types(self, parsed: Sequence[Source]) -> list[Finding]:
        return judge_types(parsed, self._gate.root, self._folder)

    def _boot(self) -> tuple[list[Finding], str, str | None]:
        broken = {finding.file for finding in self._found if finding.rule.startswith("BW90")}
        boot = judge_boot([source for source in self._sources if source.name not in broken], self._gate.root)
        self._report.routes = boot.count
        self._routes = list(boot.routes)
        # What does not parse is named already, with its line.
        findings = [finding for finding in boot.findings if not (finding.rule == "BW905" and finding.file in broken)]
        return findings, _counted(boot.count or 0, "route"), None

    def _gauntlet(self) -> tuple[list[Finding], str, str | None]:
        if any(finding.severity == "refuse" for finding in self._counting()):
            return [], "nothing", "not run: what is refused is not attacked"
        if not any(layer.name == "boot" for layer in self._report.layers):
            raise EngineFailed("which routes there are is found by the boot layer: add `--layer boot`")
        return judge_gauntlet(
            self._sources,
            self._routes,
            self._gate.root,
            self._folder if self._gate.cached else None,
            self._gate.progress,
        )

    def _parsed(self) -> list[Source]:
        broken = {finding.file for finding in self._found if finding.rule in {"BW901", "BW590"}}
        return [source for source in self._readable if source.name not in broken]

    def _scaffold(self) -> bytes:
        """Return what the types of a handler depend on: the service's own code."""
        root = self._gate.root
        return tree_hash(path for path in (root / "app", root / "pyproject.toml") if path.exists()).encode()

    def _without_repetition(self, findings: Sequence[Finding]) -> list[Finding]:
        """Leave out remarks about lines that a rule of the gate's own has named: it says more."""
        named = {(finding.file, finding.line) for finding in self._found}
        return [
            finding for finding in findings if finding.severity == "refuse" or (finding.file, finding.line) not in named
        ]

    def _counting(self) -> list[Finding]:
        """Return the findings that no entry suppresses."""
        return [
            finding
            for finding in (*self._suppressions.problems, *self._found)
            if self._suppressions.match(finding, self._report.snippet(finding)) is None
        ]

    def end(self) -> Report:
        """Draw the verdict."""
        report = self._report
        for finding in self._found:
            entry = self._suppressions.match(finding, report.snippet(finding))
            if entry is None:
                report.findings.append(finding)
            else:
                report.suppressed.append((finding, entry))
        report.findings += self._suppressions.problems
        ran = {layer.name for layer in report.layers if layer.failure is None}
        rules = [rule for rule in titles() if _layer_of(rule) in ran]
        report.findings += self._suppressions.unused(report.files, rules)
        report.findings.sort(key=lambda finding: (finding.file, finding.line, finding.column, finding.rule))
        return report


def _layer_of(rule: str) -> str:
    for layer, prefix in _BY_CONTENT.items():
        if rule.startswith(prefix):
            return layer
    return "gauntlet" if rule.startswith("BW7") else "source"


def _identity(source: Source) -> tuple[bytes, bytes]:
    return source.name.encode(), source.data


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def progress_line(layer: LayerResult) -> str:
    """Return one line about a layer that has ended."""
    refusals = sum(finding.severity == "refuse" for finding in layer.findings)
    said = layer.failure or layer.note or ""
    if layer.failure is None and refusals:
        said = _counted(refusals, "refusal")
    elif layer.failure is None and layer.findings:
        said = _counted(len(layer.findings), "remark")
    return f"{layer.name:<9} {layer.judged:<10} {layer.seconds:6.2f} s  {said or 'nothing'}".rstrip()
