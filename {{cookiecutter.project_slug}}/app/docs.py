"""Swagger UI for development, from files on this machine: no CDN, no inline script, so a strict CSP holds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>API documentation</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true,
  persistAuthorization: false, validatorUrl: null, presets: [SwaggerUIBundle.presets.apis]});
"""

ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}

router = APIRouter(include_in_schema=False)


def assets_folder() -> Path | None:
    """Return where the Swagger UI files lie (a development dependency carries them), or None."""
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "static"
    return folder if all((folder / name).is_file() for name in ASSETS) else None


@router.get("/openapi.json")
async def openapi(request: Request) -> JSONResponse:
    """Return the OpenAPI document."""
    document: dict[str, Any] = request.app.openapi()
    return JSONResponse(document)


@router.get("/docs")
async def page() -> Response:
    """Return the page, or say how to get it."""
    if assets_folder() is None:
        return HTMLResponse("<p>Swagger UI is not installed here: uv sync --group dev</p>", status_code=404)
    return HTMLResponse(PAGE)


@router.get("/docs/start.js")
async def start() -> Response:
    """Return the script that starts the page."""
    return Response(START, media_type="text/javascript")


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """Return one of the known files; the name never becomes a path unless it is in the list."""
    folder = assets_folder()
    if folder is None or name not in ASSETS:
        return Response(status_code=404)
    return FileResponse(folder / name, media_type=ASSETS[name])
