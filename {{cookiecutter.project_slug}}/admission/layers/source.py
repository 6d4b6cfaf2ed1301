"""The first layer: what the source says, file by file, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admission.source import check_source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from admission.cache import Cache
    from admission.files import Source
    from admission.finding import Finding


def judge_sources(sources: Iterable[Source], cache: Cache) -> list[Finding]:
    """Return what the source rules find, and what is wrong with the files themselves."""
    findings: list[Finding] = []
    for source in sources:
        findings += source.findings
        if source.text is None:
            continue
        key = cache.key("source", source.name.encode(), source.data)
        found = cache.get(key)
        if found is None:
            found = check_source(source.text, source.name)
            cache.put(key, found)
        findings += found
    return findings
