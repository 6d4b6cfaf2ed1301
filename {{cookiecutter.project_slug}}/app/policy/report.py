"""Collects the mistakes of one file, so that they are told all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from app.policy.model import MAX_PROBLEMS, PolicyError, PolicyProblem
from app.policy.names import nearest
from app.policy.values import BadValue
from app.policy.write import comment, shown, toml_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.policy.locate import KeyPath, Positions

_T = TypeVar("_T")
_Default = TypeVar("_Default")


class Report:
    """The mistakes found so far."""

    def __init__(self, file: str, positions: Positions) -> None:
        self.file = file
        self.positions = positions
        self._problems: list[PolicyProblem] = []

    def add(self, path: KeyPath, message: str, fix: str) -> None:
        """Note a mistake at ``path``.

        Raises:
            PolicyError: the file has more mistakes than anyone reads at once.
        """
        self._problems.append(PolicyProblem(self.file, self.positions.line(path), message, fix))
        if len(self._problems) == MAX_PROBLEMS:
            self._problems.append(
                PolicyProblem(
                    self.file,
                    max(problem.line for problem in self._problems),
                    f"the first {MAX_PROBLEMS} problems; there may be more",
                    "# correct these, then check again",
                ),
            )
            self.close()

    def close(self) -> None:
        """Raise what was noted, by line.

        Raises:
            PolicyError: there is any mistake.
        """
        if self._problems:
            raise PolicyError(sorted(self._problems, key=lambda problem: problem.line))


class Section:
    """One table of the file: reads its keys, and reports what is wrong with them."""

    def __init__(self, report: Report, path: KeyPath, table: Mapping[str, object]) -> None:
        self.report = report
        self.path = path
        self.table = table

    def add(self, key: str, message: str, fix: str) -> None:
        """Note a mistake at one of the table's keys, or at the table if it has no such key."""
        self.report.add((*self.path, key), message, fix)

    def read(self, key: str, parse: Callable[[object], _T], default: _Default) -> _T | _Default:
        """Return the parsed value of ``key``, or ``default`` if it is absent.

        If it is wrong, what it was probably meant to be stands in, so that one mistake does not make others.
        """
        if key not in self.table:
            return default
        try:
            return parse(self.table[key])
        except BadValue as error:
            self.add(key, f"{key}: {error}", toml_line(key, error.suggestion))
            meant = error.suggestion
        try:
            return parse(meant)
        except BadValue:  # a text that only a person can fill in
            return default

    def unknown_keys(self, known: Sequence[str], elsewhere: Mapping[str, str]) -> frozenset[str]:
        """Report keys that mean nothing here, and return the known ones that they were probably meant to be.

        Args:
            known: the keys of this table.
            elsewhere: keys of other tables, and what to say about them.
        """
        meant: set[str] = set()
        for key, value in self.table.items():
            if key in known:
                continue
            close = nearest(key, known)
            if key in elsewhere:
                self.add(key, f"{key}: {elsewhere[key]}", comment(toml_line(key, value)))
            elif close is None or close in self.table or close in meant:
                self.add(key, f"unknown key {shown(key)}; known are {', '.join(known)}", comment(toml_line(key, value)))
            else:
                meant.add(close)
                self.add(key, f"unknown key {shown(key)}; did you mean {shown(close)}?", toml_line(close, value))
        return frozenset(meant)
