"""Every source rule, by family: what reaches a sink, time, secrets, the contract, reach."""

from __future__ import annotations

from admission.source.rules import sql

ALL = [rule for family in (sql,) for rule in family.registry.rules]
