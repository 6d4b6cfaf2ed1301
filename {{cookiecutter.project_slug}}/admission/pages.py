"""The pages of the rules: what each one means, for people and for models. ``app explain`` prints them."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Final

PAGES: Final = Path(__file__).with_name("rules")


@lru_cache(maxsize=1)
def titles() -> dict[str, str]:
    """Return the title of every rule by its id."""
    found = {}
    for path in sorted(PAGES.glob("BW*.md")):
        with path.open(encoding="utf-8") as page:
            found[path.stem] = page.readline().partition(": ")[2].strip()
    return found


def page(rule: str) -> str | None:
    """Return the page of a rule, or None if there is no such rule."""
    rule = rule.upper()
    return (PAGES / f"{rule}.md").read_text("utf-8") if rule in titles() else None


def nearest(rule: str) -> list[str]:
    """Return ids that were probably meant."""
    return difflib.get_close_matches(rule.upper(), list(titles()), n=3, cutoff=0.5)
