"""Every source rule, by family: what reaches a sink, time, secrets, the contract, reach."""

from __future__ import annotations

from admission.source.rules import execution, places, sql, texts

ALL = [rule for family in (sql, execution, places, texts) for rule in family.registry.rules]
