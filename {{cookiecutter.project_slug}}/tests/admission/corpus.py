"""The corpus: handlers as models write them, and what the gate has to say of each.

``corpus/bad``: one fault each, at the line that ends with ``# expect: CLASS``; ``# or: CLASS`` marks another line at
which naming it is as right. ``corpus/good``: looks dangerous and is not. ``corpus/held_out_*`` were written after the
rules had been mended by the others, and measured before the rules were mended by them.

``python -m tests.admission.corpus`` prints the table by class.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admission.source import check_source

CORPUS: Final = Path(__file__).with_name("corpus")
_MARK: Final = re.compile(r"# (?:expect|or): ([a-z-]+)")


@dataclass(frozen=True, slots=True)
class Case:
    """One handler.

    Attributes:
        path: where it is.
        fault: the class of its fault, or None for a good one.
        lines: the lines at which naming the fault is right.
    """

    path: Path
    fault: str | None
    lines: frozenset[int]

    def refused(self) -> dict[int, set[str]]:
        """Return the rules that refuse it, by line."""
        found: dict[int, set[str]] = defaultdict(set)
        for finding in check_source(self.path.read_text("utf-8"), self.path.name):
            if finding.severity == "refuse":
                found[finding.line].add(finding.rule)
        return found

    def is_judged_rightly(self) -> bool:
        """Return whether it is refused at a line that is right, or, if it is good, not refused at all."""
        refused = self.refused()
        return bool(self.lines & refused.keys()) if self.fault else not refused


def cases(folder: str) -> list[Case]:
    """Return the handlers of one part of the corpus."""
    found = []
    for path in sorted((CORPUS / folder).glob("*.py")):
        lines = enumerate(path.read_text("utf-8").splitlines(), 1)
        marks = {number: match[1] for number, line in lines if (match := _MARK.search(line))}
        found.append(Case(path, next(iter(marks.values()), None), frozenset(marks)))
    return found


def table() -> str:
    """Return how the gate does, by class of fault."""
    judged, right = Counter[str](), Counter[str]()
    rules: dict[str, set[str]] = defaultdict(set)
    for case in (*cases("bad"), *cases("held_out_bad")):
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
    good = [*cases("good"), *cases("held_out_good")]
    admitted = sum(case.is_judged_rightly() for case in good)
    lines.append(f"| **good, admitted** | **{len(good)}** | **{admitted}** | |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
