"""Health: for the orchestrator (alive, ready) and for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api.answers.health import Alive, Ready
from app.api.deps import Parts
from app.api.document import problems
from app.api.problems import NotReady
from app.signals.metrics import CONTENT_TYPE, render

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    operation_id="get_health",
    summary="Is the process alive?",
    response_description="It is.",
)
async def get_health() -> Alive:
    """Answer as long as the process can; it says nothing of Redis, so that Redis' troubles restart nobody."""
    return Alive(status="ok")


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Can mail be taken and kept now?",
    response_description="It can.",
    responses=problems("ready"),
)
async def get_readiness(parts: Parts) -> Ready:
    """Ask Redis; where it cannot take mail, or must be durable by the settings and is not, say why."""
    condition = await parts.health.check()
    required = condition.warnings if parts.settings.redis.require_durable else ()
    if reasons := (*condition.troubles, *required):
        raise NotReady(reasons)
    return Ready(status="ready", warnings=list(condition.warnings))


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request) -> Response:
    """Return the metrics of this process in the text format of Prometheus."""
    return Response(render(request.app.state.metrics.registry), media_type=CONTENT_TYPE)
