"""The policy file: who may call what, how often, for how long and reaching what. Absence means closed.

``load_policy`` turns policy.toml into frozen objects or raises one ``PolicyError`` with every mistake in it;
``check_routes`` holds the policy and the mounted routes to each other; ``render_missing`` writes the entries
that are missing, closed; ``render_table`` and ``table_rows`` show what is in force.

The modules: ``model`` (the types, the bounds and the defaults), ``document`` (bytes to TOML), ``locate`` (where
a key stands), ``values``, ``names`` and ``route_key`` (the grammar), ``write`` (TOML to paste), ``report``
(collects the mistakes), ``parse``, ``route_entry``, ``files`` and ``jobs`` (TOML to the types), ``check`` (policy
against routes) and ``table``. Nothing here runs per request.
"""

from app.policy.check import check_routes, render_missing
from app.policy.files import misplaced
from app.policy.model import (
    CLOSED,
    Effects,
    Files,
    Idempotency,
    JobPolicy,
    MountedRoute,
    Policy,
    PolicyDefaults,
    PolicyError,
    PolicyProblem,
    RoutePolicy,
    Scope,
    Stage,
)
from app.policy.parse import load_policy
from app.policy.table import Said, render_table, table_rows

__all__ = [
    "CLOSED",
    "Effects",
    "Files",
    "Idempotency",
    "JobPolicy",
    "MountedRoute",
    "Policy",
    "PolicyDefaults",
    "PolicyError",
    "PolicyProblem",
    "RoutePolicy",
    "Said",
    "Scope",
    "Stage",
    "check_routes",
    "load_policy",
    "misplaced",
    "render_missing",
    "render_table",
    "table_rows",
]
