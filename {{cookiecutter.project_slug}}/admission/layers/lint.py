"""What ruff finds with a profile for handlers; what will fail when it runs refuses, the rest is a remark."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from admission.finding import Finding
from admission.layers.tools import EngineFailed, copies, run_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission.files import Source

FAILS: Final = "BW611"
DOUBTFUL: Final = "BW612"
PROFILE: Final = Path(__file__).parents[1] / "handlers.toml"
SECONDS: Final = 20.0
"""Ruff reads a thousand files a second; a machine that is busy may take its time to start it."""

_FAILS: Final = re.compile(r"F(402|50[1-9]|52[1-5]|632|70[1-9]|82[1-3])|PLE\d+")
"""Undefined names, wrong formats, misplaced statements: these raise, or never run."""


def judge_lint(sources: Sequence[Source], root: Path) -> list[Finding]:
    """Return what ruff finds in sources that parse.

    Raises:
        EngineFailed: ruff is not there, or broke.
    """
    with tempfile.TemporaryDirectory(prefix="admission-") as folder:
        written = copies(sources, Path(folder))
        if not written:
            return []
        arguments = ["check", "--config", str(PROFILE), "--ignore-noqa", "--no-cache", "--no-respect-gitignore"]
        said = run_engine("ruff", [*arguments, "--output-format", "json", *written], root, SECONDS)
    try:
        entries = json.loads(said)
    except ValueError as error:
        raise EngineFailed("ruff answered with something else than JSON") from error
    by_path = {str(Path(path).resolve()): source for path, source in written.items()}
    return [_finding(entry, by_path[str(Path(entry["filename"]).resolve())]) for entry in entries if entry["code"]]


def _finding(entry: dict[str, Any], source: Source) -> Finding:
    code = entry["code"]
    fails = _FAILS.fullmatch(code) is not None
    start, end = entry["location"], entry["end_location"]
    fix = (entry.get("fix") or {}).get("message")
    return Finding(
        FAILS if fails else DOUBTFUL,
        source.name,
        start["row"],
        start["column"],
        end["row"],
        end["column"],
        f"{code}: {entry['message'].strip().rstrip('.')}.",
        f"{fix}." if fix else f"See {entry['url']}" if entry.get("url") else "Write it another way.",
        "refuse" if fails else "remark",
    )
