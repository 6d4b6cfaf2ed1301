"""How much is tried: a little with every run of the suite, much with ``pytest --wide`` (``make test ARGS=--wide``).

What the suite tries must fit into the minutes that people wait for. ``--wide`` takes twenty times as many generated
examples, and the tests that are marked ``wide``, which are otherwise deselected and counted as such.
"""

from __future__ import annotations

import sys
from typing import Final

WIDE: Final = "--wide" in sys.argv or "--wide" in getattr(sys, "orig_argv", ())


def examples(usual: int) -> int:
    """Return how many examples to generate, where the suite takes ``usual``."""
    return usual * 20 if WIDE else usual
