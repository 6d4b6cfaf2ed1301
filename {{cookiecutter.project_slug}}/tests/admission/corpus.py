"""The corpus: handlers as models write them, and what the gate has to say of each.

A file of ``corpus/`` is one part of it: a line ``=== NAME``, then a whole module, and so on. (Each in a file of its own
they would be nearly half of the files of a service.)

``corpus/bad.txt``: one fault each, at the line that ends with ``# expect: CLASS``; ``# or: CLASS`` marks another line
at which naming it is as right. ``corpus/good.txt``: looks dangerous and is not. ``corpus/held_out_*`` were written
after the rules had been mended by the others, and measured before the rules were mended by them. ``corpus/outside_*``
were written by outsiders who had read nothing of the gate, measured the same way, and reviewed by them: the lines
marked ``# or:`` are the ones that their review names as right besides. ``corpus/outside_models.txt`` has the tables
that these import, which the gate is given as it is given ``app/models``.

``python -m tests.admission.corpus`` prints the table by class.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admission.source import check_source, read_models
from tests.admission.sources import ROOT

if TYPE_CHECKING:
    from admission.source.module import ClassInfo

CORPUS: Final = Path(__file__).with_name("corpus")
BAD: Final = ("bad", "held_out_bad", "outside_bad")
GOOD: Final = ("good", "held_out_good", "outside_good")
_BEGINNING: Final = re.compile(r"^=== (\w+)\n", re.MULTILINE)
_MARK: Final = re.compile(r"# (?:expect|or): ([a-z-]+)")


def modules_of(part: str) -> dict[str, str]:
    """Return the modules of one part, by name."""
    pieces = _BEGINNING.split((CORPUS / f"{part}.txt").read_text("utf-8"))
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


@cache
def outside_models() -> dict[str, ClassInfo]:
    """Return the tables that the handlers of outsiders import: theirs, and those of the service."""
    own = {path.stem.removeprefix("__init__"): path.read_text("utf-8") for path in (ROOT / "app/models").glob("*.py")}
    return read_models(own | modules_of("outside_models"))


@dataclass(frozen=True, slots=True)
class Case:
    """One handler.

    Attributes:
        name: its number, class and guise.
        text: the module.
        outside: whether an outsider wrote it, who gave it tables.
        fault: the class of its fault, or None for a good one.
        lines: the lines at which naming the fault is right.
    """

    name: str
    text: str
    outside: bool
    fault: str | None
    lines: frozenset[int]

    def refused(self) -> dict[int, set[str]]:
        """Return the rules that refuse it, by line."""
        found: dict[int, set[str]] = defaultdict(set)
        models = outside_models() if self.outside else {}
        for finding in check_source(self.text, f"{self.name}.py", models):
            if finding.severity == "refuse":
                found[finding.line].add(finding.rule)
        return found

    def is_judged_rightly(self) -> bool:
        """Return whether it is refused at a line that is right, or, if it is good, not refused at all."""
        refused = self.refused()
        return bool(self.lines & refused.keys()) if self.fault else not refused


def cases(part: str) -> list[Case]:
    """Return the handlers of one part of the corpus."""
    found = []
    for name, text in modules_of(part).items():
        lines = enumerate(text.splitlines(), 1)
        marks = {number: match[1] for number, line in lines if (match := _MARK.search(line))}
        fault = next(iter(marks.values()), None)
        found.append(Case(name, text, part.startswith("outside_"), fault, frozenset(marks)))
    return found


def table() -> str:
    """Return how the gate does, by class of fault."""
    judged, right = Counter[str](), Counter[str]()
    rules: dict[str, set[str]] = defaultdict(set)
    for case in (case for part in BAD for case in cases(part)):
        fault = str(case.fault)
        judged[fault] += 1
        right[fault] += case.is_judged_rightly()
        refused = case.refused()
        rules[fault] |= {rule for line in case.lines & refused.keys() for rule in refused[line]}
    lines = ["| class | handlers | refused on the right line | by |", "|---|---:|---:|---|"]
    lines += [
        f"| {fault} | {judged[fault]} | {right[fault]} | {', '.join(sorted(rules[fault]))} |"
        for fault in sorted(judged)
    ]
    lines.append(f"| **all bad** | **{judged.total()}** | **{right.total()}** | |")
    good = [case for part in GOOD for case in cases(part)]
    admitted = sum(case.is_judged_rightly() for case in good)
    lines.append(f"| **good, admitted** | **{len(good)}** | **{admitted}** | |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
