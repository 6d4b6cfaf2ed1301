"""The grammar of values: rates, durations, sizes, choices, lists, and what was probably meant.

Each parser takes a parsed TOML value and returns the typed one, or raises ``BadValue`` with a value to write
instead. That suggestion always parses, and is never looser than a default or a bound allows.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Literal

from app.policy.model import (
    DEFAULT_MAX_BODY,
    DEFAULT_RATE,
    DEFAULT_TIMEOUT_MS,
    MAX_BODY,
    MAX_RATE_AMOUNT,
    MAX_RATE_PER_SECOND,
    MAX_REASON,
    MAX_TIMEOUT_MS,
    MAX_VALUE,
    MIN_TIMEOUT_MS,
    SCOPES,
    Effects,
    Scope,
)
from app.policy.names import nearest
from app.policy.write import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

UNLIMITED = "unlimited"
REASON_TO_FILL_IN = "<why a repeated call does no harm>"


_RATE_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(r"([0-9]{1,12})/(second|minute|hour|day)")
_LOOSE_RATE = re.compile(r"\s*([0-9]{1,12})\s*(?:/|per\b)?\s*([a-z]*)\s*", re.IGNORECASE)

_DURATION_UNITS = {"ms": 1, "s": 1_000, "m": 60_000}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m)")
_DURATION_ALIASES = {"": "s", "ms": "ms", "msec": "ms", "msecs": "ms", "milliseconds": "ms", "millis": "ms"}

_SIZE_UNITS = {"B": 1, "KiB": 1_024, "MiB": 1_024 * 1_024}
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB)")
_SIZE_ALIASES = {"k": 1_024, "m": 1_024**2, "g": 1_024**3}

_ABSURD = 10**12  # no number in a policy comes near
_QUANTITY = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([a-z]*)\s*", re.IGNORECASE)


class BadValue(ValueError):
    """A value outside the grammar or the bounds.

    Attributes:
        suggestion: the value to write instead.
    """

    def __init__(self, message: str, suggestion: object) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def parse_rate(value: object) -> str | None:
    """Return a rate in one spelling, e.g. ``10/minute;100/hour``, or None for ``unlimited``."""
    if value == UNLIMITED:
        return None
    if not isinstance(value, str) or len(value) > MAX_VALUE:
        raise BadValue(f'a rate is text such as "{DEFAULT_RATE}", not {shown(value)}', suggest_rate(value))
    windows: dict[str, int] = {}
    for part in value.split(";"):
        match = _RATE.fullmatch(part.strip(" "))
        if match is None:
            raise BadValue(
                f"{shown(value)} is not a rate: write a number, / and one of second, minute, hour or day; "
                'several with ";" between them',
                suggest_rate(value),
            )
        amount, unit = int(match[1]), match[2]
        most = _most(unit)
        if unit in windows:
            raise BadValue(f"{shown(value)} has two limits per {unit}; one holds", suggest_rate(value))
        if not 0 < amount <= most:
            raise BadValue(f"{shown(value)} is out of bounds: 1 to {most} per {unit}", suggest_rate(value))
        windows[unit] = amount
    return ";".join(f"{amount}/{unit}" for unit, amount in windows.items())


def suggest_rate(value: object) -> str:
    """Return the rate that was probably meant, the default if that is anyone's guess."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return DEFAULT_RATE
    if isinstance(value, int):
        value = str(value) if 0 < value < _ABSURD else ""
    windows: dict[str, int] = {}
    for part in re.split("[;,|]", value[:MAX_VALUE]):
        match = _LOOSE_RATE.fullmatch(part)
        if match is None or int(match[1]) == 0:
            return DEFAULT_RATE
        unit = _rate_unit(match[2].lower())
        amount = min(int(match[1]), _most(unit))
        windows[unit] = min(amount, windows.get(unit, amount))
    return ";".join(f"{amount}/{unit}" for unit, amount in windows.items())


def _most(unit: str) -> int:
    return min(MAX_RATE_PER_SECOND * _RATE_UNITS[unit], MAX_RATE_AMOUNT)


def _rate_unit(word: str) -> str:
    for unit in _RATE_UNITS:
        if word and (unit.startswith(word) or word.startswith(unit)):
            return unit
    return (difflib.get_close_matches(word, _RATE_UNITS, n=1) or ["minute"])[0]


