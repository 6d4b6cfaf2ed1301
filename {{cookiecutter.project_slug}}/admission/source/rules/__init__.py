"""Every source rule, by family: what reaches a sink, time, secrets, the contract, reach."""

from __future__ import annotations

from admission.source.rules import blocking, execution, places, retries, rows, sql, tasks, texts

ALL = [rule for family in (sql, execution, places, texts, blocking, retries, tasks, rows) for rule in family.registry.rules]
