"""What holds for every answer, whatever was asked: a problem is a problem, nothing leaks, the headers are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tests.gauntlet.serve import CANARY

if TYPE_CHECKING:
    import httpx2

LEAKS: Final = re.compile(
    r"Traceback \(most recent|File \"/|site-packages|sqlalchemy\.|sqlite3\.|psycopg\.|aiosqlite"
    r"|<class '|\b0x[0-9a-f]{8,}|\bSELECT .{1,80} FROM |\bINSERT INTO |/home/|/root/|/usr/lib/python"
    r"|\[SQL: |Errno \d+"
)
"""What only a fault inside would put into an answer."""

RAISED: Final = "gauntlet.raised"
"""Extension of an answer of 500 that says what its handler raised, and where."""

MEMBERS: Final = frozenset({"type", "title", "status", "detail", "code", "request_id"})


def faults_of(answer: httpx2.Response, allowed: frozenset[int] = frozenset()) -> list[tuple[str, str]]:
    """Return rule and text of whatever is wrong with an answer, apart from what the attack looks for.

    Args:
        answer: the answer.
        allowed: statuses from 500 on that the attack provokes.
    """
    found: list[tuple[str, str]] = []
    status, text = answer.status_code, answer.text
    if status >= 500 and status not in allowed:
        found.append(("BW707", f"the answer is a {status}: {said_of(answer)}"))
    if status >= 400:
        found += [("BW712", said) for said in _problem_faults(answer)]
    if answer.headers.get("x-content-type-options") != "nosniff" or "content-security-policy" not in answer.headers:
        found.append(("BW712", "security headers are missing (guard: security_headers)"))
    if not re.fullmatch("[0-9a-f]{32}", answer.headers.get("x-request-id", "")):
        found.append(("BW711", "the answer has no X-Request-Id (guard: request_log)"))
    leak = CANARY if CANARY in text else next((match[0] for match in [LEAKS.search(text)] if match), None)
    if leak:
        found.append(("BW710", f"the answer shows the inside of the service: {_short(leak)}"))
    return found


def _problem_faults(answer: httpx2.Response) -> list[str]:
    kind = answer.headers.get("content-type", "")
    if kind != "application/problem+json":
        return [f"a {answer.status_code} is {kind or 'without a type'} and no problem (guard: problem_details)"]
    try:
        document: Any = answer.json()
    except ValueError:
        return ["a problem is no JSON"]
    if not isinstance(document, dict) or not document.keys() >= MEMBERS:
        return ["a problem lacks members"]
    if document["status"] != answer.status_code:
        return ["a problem names another status than the answer"]
    if answer.headers.get("x-request-id") not in {None, document["request_id"]}:
        return ["a problem names another request than the header"]
    return []


def said_of(answer: httpx2.Response) -> str:
    """Return what is known of an answer that should have been another one: what was raised, or what it says."""
    raised = answer.extensions.get(RAISED)
    document = document_of(answer)
    if raised or "code" not in document:
        return str(raised or _short(answer.text))
    errors = [each for each in document.get("errors") or () if isinstance(each, dict)]
    said = [f"{'.'.join(map(str, each.get('location', ())))}: {each.get('message')}" for each in errors[:3]]
    return f"{document['code']}: {_short('; '.join(said) or str(document.get('detail')))}"


def document_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the members of the problem that an answer is; none where it is no JSON object."""
    try:
        document: object = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _short(text: str) -> str:
    return " ".join(text.split())[:120]
