"""What a regular expression lets through, and whether it can be made to run for ever."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]  # the parser of the standard library
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

MAX_PATTERN: Final = 2000
"""Characters. A longer pattern is not judged, and nothing is taken to be safe because of it."""

_HARMLESS: Final = frozenset(map(ord, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:@+ "))
_SOME: Final = (*map(ord, "aZ0_- .,/@\"'<>\n"), 0xE9)
"""Characters that stand for all others where two parts of a pattern are compared."""


@lru_cache(maxsize=512)
def _parsed(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError, ValueError, IndexError):
        return None


def is_safe_pattern(pattern: str, *, whole: bool = False) -> bool:
    """Return whether everything that matches is made of letters, digits and a few harmless signs.

    Args:
        pattern: the pattern.
        whole: whether it has to match the whole text anyway, as ``re.fullmatch`` does.
    """
    tree = _parsed(pattern)
    if tree is None:
        return False
    parts = list(tree)
    ends = bool(parts) and parts[-1][0] is sre.AT and parts[-1][1] in {sre.AT_END, sre.AT_END_STRING}
    return (whole or ends) and all(_harmless(part) for part in parts)


def _harmless(part: tuple[Any, Any]) -> bool:
    operator, argument = part
    if operator is sre.LITERAL:
        return argument in _HARMLESS
    if operator is sre.IN:
        return all(_harmless_in(member) for member in argument)
    if operator in _REPEATS:
        return all(_harmless(inner) for inner in argument[2])
    if operator is sre.SUBPATTERN:
        return all(_harmless(inner) for inner in argument[3])
    if operator is sre.BRANCH:
        return all(_harmless(inner) for branch in argument[1] for inner in branch)
    return operator in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}


def _harmless_in(member: tuple[Any, Any]) -> bool:
    operator, argument = member
    if operator is sre.LITERAL:
        return argument in _HARMLESS
    if operator is sre.RANGE:
        return all(code in _HARMLESS for code in range(argument[0], min(argument[1], argument[0] + 130) + 1))
    return operator is sre.CATEGORY and argument in {sre.CATEGORY_DIGIT, sre.CATEGORY_WORD}


_REPEATS: Final = {sre.MAX_REPEAT, sre.MIN_REPEAT}


@lru_cache(maxsize=512)
def is_catastrophic(pattern: str) -> bool:
    """Return whether backtracking can grow exponentially: a repetition of what repeats, or of choices that overlap."""
    tree = _parsed(pattern)
    return tree is not None and any(_explodes(part) for part in _all_parts(tree))


def _all_parts(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = list(tree)
    while waiting:
        part = waiting.pop()
        found.append(part)
        waiting += _inside(part)
    return found


def _inside(part: tuple[Any, Any]) -> list[tuple[Any, Any]]:
    operator, argument = part
    if operator in _REPEATS:
        return list(argument[2])
    if operator is sre.SUBPATTERN:
        return list(argument[3])
    if operator is sre.BRANCH:
        return [inner for branch in argument[1] for inner in branch]
    if operator in {sre.ASSERT, sre.ASSERT_NOT}:
        return list(argument[1])
    return []


def _explodes(part: tuple[Any, Any]) -> bool:
    operator, argument = part
    if operator not in _REPEATS or argument[1] is not sre.MAXREPEAT:
        return False
    body = _flat(list(argument[2]))
    for branch in _branches(body):
        if not branch:
            continue
        repeated = [inner for inner in branch if _varies(inner)]
        fixed = [inner for inner in branch if inner not in repeated and inner[0] is not sre.AT]
        for inner in repeated:
            # (a+)* and (a+b?)*: between two rounds nothing that must be there keeps them apart.
            separated = any(not (_first(other) & _first(inner)) for other in fixed)
            if not separated:
                return True
    branches = [_first_of(branch) for branch in _branches(body)]
    return any(
        one & other for index, one in enumerate(branches) for other in branches[index + 1 :]
    ) and _may_repeat_alike(body)


def _varies(part: tuple[Any, Any]) -> bool:
    """Return whether a part may match more or less of the same: `a+`, `(b|)`, `a?` beside others."""
    operator, argument = part
    if operator in _REPEATS:
        return bool(argument[1] is sre.MAXREPEAT or argument[0] == 0)
    return operator is sre.BRANCH and any(not list(branch) for branch in argument[1])


def _may_repeat_alike(body: list[tuple[Any, Any]]) -> bool:
    r"""Return whether two choices can match the same text: ``(a|a)*``, ``(\\w|\\d)*``, but not ``(ab|ac)*``."""
    branches = [branch for branch in _branches(body) if branch]
    single = [branch for branch in branches if len(branch) == 1]
    return len(single) > 1 and any(
        _first(one[0]) & _first(other[0]) for index, one in enumerate(single) for other in single[index + 1 :]
    )


def _flat(body: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    while len(body) == 1 and body[0][0] is sre.SUBPATTERN:
        body = list(body[0][1][3])
    return body


def _branches(body: list[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
    if len(body) == 1 and body[0][0] is sre.BRANCH:
        return [list(branch) for branch in body[0][1][1]]
    return [body]


def _first_of(branch: list[tuple[Any, Any]]) -> frozenset[int]:
    return _first(branch[0]) if branch else frozenset()


def _first(part: tuple[Any, Any]) -> frozenset[int]:  # noqa: PLR0911 - one for each kind
    """Return which of some typical characters a part can begin with."""
    operator, argument = part
    if operator is sre.LITERAL:
        return frozenset({argument})
    if operator is sre.NOT_LITERAL:
        return frozenset(code for code in _SOME if code != argument)
    if operator is sre.ANY:
        return frozenset(code for code in _SOME if code != ord("\n"))
    if operator is sre.IN:
        return _members(argument)
    if operator in _REPEATS:
        return _first_of(list(argument[2]))
    if operator is sre.SUBPATTERN:
        return _first_of(list(argument[3]))
    if operator is sre.BRANCH:
        return frozenset().union(*(_first_of(list(branch)) for branch in argument[1]))
    return frozenset()


def _members(members: list[tuple[Any, Any]]) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for operator, argument in members:
        if operator is sre.NEGATE:
            negated = True
        elif operator is sre.LITERAL:
            found.add(argument)
        elif operator is sre.RANGE:
            found.update(code for code in (*_SOME, argument[0]) if argument[0] <= code <= argument[1])
        elif operator is sre.CATEGORY:
            found.update(code for code in _SOME if _in_category(code, argument))
    return frozenset(_SOME) - found if negated else frozenset(found)


def _in_category(code: int, category: Any) -> bool:
    sign = chr(code)
    tests = {
        sre.CATEGORY_DIGIT: sign.isdigit(),
        sre.CATEGORY_NOT_DIGIT: not sign.isdigit(),
        sre.CATEGORY_SPACE: sign.isspace(),
        sre.CATEGORY_NOT_SPACE: not sign.isspace(),
        sre.CATEGORY_WORD: sign.isalnum() or sign == "_",
        sre.CATEGORY_NOT_WORD: not (sign.isalnum() or sign == "_"),
    }
    return tests.get(category, False)


@lru_cache(maxsize=512)
def longest_match(pattern: str) -> float:
    """Return the length of the longest text that matches as a whole; infinite if the pattern is open at an end."""
    tree = _parsed(pattern)
    parts = list(tree) if tree is not None else []
    if (
        tree is None
        or tree.state.flags & re.MULTILINE
        or not _is_held(parts, 0, _BEGINNINGS)
        or not _is_held(parts, -1, _ENDS)
    ):
        return float("inf")
    longest = tree.getwidth()[1]
    return float("inf") if longest >= int(sre.MAXREPEAT) else float(longest)


_BEGINNINGS: Final = frozenset({sre.AT_BEGINNING, sre.AT_BEGINNING_STRING})
_ENDS: Final = frozenset({sre.AT_END, sre.AT_END_STRING})


def _is_held(parts: list[tuple[Any, Any]], end: int, anchors: frozenset[Any]) -> bool:
    """Return whether a pattern begins (0) or ends (-1) with an anchor, on each of its branches."""
    if not parts:
        return False
    operator, argument = parts[end]
    if operator is sre.SUBPATTERN:
        return _is_held(list(argument[3]), end, anchors)
    if operator is sre.BRANCH:
        return all(_is_held(list(branch), end, anchors) for branch in argument[1])
    return operator is sre.AT and argument in anchors
