"""Judges one text: whatever it is, the answer is a list of findings, in bounded time."""

from __future__ import annotations

import warnings

from admission.finding import Finding
from admission.source.flow import Flow
from admission.source.read import TooComplex, read_module
from admission.source.rules import ALL

DOES_NOT_PARSE = "BW901"
TOO_COMPLEX = "BW590"


def check_source(text: str, file: str) -> list[Finding]:
    """Return what the source rules find in one handler module, in the order of its lines.

    Pure: nothing is imported, executed, read or written. Never raises, whatever the text is.

    Args:
        text: the source.
        file: its name, for the findings.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of what the handler's author should see, not we
        try:
            return _judge(text, file)
        except SyntaxError as error:
            return [_unparsable(file, error.lineno or 1, error.offset or 1, str(error.msg))]
        except (RecursionError, MemoryError):
            return [_too_complex(file, "it nests too deeply")]
        except TooComplex as error:
            return [_too_complex(file, str(error))]
        except ValueError as error:
            return [_unparsable(file, 1, 1, str(error))]


def _judge(text: str, file: str) -> list[Finding]:
    module = read_module(text, file)
    Flow(module).run()
    found = [finding for rule in ALL for finding in rule.check(module)]
    return sorted(found, key=lambda finding: (finding.line, finding.rule, finding.column))


def _unparsable(file: str, line: int, column: int, reason: str) -> Finding:
    column = max(column, 1)
    return Finding(
        DOES_NOT_PARSE,
        file,
        max(line, 1),
        column,
        max(line, 1),
        column + 1,
        f"This does not parse: {reason[:200]}. Nothing in the file can be judged.",
        "Mend the syntax; the service runs on Python 3.11.",
        "refuse",
    )


def _too_complex(file: str, reason: str) -> Finding:
    return Finding(
        TOO_COMPLEX,
        file,
        1,
        1,
        1,
        2,
        f"This file is too complex to be judged: {reason}. What cannot be judged is not admitted.",
        "Split it into several handler modules, and keep each function short.",
        "refuse",
    )
