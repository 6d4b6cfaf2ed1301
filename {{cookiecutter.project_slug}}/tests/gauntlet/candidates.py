"""Handlers that are not the service's own, put where the gauntlet loads them, with a policy that knows them."""

from __future__ import annotations

import shutil
import tomllib
from typing import TYPE_CHECKING

from tests.support.service import DROPPED, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def dropped(folder: Path, *names: str) -> tuple[Path, set[str]]:
    """Put files of ``tests/support/dropped`` into a folder; return where their handlers lie, and their routes."""
    handlers = folder / "handlers"
    handlers.mkdir()
    entries = "".join((DROPPED / f"{name}.toml").read_text("utf-8") for name in names)
    for name in names:
        shutil.copy(DROPPED / f"{name}.py", handlers / f"candidate_{name}.py")
    (folder / "policy.toml").write_text((ROOT / "policy.toml").read_text("utf-8") + entries, "utf-8")
    return handlers, set(tomllib.loads(entries)["routes"])
