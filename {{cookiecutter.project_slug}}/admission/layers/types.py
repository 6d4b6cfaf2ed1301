"""What mypy finds: a call that cannot work refuses, a type that does not agree is a remark."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from admission.finding import Finding
from admission.layers.tools import EngineFailed, copies, run_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission.files import Source

FAILS: Final = "BW601"
DISAGREES: Final = "BW602"
CONFIG: Final = Path(__file__).parents[1] / "mypy.ini"
SECONDS: Final = 120.0
"""The first run reads FastAPI, SQLAlchemy and Pydantic, 20 s on a slow machine; those after it take about one."""

_FAILS: Final = frozenset(
    {
        "attr-defined",
        "call-arg",
        "import-not-found",
        "name-defined",
        "unused-awaitable",
        "unused-coroutine",
        "used-before-def",
    }
)
"""mypy's codes for what raises when it runs, or never runs because nobody awaits it."""


def judge_types(sources: Sequence[Source], root: Path, cache: Path | None) -> list[Finding]:
    """Return what mypy finds in sources that parse.

    Args:
        sources: what to judge.
        root: the service's folder; ``app`` is imported from there.
        cache: where mypy keeps what it learnt; None: nowhere.

    Raises:
        EngineFailed: mypy is not there, broke, or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="admission-") as folder:
        written = copies(sources, Path(folder))
        if not written:
            return []
        arguments = ["--config-file", str(CONFIG), "--output", "json", "--no-error-summary", "--no-incremental"]
        if cache is not None:
            arguments[-1:] = ["--cache-dir", str(cache / "mypy")]
        said = run_engine("mypy", [*arguments, *written], root, SECONDS)
    findings = []
    for line in said.splitlines():
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise EngineFailed(f"mypy: {line[:300]}") from error
        source = written.get(entry["file"])
        if source is not None and entry["severity"] == "error":
            findings.append(_finding(entry, source))
    return findings


def _finding(entry: dict[str, Any], source: Source) -> Finding:
    fails = entry["code"] in _FAILS
    line, column = max(entry["line"], 1), max(entry["column"] + 1, 1)
    return Finding(
        FAILS if fails else DISAGREES,
        source.name,
        line,
        column,
        line,
        column + 1,
        f"{entry['message'].rstrip('.')} (mypy: {entry['code']}).",
        entry.get("hint")
        or _MENDS.get(entry["code"], "Have the types agree; a `None` is looked at before it is used."),
        "refuse" if fails else "remark",
    )


_MENDS: Final = {
    "attr-defined": "Use a name that the object has.",
    "call-arg": "Call it with the arguments that it takes.",
    "import-not-found": "Import what is installed here; a new dependency is people's decision.",
    "name-defined": "Define or import the name.",
    "unused-awaitable": "Write `await` before the call.",
    "unused-coroutine": "Write `await` before the call: without it nothing happens.",
    "used-before-def": "Define it before it is used.",
}
