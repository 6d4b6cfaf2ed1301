"""Every source rule, by family: what reaches a sink, time, secrets, the contract, reach."""

from __future__ import annotations

from admission.source.rules import (
    answers,
    assignment,
    blocking,
    bounds,
    complexity,
    execution,
    growth,
    identity,
    internals,
    kinds,
    loading,
    logs,
    once,
    places,
    races,
    reach,
    retries,
    rows,
    scaffold,
    secrets,
    sessions,
    sizes,
    sql,
    tasks,
    texts,
    weakness,
    web,
)

FAMILIES = (
    *(sql, execution, places, texts),  # BW1xx: input reaches a sink
    *(blocking, retries, tasks, races, rows, once, sessions),  # BW2xx: time and concurrency
    *(logs, secrets, weakness, internals),  # BW3xx: secrets and privacy
    *(bounds, sizes, answers, assignment, kinds, identity, web, loading),  # BW4xx: the contract
    *(reach, scaffold, growth, complexity),  # BW5xx: reach and scaffold
)

ALL = [rule for family in FAMILIES for rule in family.registry.rules]
