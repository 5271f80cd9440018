"""What all routes that show logs have in common: their place, who may ask, and which errors they answer."""

from fastapi import APIRouter, Depends

from api.admin import require_admin
from api.errors import ErrorResponse
from api.middleware import ADMIN_PREFIX


def logs_router() -> APIRouter:
    """A router for one module's routes."""
    return APIRouter(
        prefix=f"{ADMIN_PREFIX}/logs",
        tags=["logs"],
        dependencies=[Depends(require_admin)],
        responses={status: {"model": ErrorResponse} for status in (401, 422, 429, 503)},
    )
