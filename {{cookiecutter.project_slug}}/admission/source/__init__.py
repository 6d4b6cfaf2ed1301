"""The source layer of the gate: reads one handler, follows its values, and asks every rule."""

from __future__ import annotations

from admission.source.judge import check_source
from admission.source.models import read_models

__all__ = ["check_source", "read_models"]
