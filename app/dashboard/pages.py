"""How a page is rendered and which headers keep it harmless."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

# Nothing inline, nothing from elsewhere: what a mail smuggles into a page stays text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _size(count: int) -> str:
    """Return a number of bytes in the unit that people would use."""
    if count < 1_000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1_000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB"


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["size"] = _size
_templates.filters["utc"] = _utc


def page(template: str, values: Mapping[str, object], status: int = 200) -> HTMLResponse:
    """Return the page of this template; every value is escaped."""
    body = _templates.get_template(template).render(values)
    return HTMLResponse(body, status_code=status, headers=PAGE_HEADERS)
