"""The rules by id. One rule is one id, one check and one page in ``admission/rules``."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from admission.source.declare import Fault, Rule
from admission.source.rules import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RULES", "Fault", "Rule"]

RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in sorted(ALL, key=lambda rule: rule.id)})
"""Every source rule, in order of its id."""
