"""The grammar of names: roles, upstreams and permissions, and what a misspelt one was probably meant to be."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from app.policy.model import MAX_NAME, MAX_VALUE

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{MAX_NAME - 1}}}")
_PERMISSION = re.compile(rf"{_NAME.pattern}:{_NAME.pattern}")
_OTHERS = re.compile(r"[^a-z0-9_-]+")


def is_name(text: str) -> bool:
    """Return whether ``text`` can name a role or an upstream."""
    return _NAME.fullmatch(text) is not None


def suggest_name(text: str) -> str:
    """Return the name that was probably meant."""
    return _word(text) or "name"


def is_permission(text: str) -> bool:
    """Return whether ``text`` is ``resource:action``."""
    return _PERMISSION.fullmatch(text) is not None


def suggest_permission(text: str) -> str:
    """Return the permission that was probably meant; without an action, the one that only looks."""
    words = [word for word in map(_word, re.split("[:./]", text)) if word]
    if not words:
        return "things:read"
    return f"{words[0]}:{'-'.join(words[1:])[:MAX_NAME] or 'read'}"


def _word(text: str) -> str:
    return _OTHERS.sub("-", text.lower()).lstrip("0123456789_-").rstrip("-")[:MAX_NAME]


def nearest(word: object, known: Sequence[str]) -> str | None:
    """Return the known word that ``word`` is probably a misspelling of."""
    if not isinstance(word, str) or len(word) > MAX_VALUE:
        return None
    return next(iter(difflib.get_close_matches(word.lower(), known, n=1)), None)


def nearest_permission(permission: str, granted: Sequence[str]) -> str | None:
    """Return the granted permission that ``permission`` misspells, by a letter or so in each half.

    Stricter than ``nearest``: taking "orders:refund" for "orders:read" would suggest opening the route.
    """
    for known in granted:
        halves = zip(permission.split(":"), known.split(":"), strict=True)
        if all(_misspelt(half, known_half) for half, known_half in halves):
            return known
    return None


def _misspelt(word: str, known: str) -> bool:
    swapped = sorted(word) == sorted(known)
    close = difflib.SequenceMatcher(None, word, known).ratio() >= 0.8  # noqa: PLR2004 - one letter of five
    return swapped or (close and abs(len(word) - len(known)) <= 1)
