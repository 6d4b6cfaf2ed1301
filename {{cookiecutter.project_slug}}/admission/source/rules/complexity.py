"""BW590: what cannot be judged in bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admission.source.declare import Fault, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

registry = Registry()


@registry.rule("BW590", "A file too complex to be judged")
def too_complex(module: Module) -> Iterator[Fault]:
    """Say why the analysis gave up, if it did."""
    if module.too_complex is not None:
        yield Fault(
            module.tree,
            f"This file is too complex to be judged: {module.too_complex}. What cannot be judged is not admitted.",
            "Split it into several handler modules, and keep each function short.",
        )
