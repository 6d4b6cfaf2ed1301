"""What the gate found: one place in one file, why it matters and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["refuse", "remark"]
"""``refuse`` keeps a handler out; ``remark`` is said and lets it in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of one rule.

    Attributes:
        rule: id of the rule, such as ``BW101``.
        file: the file, as the gate was given it.
        line: first line, from 1.
        column: first column, from 1, in characters.
        end_line: last line.
        end_column: the column after the last character.
        message: what is wrong and why it matters.
        mend: what to write instead.
        severity: whether this keeps the handler out.
    """

    rule: str
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    message: str
    mend: str
    severity: Severity
