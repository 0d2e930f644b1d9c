"""The page that explains the HTTP interface, rendered from its OpenAPI document."""

from __future__ import annotations

from fastapi import Request, Response

from app.dashboard.pages import page


def reference(request: Request) -> Response:
    """Show every call, webhook and type."""
    return page("reference.html", {"document": request.app.openapi()})
