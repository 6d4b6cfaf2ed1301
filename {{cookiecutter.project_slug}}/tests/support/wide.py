"""How much is tried: a little with every run of the suite, much with ``pytest --wide`` (``make test ARGS=--wide``).

What the suite tries must fit into the minutes that people wait for. ``--wide`` takes twenty times as many generated
examples, and the tests that are marked ``wide``, which are otherwise deselected and counted as such.
"""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "TESTS_WIDE"
"""Set by tests/conftest.py from the option, in each worker process, before any test module is loaded."""


def is_wide() -> bool:
    """Return whether this run is one with ``--wide``."""
    return os.environ.get(VARIABLE) == "1"


def examples(usual: int) -> int:
    """Return how many examples to generate, where the suite takes ``usual``."""
    return usual * 20 if is_wide() else usual
