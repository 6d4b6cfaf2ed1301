"""Every source rule, by family: what reaches a sink, time, secrets, the contract, reach."""

from __future__ import annotations

from admission.source.rules import (
    blocking,
    bounds,
    execution,
    internals,
    logs,
    places,
    retries,
    rows,
    secrets,
    sizes,
    sql,
    tasks,
    texts,
)

ALL = [rule for family in (sql, execution, places, texts, blocking, retries, tasks, rows, logs, secrets, internals, bounds, sizes) for rule in family.registry.rules]
