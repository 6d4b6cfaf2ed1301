"""The first layer: what the source says, file by file, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admission.files import MAX_BYTES, MAX_FILES
from admission.source import check_source, read_models

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from admission.cache import Cache
    from admission.files import Source
    from admission.finding import Finding


def judge_sources(sources: Iterable[Source], cache: Cache, root: Path) -> list[Finding]:
    """Return what the source rules find, and what is wrong with the files themselves.

    Args:
        sources: the files.
        cache: what was found before.
        root: the service's folder; its ``app/models`` say which tables belong to whom.
    """
    findings: list[Finding] = []
    texts = _models(root / "app" / "models")
    models = None
    told = "\0".join(f"{name}\0{text}" for name, text in texts.items()).encode("utf-8", "surrogatepass")
    for source in sources:
        findings += source.findings
        if source.text is None:
            continue
        key = cache.key("source", source.name.encode(), source.data, told)
        found = cache.get(key)
        if found is None:
            models = read_models(texts) if models is None else models
            found = check_source(source.text, source.name, models)
            cache.put(key, found)
        findings += found
    return findings


def _models(folder: Path) -> dict[str, str]:
    """Return the text of each module of the models by its name below their package; what cannot be read is left out."""
    texts: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py"))[:MAX_FILES]:
        parts = path.relative_to(folder).with_suffix("").parts
        try:
            if path.is_file() and path.stat().st_size <= MAX_BYTES:
                texts[".".join(part for part in parts if part != "__init__")] = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
    return texts
