"""Judges one text: whatever it is, the answer is a list of findings, in bounded time."""

from __future__ import annotations

import ast
import warnings
from types import MappingProxyType
from typing import TYPE_CHECKING

from admission.finding import Finding
from admission.source.flow import Flow
from admission.source.module import Module
from admission.source.read import TooComplex, read_module
from admission.source.rules import ALL, complexity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from admission.source.module import ClassInfo

DOES_NOT_PARSE = "BW901"


def check_source(text: str, file: str, models: Mapping[str, ClassInfo] = MappingProxyType({})) -> list[Finding]:
    """Return what the source rules find in one handler module, in the order of its lines.

    Pure: nothing is imported, executed, read or written. Never raises, whatever the text is.

    Args:
        text: the source.
        file: its name, for the findings.
        models: the tables that it may import, as ``read_models`` gives them; without them they are known by name only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of what the handler's author should see, not we
        try:
            return _judge(text, file, models)
        except SyntaxError as error:
            return [_unparsable(file, error.lineno or 1, error.offset or 1, str(error.msg))]
        except (RecursionError, MemoryError):
            return _give_up(text, file, "it nests too deeply")
        except TooComplex as error:
            return _give_up(text, file, str(error))
        except ValueError as error:
            return [_unparsable(file, 1, 1, str(error))]
        except Exception as error:  # noqa: BLE001 - a fault of ours must not admit what it could not judge
            return _give_up(text, file, f"the gate failed on it ({type(error).__name__}), which is a fault of the gate")


def _judge(text: str, file: str, models: Mapping[str, ClassInfo]) -> list[Finding]:
    module = read_module(text, file)
    module.tables = models
    Flow(module).run()
    found = [finding for rule in ALL for finding in rule.check(module)]
    return sorted(found, key=lambda finding: (finding.line, finding.rule, finding.column))


def _give_up(text: str, file: str, reason: str) -> list[Finding]:
    module = Module(text, file, ast.Module([], []), too_complex=reason)
    return [finding for rule in complexity.registry.rules for finding in rule.check(module)]


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
