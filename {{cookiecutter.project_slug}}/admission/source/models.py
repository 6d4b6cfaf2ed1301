"""The tables that handlers import: read from the text of `app/models`, without importing anything."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from admission.source.read import TooComplex, read_module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from admission.source.module import ClassInfo

PACKAGE: Final = "app.models"


def read_models(texts: Mapping[str, str]) -> dict[str, ClassInfo]:
    """Return the classes of the models by dotted name, under the names by which the package hands them on too.

    A module that does not parse adds nothing: the layers that load it say what is wrong with it.

    Args:
        texts: by the name of the module below ``app.models``; an empty name is the package itself.
    """
    found: dict[str, ClassInfo] = {}
    handed_on: dict[str, str] = {}
    for name, text in texts.items():
        home = f"{PACKAGE}.{name}" if name else PACKAGE
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = read_module(text, name, package=home if not name else home.rpartition(".")[0])
        except (SyntaxError, ValueError, RecursionError, MemoryError, TooComplex):
            continue
        handed_on |= {
            f"{home}.{said}": source for said, source in module.imports.items() if source.startswith(f"{PACKAGE}.")
        }
        for info in module.classes.values():
            info.bases = tuple(f"{home}{base}" if base.startswith(".") else base for base in info.bases)
            info.name = f"{home}{info.name}"
            found.setdefault(info.name, info)
    for said, source in handed_on.items():
        if source in found:
            found.setdefault(said, found[source])
    return found
