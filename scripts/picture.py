"""Draws docs/demo.svg from what `make demo` printed: ``make demo | uv run python scripts/picture.py``.

Only what fired is drawn, and the headings of the acts, so that it fits on a page.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console  # cookiecutter brings it
from rich.text import Text

TARGET = Path(__file__).resolve().parent.parent / "docs" / "demo.svg"
KEPT = re.compile(r"^(?:\d+\. |  fired|all \d+ fired)")
WIDTH = 110


def main() -> int:
    """Read the demo's output and write the picture; 1 if there is nothing to draw."""
    lines = [line.rstrip() for line in sys.stdin if KEPT.match(line)]
    if not lines:
        sys.stderr.write("nothing fired: pipe the output of `make demo` here\n")
        return 1
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        for line in lines:
            style = "bold" if line[0].isdigit() else "green" if line.startswith("all") else ""
            console.print(Text(line[:WIDTH], style=style), highlight=False)
        picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="make demo"), flags=re.DOTALL)
        TARGET.write_text(picture, "utf-8")  # in whatever fixed font the reader has: none is fetched
    return 0


if __name__ == "__main__":
    sys.exit(main())