def parse_duration(value: object) -> float:
    """Return a duration such as ``250ms``, ``5s`` or ``1m`` in seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadValue(
            f'{shown(value)} is not a duration: write a whole number with ms, s or m, e.g. "250ms" or "5s"',
            _suggest_duration(value),
        )
    milliseconds = int(match[1]) * _DURATION_UNITS[match[2]]
    if not MIN_TIMEOUT_MS <= milliseconds <= MAX_TIMEOUT_MS:
        bounds = f"{format_duration(MIN_TIMEOUT_MS / 1000)} to {format_duration(MAX_TIMEOUT_MS / 1000)}"
        raise BadValue(f"{shown(value)} is out of bounds: {bounds}", _suggest_duration(value))
    return milliseconds / 1000


def format_duration(seconds: float) -> str:
    """Return seconds as the file spells them, in the largest unit that is exact."""
    milliseconds = round(seconds * 1000)
    for unit in ("m", "s"):
        if milliseconds and milliseconds % _DURATION_UNITS[unit] == 0:
            return f"{milliseconds // _DURATION_UNITS[unit]}{unit}"
    return f"{milliseconds}ms"


def _suggest_duration(value: object) -> str:
    amount, word = _quantity(value) or (0.0, "")
    if amount == 0:
        return format_duration(DEFAULT_TIMEOUT_MS / 1000)
    word = word.lower()
    if word.startswith("h"):
        factor = 3_600_000
    else:
        factor = _DURATION_UNITS[_DURATION_ALIASES.get(word, "m" if word.startswith("m") else "s")]
    milliseconds = min(max(amount * factor, MIN_TIMEOUT_MS), MAX_TIMEOUT_MS)
    return format_duration(milliseconds / 1000)


def parse_size(value: object) -> int:
    """Return a size such as ``512B``, ``64KiB`` or ``1MiB`` in bytes; ``0B`` is a route without a body."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadValue(
            f'{shown(value)} is not a size: write a whole number with B, KiB or MiB, e.g. "64KiB"',
            _suggest_size(value),
        )
    size = int(match[1]) * _SIZE_UNITS[match[2]]
    if size > MAX_BODY:
        raise BadValue(f"{shown(value)} is out of bounds: at most {format_size(MAX_BODY)}", _suggest_size(value))
    return size


def format_size(size: int) -> str:
    """Return bytes as the file spells them, in the largest unit that is exact."""
    for unit in ("MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def _suggest_size(value: object) -> str:
    amount, word = _quantity(value) or (DEFAULT_MAX_BODY, "")
    size = min(amount * _SIZE_ALIASES.get(word[:1].lower(), 1), MAX_BODY)
    return format_size(int(size))


def _quantity(value: object) -> tuple[float, str] | None:
    """Return the number and the word of something like a quantity."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return (value, "") if 0 <= value < _ABSURD else None  # NaN and infinity are neither
    match = _QUANTITY.fullmatch(value[:MAX_VALUE]) if isinstance(value, str) else None
    return (float(match[1]), match[2]) if match else None


def parse_stage(value: object) -> Literal["active", "probation"]:
    """Return a route's stage."""
    if value == "active":
        return "active"
    if value == "probation":
        return "probation"
    raise _bad_choice("stage", value, ("active", "probation"), "probation")


def parse_idempotency(value: object) -> Literal["required", "optional", "off"]:
    """Return whether a route asks for an Idempotency-Key."""
    if value == "required":
        return "required"
    if value == "optional":
        return "optional"
    if value == "off":
        return "off"
    raise _bad_choice("idempotency", value, ("required", "optional", "off"), "required")


def parse_default_idempotency(value: object) -> Literal["required", "optional"]:
    """Return the idempotency of POST and PATCH where the entry says nothing; off has to be said there."""
    if value == "required":
        return "required"
    if value == "optional":
        return "optional"
    raise _bad_choice("the default of idempotency", value, ("required", "optional"), "required")


def parse_effects(value: object) -> Effects:
    """Return whether a route's handler has effects that a rollback does not undo."""
    if value == "local":
        return "local"
    if value == "external":
        return "external"
    raise _bad_choice("effects", value, ("local", "external"), "external")


def parse_scope(value: object) -> Scope:
    """Return whose objects a role reaches."""
    for scope in SCOPES:
        if value == scope:
            return scope
    raise _bad_choice("scope", value, SCOPES, "own")


def _bad_choice(what: str, value: object, choices: Sequence[str], strictest: str) -> BadValue:
    return BadValue(
        f"{what} is one of {', '.join(choices)}, not {shown(value)}",
        nearest(value, choices) or strictest,
    )


def parse_reason(value: object) -> str:
    """Return the reason for an exception: one line that someone wrote."""
    if not isinstance(value, str):
        raise BadValue(f"a reason is text, not {shown(value)}", REASON_TO_FILL_IN)
    reason = value.strip()
    if not reason or reason == REASON_TO_FILL_IN:
        raise BadValue("the reason is not filled in", REASON_TO_FILL_IN)
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise BadValue(
            f"a reason is one line of at most {MAX_REASON} characters",
            "".join(char if char.isprintable() else " " for char in reason)[:MAX_REASON].strip() or REASON_TO_FILL_IN,
        )
    return reason


def parse_true(value: object) -> bool:
    """Return True, for keys that are either true or absent."""
    if value is True:
        return True
    raise BadValue(f"it is true or absent, not {shown(value)}", True)


def parse_texts(value: object) -> list[str]:
    """Return a list of strings; their grammar is checked item by item."""
    if isinstance(value, str):
        raise BadValue(f"it is a list, not {shown(value)}", [value])
    if not isinstance(value, list):
        raise BadValue(f"it is a list of strings, not {shown(value)}", [])
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) < len(value):
        raise BadValue(f"it is a list of strings, not {shown(value)}", texts)
    return texts
