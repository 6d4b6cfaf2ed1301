"""Completes the OpenAPI document with what the guards add: who may call, and how they refuse.

Handlers document their own answers. That a route wants a token with certain scopes, and may answer 401, 403, 413,
429 or 504, follows from its policy, so it is written here and never by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.policy import RoutePolicy

SCHEME = "bearer"

_TEXT: dict[str, Any] = {"type": "string"}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An error (RFC 9457). Programs read `code`, people read `title` and `detail`.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "instance": {"type": ["string", "null"]},
        "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "request_id": {"type": ["string", "null"]},
        "errors": {"description": "Which parts of the request are wrong."},
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}

_DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "No valid token.",
    403: "The caller's roles do not grant this.",
    405: "The path exists, the method does not.",
    409: "What is there, or a request with the same key, stands against it.",
    408: "The body did not arrive in time.",
    413: "The body is larger than this route takes.",
    422: "A value is missing, unknown or out of bounds.",
    429: "Too many requests; `Retry-After` says when to try again.",
    500: "The service failed.",
    502: "A service behind this one failed.",
    503: "The service cannot answer now; `Retry-After` says when to try again.",
    504: "The request's time ran out.",
}


IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "New for each request, and the same each time it is tried again: it is done once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}


def operation_extra(policy: RoutePolicy) -> dict[str, Any]:
    """Return what the policy of one route adds to its operation: scopes of the token, and a key's header."""
    extra: dict[str, Any] = {} if policy.public else {"security": [{SCHEME: sorted(policy.allow)}]}
    if policy.idempotency in {"required", "optional"}:
        extra["parameters"] = [{**IDEMPOTENCY_KEY, "required": policy.idempotency == "required"}]
    return extra


def complete(document: dict[str, Any], policies: dict[tuple[str, str], RoutePolicy]) -> dict[str, Any]:
    """Return ``document`` with the security scheme and every guard's refusal added.

    Args:
        document: what FastAPI generated; changed in place.
        policies: (method, path) -> policy of every mounted route.
    """
    components = document.setdefault("components", {})
    components.setdefault("securitySchemes", {})[SCHEME] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    responses = components.setdefault("responses", {})
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            policy = policies.get((method.upper(), path))
            if policy is None:
                continue
            for status in _refusals(policy, operation):
                name = f"Problem{status}"
                responses.setdefault(name, _response(status))
                declared = operation.setdefault("responses", {})
                if str(status) in declared and status != 422:  # noqa: PLR2004 - FastAPI's own 422 has another shape
                    declared[str(status)].setdefault("content", {})["application/problem+json"] = {
                        "schema": {"$ref": "#/components/schemas/Problem"}
                    }
                else:
                    declared[str(status)] = {"$ref": f"#/components/responses/{name}"}
    # Nothing refers to FastAPI's own error models any more.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


def _refusals(policy: RoutePolicy, operation: dict[str, Any]) -> list[int]:
    statuses = {400, 429, 500, 503, 504}
    if not policy.public:
        statuses |= {401, 403}
    if "requestBody" in operation:
        statuses |= {408, 413}
    if policy.idempotency in {"required", "optional"}:
        statuses |= {409, 422}
    if policy.outbound:
        statuses.add(502)
    if "requestBody" in operation or operation.get("parameters"):
        statuses.add(422)
    # A handler's own 4xx (a 404, say) is rendered as a problem too.
    statuses |= {int(status) for status in operation.get("responses", {}) if status.isdigit() and int(status) >= 400}  # noqa: PLR2004
    return sorted(statuses)


def _response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _DESCRIPTIONS.get(status, "An error."),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {429, 503}:
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    if status == 401:  # noqa: PLR2004
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response
