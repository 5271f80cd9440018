"""Liveness, readiness and health: for whoever restarts, balances and watches."""

from fastapi import APIRouter, Depends, Response, status
from pydantic import BaseModel, Field

from api.admin import require_admin
from api.errors import ErrorResponse
from api.health.registry import READINESS
from api.health.result import CheckResult, HealthStatus, worst
from api.middleware import ADMIN_PREFIX
from api.state import State

router = APIRouter(tags=["health"])


class LivenessResponse(BaseModel):
    """The process answers; nothing else was looked at."""

    status: HealthStatus


class HealthResponse(BaseModel):
    """Every check, and the worst of their words."""

    status: HealthStatus
    checks: dict[str, CheckResult] = Field(description="By name, each with what to do where it is not good.")


class ReadinessResponse(BaseModel):
    """Whether requests may come: no more than that, for anybody may ask.  Why not is in the admin health."""

    status: HealthStatus
    checks: dict[str, HealthStatus] = Field(description="By name, of the checks that decide it.")


@router.get("/livez")
async def livez() -> LivenessResponse:
    """Whether the process answers.  It asks nobody, so a database that is away restarts no process."""
    return LivenessResponse(status=HealthStatus.PASS)


@router.get("/readyz", responses={503: {"model": ReadinessResponse}})
async def readyz(state: State, response: Response) -> ReadinessResponse:
    """Whether both schemas are usable; 503 until they are.  The admin health says why."""
    checks = await state.board.results(READINESS)
    states = {name: check.status for name, check in checks.items()}
    return ReadinessResponse(status=_status(checks, response), checks=states)


@router.get(
    f"{ADMIN_PREFIX}/health",
    dependencies=[Depends(require_admin)],
    responses={401: {"model": ErrorResponse}, 503: {"model": HealthResponse}},
)
async def health(state: State, response: Response) -> HealthResponse:
    """Every check, within a second whatever hangs: 200 for pass and warn, 503 for fail."""
    checks = await state.board.results()
    return HealthResponse(status=_status(checks, response), checks=checks)


def _status(checks: dict[str, CheckResult], response: Response) -> HealthStatus:
    overall = worst(check.status for check in checks.values())
    if overall is HealthStatus.FAIL:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return overall
