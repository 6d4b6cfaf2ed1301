"""Reads ``admission.toml``: what people decided to live with for a while, and until when.

The file belongs to people, like the policy, and not to whoever writes the handler; nothing in a handler suppresses
anything. An entry names a rule and a file, says why, and ends::

    [suppress."BW405 app/handlers/reports.py"]
    reason = "the table has one row a country; OPS-1234 adds pages"
    expires = 2027-01-31
    lines = ["return list(await session.scalars(select(Country)))"]   # optional: only where the line is this
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from admission.finding import Finding
from admission.report import Suppression
from app.policy.locate import locate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

FILE: Final = "admission.toml"
FAULTY: Final = "BW920"
EXPIRED: Final = "BW921"
UNUSED: Final = "BW922"

LONGEST: Final = timedelta(days=180)
"""How far ahead an entry may end: two quarters. What is right for longer is a matter for the rule or the policy."""

MIN_REASON: Final = 12
"""Characters of a reason; ``false positive`` has 14 and says little enough."""

MAX_ENTRIES: Final = 200
_KEYS: Final = frozenset({"reason", "expires", "lines"})
_FOR_GOOD: Final = "BW9"
"""Rules about files that cannot be read, loaded or served: there is nothing to live with."""


class Suppressions:
    """The entries of the file, and what is wrong with it.

    Attributes:
        problems: findings about the file itself.
    """

    def __init__(self, entries: Iterable[Suppression] = (), problems: Iterable[Finding] = ()) -> None:
        self._entries = list(entries)
        self._used: set[Suppression] = set()
        self.problems = list(problems)

    def match(self, finding: Finding, snippet: str) -> Suppression | None:
        """Return the entry that suppresses a finding, or None."""
        for entry in self._entries:
            if (entry.rule, entry.file) == (finding.rule, finding.file) and entry.line in {None, snippet.strip()}:
                self._used.add(entry)
                return entry
        return None

    def unused(self, files: Collection[str], rules: Collection[str]) -> Iterator[Finding]:
        """Name the entries for these files, and rules that were looked for, that suppressed nothing."""
        for entry in self._entries:
            if entry not in self._used and entry.file in files and entry.rule in rules:
                what = f"`{entry.line}`" if entry.line else entry.file
                yield _finding(
                    UNUSED, entry.at, f"{entry.rule} finds nothing at {what} any more.", "Remove the entry.", "remark"
                )


def read_suppressions(path: Path, rules: Collection[str], today: date) -> Suppressions:
    """Read the file; without one there are no entries.

    Args:
        path: where it lies.
        rules: ids that exist.
        today: the day on which entries have to hold.
    """
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        return Suppressions()
    except (OSError, UnicodeDecodeError) as error:
        return Suppressions(problems=[_finding(FAULTY, 1, f"The file cannot be read: {error}.", "Mend or remove it.")])
    except tomllib.TOMLDecodeError as error:
        line = getattr(error, "lineno", None) or _line_in(str(error))
        return Suppressions(problems=[_finding(FAULTY, line, f"This is not TOML: {error}.", "Mend the line.")])
    positions = locate(text)
    entries: list[Suppression] = []
    problems = [
        _finding(
            FAULTY, positions.line((key,)), f"`{key}` means nothing here.", 'Entries are `[suppress."RULE FILE"]`.'
        )
        for key in document
        if key != "suppress"
    ]
    tables = document.get("suppress", {})
    if not isinstance(tables, dict) or len(tables) > MAX_ENTRIES:
        problems.append(
            _finding(FAULTY, 1, f"`suppress` has to be at most {MAX_ENTRIES} tables.", "Mend some findings.")
        )
        tables = {}
    for key, table in tables.items():
        at = positions.line(("suppress", key))
        found = list(_faults(key, table, rules, today))
        problems += [_finding(rule, at, message, mend) for rule, message, mend in found]
        if not found:
            rule, _, file = key.partition(" ")
            base = Suppression(rule, file.strip(), table["reason"].strip(), table["expires"], None, at)
            lines = table.get("lines")
            entries += [base] if lines is None else [replace(base, line=line.strip()) for line in lines]
    return Suppressions(entries, problems)


def _faults(key: str, table: Any, rules: Collection[str], today: date) -> Iterator[tuple[str, str, str]]:
    """Yield rule, message and mend for everything that is wrong with one entry."""
    rule, _, file = key.partition(" ")
    if not file.strip() or not isinstance(table, dict):
        yield FAULTY, f"`{key}` names no rule and file.", '`[suppress."BW405 app/handlers/reports.py"]`'
        return
    if rule.startswith(_FOR_GOOD):
        yield FAULTY, f"{rule} cannot be suppressed: without it nothing else could be judged.", "Mend what it names."
    elif rule not in rules:
        near = difflib.get_close_matches(rule, list(rules), n=1)
        yield FAULTY, f"There is no rule {rule}.", f"`{near[0]}`?" if near else "`app explain` lists the rules."
    for name in table.keys() - _KEYS:
        yield FAULTY, f"`{name}` means nothing here.", "`reason`, `expires` and `lines` do."
    reason = table.get("reason")
    if not isinstance(reason, str) or len(reason.strip()) < MIN_REASON:
        yield (
            FAULTY,
            f"{rule} in {file}: a reason is missing, or says too little.",
            '`reason = "why, and who mends it"`',
        )
    lines = table.get("lines", [""])
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
        yield FAULTY, "`lines` has to be texts of lines.", '`lines = ["the line as it stands"]`'
    yield from _date_faults(rule, file, table.get("expires"), today)


def _date_faults(rule: str, file: str, expires: object, today: date) -> Iterator[tuple[str, str, str]]:
    latest = today + LONGEST
    if not isinstance(expires, date) or isinstance(expires, datetime):
        yield FAULTY, f"{rule} in {file}: it has to end on a day.", f"`expires = {today + timedelta(days=30)}`"
    elif expires < today:
        yield (
            EXPIRED,
            f"The suppression of {rule} in {file} ended on {expires}.",
            "Mend what it hid and remove the entry, or have its owners decide anew.",
        )
    elif expires > latest:
        yield FAULTY, f"{expires} is more than {LONGEST.days} days ahead.", f"`expires = {latest}` at the latest"


def _line_in(message: str) -> int:
    _, _, rest = message.partition("at line ")
    digits = rest.partition(",")[0]
    return int(digits) if digits.isdigit() else 1


def _finding(rule: str, line: int, message: str, mend: str, severity: Any = "refuse") -> Finding:
    return Finding(rule, FILE, line, 1, line, 2, message, mend, severity)
